"""Strategies on arrays: cases worked by hand, answers of scikit-activeml, and the contracts that hold for all of them."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.strategies import arrays, clusters, coverage, gradients, linear
from evaluator.strategies.arrays import squared_norms
from evaluator.strategies.committee import bald, consensus_entropy, vote_entropy
from evaluator.strategies.coverage import k_center, prob_cover, purity_radius
from evaluator.strategies.embedding import Embedder
from evaluator.strategies.learner import LearnerRun, Predictor
from evaluator.strategies.quality import agreement, suspects
from evaluator.strategies.uncertainty import (
    ambiguity,
    binary_entropy,
    cardinality_inconsistency,
    expected_balance,
    least_confidence,
    margin,
    max_entropy,
    mean_entropy,
    mmc,
    need_weighted,
    predicted_counts,
)
from tests import reference_strategies

REFERENCE = json.loads(reference_strategies.FILE.read_text())["values"]
CASES = reference_strategies.cases()
LOG2 = math.log(2)


def h(p):
    return -p * math.log(p) - (1 - p) * math.log(1 - p)


def generator(seed=0):
    return np.random.default_rng(seed)


# -- worked by hand

P = [[0.5, 0.5], [0.9, 0.5], [1.0, 0.0], [0.9, 0.2]]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (mean_entropy, [LOG2, (h(0.9) + LOG2) / 2, 0, (h(0.9) + h(0.2)) / 2]),
        (max_entropy, [LOG2, LOG2, 0, h(0.2)]),
        (least_confidence, [0.75, 0.55, 0, 1 - 0.9 * 0.8]),
        (ambiguity, [1.0, 0.6, 0, 0.3]),
        # The two best vectors of the last row are 0.9 * 0.8 and 0.9 * 0.2.
        (margin, [1, 1, 0, 1 - (0.72 - 0.18)]),
        (lambda p: cardinality_inconsistency(p, 1.25), [1.25, 0.25, 0.25, 0.25]),
        (lambda p: mmc(p, [0, 1, 2, 1]), [1.0, 0.6, 1.0, 0.3]),
        (lambda p: need_weighted(p, [0.25, 1]), [0.375, 0.675, 0.75, 0.675]),
    ],
    ids=["mean_entropy", "max_entropy", "least_confidence", "ambiguity", "margin", "cardinality", "mmc", "need_weighted"],
)
def test_utilities_worked_by_hand(function, expected):
    np.testing.assert_allclose(function(P), expected, atol=1e-12)


def test_with_one_class_all_uncertainties_rank_alike():
    p = CASES["one_class"][:, None]
    wanted = np.argsort(np.abs(p[:, 0] - 0.5), kind="stable")
    for function in (mean_entropy, max_entropy, least_confidence, ambiguity, margin):
        np.testing.assert_array_equal(arrays.top(function(p), len(p)), wanted, err_msg=function.__name__)


def test_mmc_is_the_ambiguity_where_the_count_is_what_half_says():
    p = CASES["p"]
    np.testing.assert_allclose(mmc(p, (p > 0.5).sum(1)), ambiguity(p))


def test_the_predicted_count_is_learnt_from_the_profile_of_probabilities():
    rng = generator()
    counts = rng.integers(1, 4, 200)
    labels = np.arange(4) < counts[:, None]
    p = np.clip(labels * 0.9 + rng.random((200, 4)) * 0.1, 0, 1)
    assert (predicted_counts(p[:150], labels[:150], p[150:]) == counts[150:]).mean() > 0.9
    np.testing.assert_array_equal(predicted_counts(p[:1], labels[:1], p[:4]), [counts[0]] * 4)


def test_committee_worked_by_hand():
    # Image 0: two sure members of opposite opinion. 1: both undecided. 2: both sure of the same.
    p = [[[1.0], [0.5], [0.2]], [[0.0], [0.5], [0.2]]]
    np.testing.assert_allclose(bald(p), [LOG2, 0, 0], atol=1e-12)
    np.testing.assert_allclose(vote_entropy(p), [LOG2, 0, 0], atol=1e-12)
    np.testing.assert_allclose(consensus_entropy(p), [LOG2, LOG2, h(0.2)], atol=1e-12)
    np.testing.assert_allclose(bald(np.concatenate([p, p], 2)), [2 * LOG2, 0, 0], atol=1e-12)


def test_expected_balance_asks_for_the_rare_class_until_it_is_rare_no_more():
    labels = [[1, 0], [1, 0], [1, 1]]
    p = [[0.9, 0.1], [0.0, 0.8], [0.1, 0.7], [0.9, 0.9], [0.0, 0.6]]
    # Missing is class 1 by two: 0.9 is the most likely to show it, then 0.8, 0.7 and 0.6; the first image comes last.
    assert expected_balance(p, labels, 5).tolist() == [3, 1, 2, 4, 0]


LINE = np.array([[0.0], [1.0], [2.0], [3.0], [10.0], [11.0], [30.0]])


def test_k_center_worked_by_hand():
    # The mean is 57 / 7 = 8.1, so 10 is first; then 30 is 20 away, 0 is 10 away, and 3 is 3 away from 0.
    assert k_center(LINE, 4).tolist() == [4, 6, 0, 3]
    assert k_center(LINE, 2, labelled=[[30.0], [0.0]]).tolist() == [5, 3]


def test_equal_distances_go_by_position_and_equal_images_are_still_different_ones():
    assert k_center(np.zeros((4, 2)), 3).tolist() == [0, 1, 2]
    assert k_center([[0.0], [1.0], [-1.0]], 2, labelled=[[0.0]]).tolist() == [1, 2]


def test_prob_cover_worked_by_hand():
    # Within a little over 1 of 1 are 0, 1, 2; of 2 are 1, 2, 3. After 1, only 3 (by 2 and 3), 10 and 11, and 30 are open.
    assert prob_cover(LINE, 3, 1.01).tolist() == [1, 4, 2]
    assert prob_cover(LINE, 7, 1.01).tolist() == [1, 4, 2, 6, 0, 3, 5]
    assert prob_cover(LINE, 2, 1.01, labelled=[[1.0]]).tolist() == [4, 2]


def test_the_radius_is_the_largest_that_leaves_balls_pure():
    x, members = [[0.0], [1.0], [3.0], [8.0]], [0, 0, 1, 1]
    # Distances to the other cluster: 3, 2, 2, 7.
    for purity, expected in ((1.0, 2), (0.75, 2), (0.5, 3), (0.25, 7)):
        radius = purity_radius(x, members, purity)
        assert radius < expected
        assert radius == pytest.approx(expected, rel=1e-6)


def test_typicality_is_the_inverse_of_the_mean_distance_to_the_nearest():
    np.testing.assert_allclose(clusters.typicality(LINE[:4].astype(np.float32), 2), [1 / 1.5, 1, 1, 1 / 1.5], rtol=1e-5)


def test_typical_images_come_from_large_clusters_with_few_labels():
    x = [[0.0], [1.0], [2.1], [50.0], [51.0], [90.0]]
    members = [0, 0, 0, 1, 1, 2]
    # Cluster 0 has a label: first 1 (the larger), then 2, then again by need and size.
    assert clusters.typical(x, members, [1, 0, 0], 6, smallest=1).tolist() == [3, 5, 1, 4, 0, 2]
    # A cluster below the smallest size waits until the others are empty.
    assert clusters.typical(x, members, [1, 0, 0], 6, smallest=2).tolist() == [3, 1, 4, 0, 2, 5]


def blobs():
    rng = generator(3)
    return np.concatenate([centre + rng.normal(size=(20, 2)) for centre in ([0, 0], [40, 0], [0, 40])])


def test_k_means_takes_the_image_nearest_to_every_centre():
    x = blobs()
    wanted = [part + np.argmin(((x[part : part + 20] - x[part : part + 20].mean(0)) ** 2).sum(1)) for part in (0, 20, 40)]
    assert sorted(clusters.k_means(x, 3, generator())) == wanted


def test_weights_draw_the_centres():
    x = blobs()
    weights = np.zeros(60)
    weights[[4, 27, 51]] = 1
    assert sorted(clusters.weighted_k_means(x, weights, 3, generator(), beta=None)) == [4, 27, 51]
    # Only the images of largest utility take part.
    weights = np.r_[np.full(20, 5.0), np.full(40, 1.0)]
    assert max(clusters.weighted_k_means(x, weights, 4, generator(), beta=5)) < 20


def gradient_norms(p, x):
    """Squared length of every image's gradient embedding, out of the two factors that ``badge`` works with."""
    residuals, x = gradients._factors(p, x)
    return squared_norms(residuals) * squared_norms(x)


