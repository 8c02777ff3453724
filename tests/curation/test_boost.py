"""Data boosting: a pool that follows from a seed, an exact search of a stream, and a game whose judge is never asked."""

import numpy as np
import pytest

from evaluator.curation import pool as pools
from evaluator.curation.boost import BoostRules, boost, joining, parts, search
from evaluator.curation.neighbours import NearestInStream, capped, unit
from evaluator.curation.pool import Pool, PoolFeatures, PoolRules
from evaluator.errors import ConfigurationError

NOTHING = PoolRules(turn=0, shear=0, zoom=0, shift=0, brightness=0, contrast=0, blur=0, noise=0)


@pytest.fixture(scope="module")
def parents():
    """Seven images of a dark bar on paper, each at another place, uint8 (7, 24, 24, 1)."""
    images = np.full((7, 24, 24, 1), 230, np.uint8)
    for i in range(7):
        images[i, 4:20, 3 + 2 * i : 6 + 2 * i] = 20
    return images


def test_an_image_of_the_pool_follows_from_its_number_alone(parents, monkeypatch):
    monkeypatch.setattr(pools, "BLOCK", 16)
    pool = Pool(parents, 100, seed=5)
    whole = np.concatenate([pool.images(block) for block in pool.blocks()])
    assert whole.shape == (100, 24, 24, 1)
    some = np.array([99, 3, 50, 3])
    assert np.array_equal(pool.images(some), whole[some])
    assert not np.array_equal(Pool(parents, 100, seed=6).images(some), whole[some])
    assert np.bincount(pool.parent(np.arange(100))).tolist() == [15, 15, 14, 14, 14, 14, 14]
    assert len({image.tobytes() for image in whole}) == 100


def test_features_of_a_pool_are_computed_once_and_leave_no_file(parents, tmp_path, monkeypatch):
    monkeypatch.setattr(pools, "BLOCK", 16)
    pool, calls = Pool(parents, 40, 0), []

    def counted(images):
        calls.append(len(images))
        return embed(images)

    kept, anew = PoolFeatures(pool, counted, tmp_path), PoolFeatures(pool, embed)
    for _ in range(2):
        for block in pool.blocks():
            np.testing.assert_allclose(kept(block), anew(block), rtol=1e-3, atol=0.1)
    assert calls == [16, 16, 8]
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(pools.shutil, "disk_usage", lambda folder: type("Full", (), {"free": 0}))
    full = PoolFeatures(pool, counted, tmp_path)
    for _ in range(2):
        assert np.array_equal(full(np.arange(16)), anew(np.arange(16)))
    assert calls[3:] == [16, 16], "without room it is computed anew"


def test_a_pool_that_changes_nothing_is_its_parents(parents):
    pool = Pool(parents, 7, 0, NOTHING)
    assert np.array_equal(pool.images(np.arange(7)), parents)


@pytest.mark.parametrize("name", ["turn", "shear", "zoom", "shift", "brightness", "contrast", "blur", "noise"])
def test_every_rule_changes_images_a_little(parents, name):
    from dataclasses import replace

    rules = replace(NOTHING, **{name: getattr(PoolRules(), name)})
    made = Pool(parents, 70, 0, rules).images(np.arange(70)).astype(float)
    apart = np.abs(made - parents[np.arange(70) % 7]).mean(axis=(1, 2, 3))
    assert (apart > 0).mean() > 0.5
    assert apart.max() < 60, "a bar that moved a little is the same bar"
    dark = (made < 120).sum(axis=(1, 2, 3))
    assert (dark > 20).all(), "nothing is turned or shifted out of the picture"


@pytest.mark.parametrize(
    ("wrong", "said"), [(lambda p: Pool(p, 2_000_000, 0), "--pool is 2000000"), (lambda p: PoolRules(turn=-1), "turn is -1")]
)
def test_a_pool_beyond_its_bounds_is_refused(parents, wrong, said):
    with pytest.raises(ConfigurationError, match=said):
        wrong(parents)


@pytest.mark.parametrize("cap", [1, 2, 100])
def test_the_search_of_a_stream_is_that_of_everything(cap):
    rng = np.random.default_rng(cap)
    queries, vectors, owners = rng.normal(size=(9, 6)), rng.normal(size=(500, 6)), rng.integers(0, 40, 500)
    vectors[100:110] = vectors[0]  # equal vectors: the smaller number first
    found = NearestInStream(queries, 12, cap)
    for rows in np.array_split(np.arange(500), 13):
        found.add(vectors[rows], rows, owners[rows])
    similarity = unit(queries) @ unit(vectors).T
    for q in range(9):
        order = np.lexsort((np.arange(500), -similarity[q]))
        expected = order[capped(owners[order], cap, 12)]
        assert found.similarity[q] == pytest.approx(similarity[q, expected], abs=1e-6)
        assert set(found.numbers[q]) == set(expected.tolist())
        assert np.bincount(found.parents[q]).max() <= cap
        assert np.array_equal(found.parents[q], owners[found.numbers[q]])


def test_a_stream_that_is_too_short_leaves_gaps():
    found = NearestInStream(np.eye(2), 5, 1)
    found.add(np.eye(2), np.arange(2), np.zeros(2, int))
    assert found.numbers.tolist() == [[0, -1, -1, -1, -1], [1, -1, -1, -1, -1]]
    assert np.isinf(found.similarity[:, 1:]).all()