def test_gradient_embeddings_factorise():
    p, x = CASES["p"], CASES["x"]
    whole = ((p - (p >= 0.5))[:, :, None] * x[:, None, :]).reshape(len(x), -1)
    np.testing.assert_allclose(gradient_norms(p, x), (whole**2).sum(1), rtol=1e-5)
    # Where one image differs from all others the draw is certain, whatever the generator says.
    p, x = np.full((5, 1), 0.6), np.array([[1.0], [1.0], [1.0], [1.0], [-9.0]])
    for seed in range(5):
        assert set(gradients.badge(p, np.array(x), 2, generator(seed)).tolist()) & {4} == {4}


def test_badge_draws_in_proportion_to_the_squared_distance():
    # Residuals are 0.5; gradients are 2, 0, 1 and 1.5 times -0.5. The first is image 0; squared distances to it are 4, 1, 0.25.
    p, x = np.full((4, 1), 0.5), np.array([[2.0], [0.0], [1.0], [1.5]])
    rng = generator(1)
    picks = np.array([gradients.badge(p, x, 2, rng) for _ in range(4000)])
    assert (picks[:, 0] == 0).all()
    shares = np.bincount(picks[:, 1], minlength=4) / 4000
    np.testing.assert_allclose(shares, np.array([0, 4, 1, 0.25]) / 5.25, atol=0.03)