def game(seed=0):
    """Bars whose place is their class; training has them in the middle, half of validation has them turned."""
    rng = np.random.default_rng(seed)

    def drawn(n, turned):
        labels = np.arange(n) % 3
        images = np.full((n, 24, 24, 1), 230, np.uint8)
        for i, label in enumerate(labels):
            x = 6 + 5 * label + rng.integers(0, 3)
            for y in range(3, 21):
                at = int(np.clip(x + (round(0.45 * (y - 12) + 2) if turned else 0), 0, 22))
                images[i, y, at : at + 2] = 20
        return images, labels.astype(np.int64)

    train, val = drawn(60, False), [drawn(60, False), drawn(60, True)]
    return train, (np.concatenate([v[0] for v in val]), np.concatenate([v[1] for v in val]))


def embed(images):
    small = images.reshape(len(images), 12, 2, 12, 2).mean(axis=(2, 4)).reshape(len(images), -1)
    return (230 - small).astype(np.float32)


def fit(images, labels, asked, driving):
    """The label of the nearest training image: what joins can only help where it is alike."""
    return labels[(unit(embed(asked)) @ unit(embed(images)).T).argmax(axis=1)]


def test_boosting_adds_what_looks_like_the_mistakes_and_never_asks_the_judge(parents):
    train, val = game()
    pool, said, asked = Pool(train[0], 3000, 1, PoolRules(turn=25)), [], []
    rules = BoostRules(neighbours=5, per_query=2, per_parent=6, rounds=2, limit=400)

    def watched(images):
        asked.append(images)
        return embed(images)

    found = boost(train, val, np.arange(120), pool, fit, watched, rules, said=said.append)
    assert set(found.judged_by) | set(found.driven_by) == set(range(120))
    assert not set(found.judged_by) & set(found.driven_by)
    queries = [images for images in asked if len(images) < 200]
    judge = {image.tobytes() for image in val[0][found.judged_by]} - {image.tobytes() for image in val[0][found.driven_by]}
    assert not judge & {image.tobytes() for images in queries for image in images}
    first, last = found.rounds[0], found.rounds[-1]
    assert first.training == 60
    assert last.training == 60 + len(found.numbers) <= 400 - 120
    assert last.wrong < first.wrong
    assert last.judged > first.judged
    assert len(said) == len(found.rounds)
    assert np.bincount(found.parents).max() <= 6
    assert len(set(found.numbers)) == len(found.numbers) > 0
    again = boost(train, val, np.arange(120), pool, fit, embed, rules, vectors=PoolFeatures(pool, embed))
    assert np.array_equal(again.numbers, found.numbers)


def test_children_of_doubtful_parents_do_not_join_and_classes_may_have_to_agree():
    train, val = game()
    barred = np.zeros(60, bool)
    barred[:30] = True
    rules = BoostRules(neighbours=5, rounds=1, limit=400, same_class=True)
    found = boost(train, val, np.arange(120), Pool(train[0], 2000, 1), fit, embed, rules, barred=barred)
    assert len(found.numbers)
    assert not barred[found.parents].any()


def test_what_joined_before_makes_room_for_the_next_neighbours():
    train, val = game()
    pool = Pool(train[0], 500, 1)
    asked, answers, barred = embed(val[0][60:63]), val[1][60:63], None
    how = (pool, lambda numbers: embed(pool.images(numbers)), asked, answers, train[1], BoostRules(neighbours=5))
    (first,) = search(*how, np.zeros(0, np.int64), barred, lambda share: None)
    (second,) = search(*how, first.numbers.ravel(), barred, lambda share: None)
    assert not set(first.numbers.ravel()) & set(second.numbers.ravel())
    assert (second.similarity[:, 0] <= first.similarity[:, 0]).all()


def test_an_interruption_keeps_what_had_joined():
    train, val = game()
    calls = []

    def interrupted(images, *rest):
        calls.append(len(images))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fit(images, *rest)

    found = boost(train, val, np.arange(120), Pool(train[0], 1000, 1), interrupted, embed, BoostRules(limit=300))
    assert found.interrupted
    assert len(found.numbers)
    assert len(found.rounds) == 1


def test_nearest_of_every_query_join_before_the_second_nearest():
    pool = Pool(np.zeros((50, 4, 4, 1), np.uint8), 200, 0)
    one = NearestInStream(np.eye(3), 2, 5)
    one.numbers[:] = [[10, 11], [20, 21], [10, 30]]
    one.similarity[:] = [[0.9, 0.8], [0.5, 0.4], [0.95, 0.7]]
    assert joining([one], pool, np.zeros(0, np.int64), 10, BoostRules()).tolist() == [10, 20, 11, 30, 21]
    assert joining([one], pool, np.array([10]), 2, BoostRules()).tolist() == [20, 11]
    assert joining([one], pool, np.array([60]), 9, BoostRules(per_parent=1)).tolist() == [20, 11, 30, 21], (
        "10 and 60 have one parent"
    )


@pytest.mark.parametrize(
    ("rules", "said"),
    [({"limit": 100}, "nothing can join"), ({"judge": 0.95}, "--judge is 0.95"), ({"per_query": 0}, "--per-query is 0")],
)
def test_rules_that_make_no_sense_are_refused(rules, said):
    train, val = game()
    with pytest.raises(ConfigurationError, match=said):
        boost(train, val, np.arange(120), Pool(train[0], 10, 0), fit, embed, BoostRules(**rules))


def test_copies_stay_in_one_part_and_classes_are_even():
    labels, groups = np.arange(90) % 3, np.arange(90) // 3 * 3
    judge, drive = parts(labels, groups, 0.5, 0)
    assert not set(groups[judge]) & set(groups[drive])
    assert abs(len(judge) - 45) <= 6
    with pytest.raises(ConfigurationError, match="at least 20"):
        parts(labels[:15], np.arange(15), 0.5, 0)