def test_suspects_worked_by_hand():
    # Mean probability of those called yes: 0.7; mean (1 - p) of those called no: (0.9 + 0.8 + 0.1) / 3 = 0.6.
    p = [[0.9], [0.9], [0.3], [0.1], [0.2], [0.9]]
    labels = [[1], [1], [1], [0], [0], [0]]
    assert suspects(p, labels)[:, 0].tolist() == [False, False, True, False, False, True]
    assert agreement(p, labels) == pytest.approx(4 / 6)
    assert agreement(np.zeros((0, 2)), np.zeros((0, 2))) == 1
    assert not suspects([[0.0], [1.0]], [[1], [1]]).any()


def test_flipped_labels_lower_the_agreement():
    rng = generator(5)
    truth = rng.random((400, 3)) < 0.4
    p = np.clip(np.where(truth, 0.85, 0.1) + rng.normal(0, 0.08, truth.shape), 0, 1)
    flipped = rng.random(truth.shape) < 0.1
    found = suspects(p, truth ^ flipped)
    assert (found & flipped).sum() > 0.7 * flipped.sum()
    assert (found & ~flipped).sum() < 0.02 * flipped.size
    assert agreement(p, truth) - agreement(p, truth ^ flipped) > 0.05


# -- parity with scikit-activeml


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("mean_entropy", lambda c: mean_entropy(c["p"])),
        ("max_entropy", lambda c: max_entropy(c["p"])),
        ("ambiguity", lambda c: ambiguity(c["p"])),
        ("least_confidence_of_one", lambda c: least_confidence(c["p"][:, :1])),
        ("margin_of_one", lambda c: margin(c["p"][:, :1])),
        ("bald", lambda c: bald(c["members"])),
        ("vote_entropy", lambda c: vote_entropy(c["members"])),
        ("k_center", lambda c: _in_the_pool(k_center(np.delete(c["x"], [3, 11, 42], 0), 20, c["x"][[3, 11, 42]]))),
        ("typiclust", lambda c: sorted(clusters.typiclust(c["blobs"], 5, generator(), neighbours=5, smallest=1))),
        ("weighted_k_means", lambda c: sorted(clusters.weighted_k_means(c["blobs"], c["weights"], 5, generator(), beta=None))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_parity(name, found):
    np.testing.assert_allclose(found(CASES), REFERENCE[name], rtol=1e-5, atol=1e-7)


def _in_the_pool(positions):
    """Positions in the pool without the labelled images, as positions in the whole set."""
    return np.delete(np.arange(60), [3, 11, 42])[positions]


def test_parity_of_typicality():
    wanted = np.array(REFERENCE["typicality_of_largest"])
    (members,) = np.nonzero(wanted)
    np.testing.assert_allclose(clusters.typicality(CASES["blobs"][members].astype(np.float32), 5), wanted[members], rtol=1e-4)


def test_parity_of_prob_cover():
    x = CASES["x"].astype(np.float32)
    pool = np.delete(np.arange(60), [3, 11, 42])
    degrees = np.array(REFERENCE["prob_cover_degrees"])
    near = ((x[:, None] - x[None]) ** 2).sum(-1) <= 1.5**2
    open_ = ~near[[3, 11, 42]].any(0)
    np.testing.assert_array_equal(degrees[pool], near[pool][:, open_].sum(1))
    first = prob_cover(x[pool], 1, 1.5, labelled=x[[3, 11, 42]])[0]
    assert degrees[pool[first]] == degrees.max()


def test_parity_of_the_purity_rule():
    members = np.repeat(np.arange(5), (20, 16, 13, 10, 7))
    found = purity_radius(CASES["blobs"], members)
    # Theirs is the last of a grid.
    assert REFERENCE["purity_delta"] <= found < REFERENCE["purity_delta"] + REFERENCE["purity_grid"]


def test_parity_of_badge():
    p = CASES["one_class"]
    lengths, second = np.array(REFERENCE["badge_first_two"])
    # With two classes that exclude each other both rows of the gradient are alike: the squares are twice those of yes/no.
    found = gradient_norms(p[:, None], CASES["x"])
    np.testing.assert_allclose(found / found.sum(), lengths, rtol=1e-4)
    first = gradients.badge(p[:, None], CASES["x"], 1, generator())[0]
    assert first == np.argmax(lengths)
    whole = (p - (p >= 0.5))[:, None] * CASES["x"]
    # From the second choice on theirs differs from the paper: it also counts the origin as chosen.
    expected = np.minimum(((whole - whole[first]) ** 2).sum(1), (whole**2).sum(1))
    np.testing.assert_allclose(second, expected / expected.sum(), atol=1e-6)


def test_parity_with_the_installed_scikit_activeml():
    pytest.importorskip("skactiveml", reason="scikit-activeml is not installed: pip install -r requirements-activeml.txt")
    fresh = reference_strategies.references()
    assert set(fresh) == set(REFERENCE)
    for name, value in fresh.items():
        np.testing.assert_allclose(np.asarray(value, float), REFERENCE[name], atol=1e-8, err_msg=name)


# -- contracts

CHOICES = {
    "k_center": lambda x, p, b, s: k_center(x, b),
    "k_center_labelled": lambda x, p, b, s: k_center(x, b, x[:2] + 0.5),
    "prob_cover": lambda x, p, b, s: prob_cover(x, b, 0.8),
    "prob_cover_labelled": lambda x, p, b, s: prob_cover(x, b, 0.8, x[:1]),
    "k_means": lambda x, p, b, s: clusters.k_means(x, b, generator(s)),
    "weighted_k_means": lambda x, p, b, s: clusters.weighted_k_means(x, ambiguity(p), b, generator(s), beta=2),
    "clue": lambda x, p, b, s: clusters.weighted_k_means(x, ambiguity(p), b, generator(s), beta=None),
    "typiclust": lambda x, p, b, s: clusters.typiclust(x, b, generator(s), x[:2]),
    "badge": lambda x, p, b, s: gradients.badge(p, x, b, generator(s)),
    "balance": lambda x, p, b, s: expected_balance(p, p > 0.5, b),
    "top": lambda x, p, b, s: arrays.top(ambiguity(p), b),
}
UTILITIES = {
    "mean_entropy": mean_entropy,
    "max_entropy": max_entropy,
    "least_confidence": least_confidence,
    "ambiguity": ambiguity,
    "margin": margin,
    "cardinality": lambda p: cardinality_inconsistency(p, 0.6 * p.shape[1]),
    "mmc": lambda p: mmc(p, (p > 0.3).sum(1)),
    "need_weighted": lambda p: need_weighted(p, np.linspace(0, 1, p.shape[1])),
    "bald": lambda p: bald(np.stack([p, p**2])),
    "vote_entropy": lambda p: vote_entropy(np.stack([p, p**2])),
    "consensus_entropy": lambda p: consensus_entropy(np.stack([p, p**2])),
}


def pool(seed, n, equal):
    rng = generator(seed)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    p = rng.random((n, 2))
    if equal and n:
        # Images that are the same, and answers that are certain.
        x[: n // 2], p[: n // 2] = x[0], np.round(p[0])
    return x, p


@pytest.mark.parametrize("name", CHOICES)
@given(seed=st.integers(0, 99), n=st.integers(2, 40), budget=st.integers(0, 45), equal=st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_choice_is_as_large_as_the_budget_without_repeats_and_the_same_again(name, seed, n, budget, equal):
    x, p = pool(seed, n, equal)
    found = CHOICES[name](x, p, budget, seed)
    assert found.dtype == np.int64
    assert len(found) == min(budget, n)
    assert len(set(found.tolist())) == len(found)
    assert ((found >= 0) & (found < n)).all()
    np.testing.assert_array_equal(found, CHOICES[name](x.copy(), p.copy(), budget, seed))


@pytest.mark.parametrize("name", CHOICES)
def test_an_empty_pool_has_nothing_to_choose(name):
    if "labelled" in name or name in ("typiclust", "balance"):
        pytest.skip("its known images are taken from the pool here")
    assert len(CHOICES[name](np.zeros((0, 3), np.float32), np.zeros((0, 2)), 5, 0)) == 0


@pytest.mark.parametrize("name", ["k_center", "prob_cover", "balance", "top"])
@given(seed=st.integers(0, 99), n=st.integers(3, 30))
@settings(max_examples=25, deadline=None)
def test_a_choice_without_chance_follows_the_images_not_their_places(name, seed, n):
    x, p = pool(seed, n, False)
    order = generator(seed + 1).permutation(n)
    budget = 1 if name == "prob_cover" else n // 2
    found = order[CHOICES[name](x[order], p[order], budget, 0)]
    if name == "prob_cover":
        # Numbers of neighbours are often equal, and the tie is then decided by place.
        near = ((x[:, None] - x[None]) ** 2).sum(-1) <= 0.64
        assert near.sum(1)[found[0]] == near.sum(1).max()
    else:
        np.testing.assert_array_equal(found, CHOICES[name](x, p, budget, 0))


@pytest.mark.parametrize("name", UTILITIES)
@given(seed=st.integers(0, 99), n=st.integers(0, 30), classes=st.integers(1, 5), rounded=st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_utility_belongs_to_its_image_and_is_a_finite_number_from_zero(name, seed, n, classes, rounded):
    p = generator(seed).random((n, classes))
    p = np.round(p) if rounded else p
    found = UTILITIES[name](p)
    assert found.shape == (n,)
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    order = generator(seed + 1).permutation(n)
    np.testing.assert_allclose(UTILITIES[name](p[order]), found[order], atol=1e-12)


@given(seed=st.integers(0, 999), n=st.integers(2, 60), delta=st.floats(0.1, 3), budget=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_prob_cover_is_greedy_on_the_graph_that_it_never_keeps(seed, n, delta, budget):
    x = generator(seed).normal(size=(n, 2))
    near = ((x[:, None] - x[None]) ** 2).sum(-1) <= delta**2
    covered, found = np.zeros(n, bool), prob_cover(x, budget, delta)
    for step, pick in enumerate(found):
        gain = near[:, ~covered].sum(1)
        gain[found[:step]] = -1
        assert gain[pick] == gain.max()
        covered |= near[pick]


@given(seed=st.integers(0, 999), n=st.integers(2, 60), budget=st.integers(2, 60))
@settings(max_examples=60, deadline=None)
def test_k_center_always_takes_the_farthest(seed, n, budget):
    x = generator(seed).normal(size=(n, 3))
    found = k_center(x, budget)
    for step, pick in enumerate(found[1:], 1):
        distance = ((x[:, None] - x[found[:step]]) ** 2).sum(-1).min(1)
        assert distance[pick] == pytest.approx(distance.max(), rel=1e-4)


@pytest.mark.parametrize("labelled", [None, np.zeros((2, 3))], ids=["", "labelled"])
@pytest.mark.parametrize("steps", [1000, 3], ids=["", "ties"])
def test_k_center_of_a_large_pool_keeps_distances_for_a_front_alone_and_chooses_the_same(labelled, steps):
    # Whole numbers are exact in float32, so that nothing but the rule decides.
    x = generator(4).integers(-steps, steps + 1, (2500, 3)).astype(np.float64)
    x -= np.round(x.mean(0))
    x = np.vstack([x, -x])
    found = k_center(x, 150, labelled)
    assert len(set(found.tolist())) == 150
    distance = ((x - x[found[0]]) ** 2).sum(1) if labelled is None else (x**2).sum(1)
    for step, pick in enumerate(found):
        if step or labelled is not None:
            distance[found[:step]] = -1
            assert pick == distance.argmax()
            distance = np.minimum(distance, ((x - x[pick]) ** 2).sum(1))


@pytest.mark.parametrize("function", [prob_cover, k_center], ids=["prob_cover", "k_center"])
def test_blocks_change_nothing(function, monkeypatch):
    x = generator(8).normal(size=(300, 4))
    arguments = (x, 40, 0.9, x[:7] + 0.1) if function is prob_cover else (x, 40, x[:7] + 0.1)
    whole = function(*arguments)
    monkeypatch.setattr(arrays.blocks, "__defaults__", (37,))
    np.testing.assert_array_equal(function(*arguments), whole)


def test_prob_cover_repeats_nothing_where_distances_equal_the_radius():
    x = np.stack(np.meshgrid(np.arange(9), np.arange(9), [0.1, 0.3]), -1).reshape(-1, 3) * 0.37
    for delta in (0.37, 0.74, 0.37 * 2**0.5):
        assert sorted(prob_cover(x, len(x), delta)) == list(range(len(x)))


def test_a_large_radius_does_not_need_all_pairs_at_once():
    import tracemalloc

    x = generator(9).normal(size=(6000, 8)).astype(np.float32)
    tracemalloc.start()
    prob_cover(x, 5, 10.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80e6, "6,000 x 6,000 float32 are 144 MB"


# -- what is refused


@pytest.mark.parametrize("name", UTILITIES)
@pytest.mark.parametrize(
    ("p", "message"),
    [
        (np.array([[0.2, np.nan]]), "nan"),
        (np.array([[0.2, 1.3]]), "0 to 1"),
        (np.array([[-0.1, 0.3]]), "0 to 1"),
        (np.zeros((3, 0)), "shape"),
    ],
    ids=["nan", "above", "below", "no-class"],
)
def test_bad_probabilities_are_refused(name, p, message):
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=message):
        UTILITIES[name](p)


def test_probabilities_of_the_wrong_dimensions_are_refused():
    with pytest.raises(ValueError, match=r"\(n, classes\)"):
        mean_entropy([0.5, 0.5])
    with pytest.raises(ValueError, match="members"):
        bald([[0.5, 0.5]])
    with pytest.raises(ValueError, match="numbers"):
        mean_entropy([["a"]])
    assert mean_entropy(np.array([[1.0000001, -1e-7]], np.float32)) == 0


@pytest.mark.parametrize("name", [n for n in CHOICES if n not in ("balance", "top")])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30], ids=["nan", "infinite", "huge"])
def test_bad_embeddings_are_refused(name, value):
    x, p = pool(0, 6, False)
    x[1, 1] = value
    with pytest.raises(ValueError, match=r"embeddings"):
        CHOICES[name](x, p, 3, 0)


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize(
    ("budget", "error"), [(-1, ValueError), (1.5, TypeError), (True, TypeError)], ids=["negative", "half", "bool"]
)
def test_bad_budgets_are_refused(name, budget, error):
    x, p = pool(0, 6, False)
    with pytest.raises(error, match=r"budget|integer"):
        CHOICES[name](x, p, budget, 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: k_center(np.zeros((3, 2)), 1, np.zeros((2, 5))), "5 columns"),
        (lambda: k_center(np.zeros(3), 1), "shape"),
        (lambda: prob_cover(np.zeros((3, 2)), 1, 0), "radius"),
        (lambda: prob_cover(np.zeros((3, 2)), 1, math.inf), "radius"),
        (lambda: purity_radius(np.zeros((3, 2)), [0, 0, 0]), "one cluster"),
        (lambda: purity_radius(np.zeros((3, 2)), [0, 1]), "clusters"),
        (lambda: purity_radius(np.zeros((3, 2)), [0, 1, 1], 0), "purity"),
        (lambda: purity_radius(np.zeros((3, 2)), [0, 1, 1], sample=2), "generator"),
        (lambda: clusters.weighted_k_means(np.zeros((3, 2)), [-1, 0, 0], 1, generator()), "weight"),
        (lambda: clusters.weighted_k_means(np.zeros((3, 2)), [1, 0], 1, generator()), "utilities"),
        (lambda: clusters.weighted_k_means(np.zeros((3, 2)), [1, 0, 0], 1, generator(), beta=0.5), "beta"),
        (lambda: gradients.badge(np.zeros((2, 1)), np.zeros((3, 2)), 1, generator()), "2 images"),
        (lambda: cardinality_inconsistency([[0.5]], 2), "mean number"),
        (lambda: mmc([[0.5]], [0.5]), "whole"),
        (lambda: mmc([[0.5]], [2]), "whole"),
        (lambda: need_weighted([[0.5]], [1.5]), "F1"),
        (lambda: need_weighted([[0.5]], [0.5, 0.5]), "F1"),
        (lambda: predicted_counts([[0.5]], [[1], [0]], [[0.5]]), "fit"),
        (lambda: expected_balance([[0.5]], [[1, 0]], 1), "classes"),
        (lambda: suspects([[0.5]], [[2]]), "0 and 1"),
        (lambda: suspects([[0.5]], [[1, 0]]), "shape"),
        (lambda: arrays.top([np.nan], 1), "nan"),
    ],
    ids=range(22),
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_binary_entropy_is_zero_where_all_is_sure():
    assert binary_entropy(np.array([0.0, 1.0])).tolist() == [0, 0]


def test_a_sampled_radius_is_near_to_the_whole_one():
    rng = generator(2)
    x = np.concatenate([rng.normal(0, 1, (1500, 2)), rng.normal(9, 1, (1500, 2))])
    members = np.repeat([0, 1], 1500)
    whole = purity_radius(x, members)
    assert purity_radius(x, members, sample=800, rng=generator()) == pytest.approx(whole, rel=0.1)
    assert coverage.nearest_squared(arrays.as_embeddings(x[:3]), arrays.as_embeddings(x[:1]))[0] == 0


# -- what outlives a restart


def test_a_run_that_was_restored_can_be_kept_and_restored_again(tmp_path):
    rng = np.random.default_rng(1)
    embedder = Embedder(np.zeros(6), np.ones(6), np.eye(6))
    predictor = Predictor(embedder, linear.Linear(rng.standard_normal((6, 2)), np.zeros(2)), 32)
    predictor.save(tmp_path / "predictor.npz")
    first, second = LearnerRun(), LearnerRun()
    first.load_checkpoint(str(tmp_path))
    (tmp_path / "predictor.npz").unlink()
    first.save_checkpoint(str(tmp_path))
    second.load_checkpoint(str(tmp_path))
    assert np.array_equal(second.learner.model.weights, predictor.model.weights)


def test_a_run_without_a_learner_says_what_is_missing():
    with pytest.raises(RuntimeError, match="purchase_phase must set it"):
        LearnerRun().prediction_phase(None)
