"""Every baseline, run as a submission, and the small models that they share."""

import shutil
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from baselines.adaptive import rounds_left, trustworthy
from baselines.iterative_entropy import EPOCHS, ROUNDS, plan
from evaluator.errors import Verdict
from evaluator.purchase.rounds import ROUND2
from evaluator.strategies import embedding, linear
from evaluator.strategies.learner import Learner, affordable
from evaluator.strategies.quality import Harm, excess
from evaluator.submission.source import read_source
from evaluator.worker.datasets import ImageDataset
from evaluator.worker.loader import entry_file, find_class, load_entry
from evaluator.worker.phases import keywords_for
from evaluator.worker.purchase import TRACK, PoolDataset

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ROUND2.classes
BASELINES = sorted(
    path
    for path in (ROOT / "baselines").iterdir()
    if path.name[0] not in "_." and path.name not in ("README.md", "cleaning", "curation")
)
NAMES = [
    "adaptive",
    "ambiguity",
    "badge",
    "bald_dropout",
    "cardinality",
    "class_balance",
    "committee",
    "full_pool",
    "iterative_entropy",
    "k_center",
    "k_means",
    "least_confidence",
    "margin",
    "max_entropy",
    "mean_entropy",
    "mmc",
    "need_weighted",
    "prob_cover",
    "random",
    "scikit_activeml",
    "typiclust",
    "weighted_k_means",
]
EXTRA = pytest.mark.skipif(
    find_spec("skactiveml") is None, reason="scikit-activeml is not installed: pip install -r requirements-activeml.txt"
)
RUNNABLE = [pytest.param(path, id=path.stem, marks=[EXTRA] if path.stem == "scikit_activeml" else []) for path in BASELINES]
# Whole sessions of a baseline of each kind; those of the others are endurance tests.
OF_A_KIND = ("random", "margin", "k_center", "badge")
SESSIONS = [
    param if param.id in OF_A_KIND else pytest.param(*param.values, id=param.id, marks=[*param.marks, pytest.mark.endurance])
    for param in RUNNABLE
]


def test_the_folder_holds_the_baselines_and_nothing_else():
    assert sorted(read_source(path).name for path in BASELINES) == NAMES


def test_a_baseline_is_short_and_names_its_source():
    for path in BASELINES:
        text = entry_file(path).read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 100, path.name
        if path.stem not in ("random", "full_pool", "class_balance", "need_weighted", "adaptive"):
            assert any(f"{year}" in text.split('"""')[1] for year in range(1990, 2024)), path.name


class Shop:
    """A market without an evaluator behind it."""

    def __init__(self, labels, budget):
        self.labels, self.budget, self.purchased, self.clock_was_read = labels, budget, {}, False

    @property
    def remaining(self):
        return self.budget - len(self.purchased)

    def purchase_labels(self, indices):
        self.purchased.update((int(i), self.labels[i]) for i in indices)
        assert self.remaining >= 0
        return self.labels[np.asarray(indices, np.int64)].astype(np.int64)

    def remaining_time(self):
        self.clock_was_read = True
        return 50.0


def class_of(path):
    """The class of a baseline, imported into this process."""
    return find_class(load_entry(path), path if path.is_dir() else path.parent, TRACK.marker, TRACK.base, TRACK.interface)


@pytest.fixture
def phases(sets, monkeypatch):
    """Run the two later phases of a baseline in this process: what it bought in order, and its predictions."""

    monkeypatch.setattr(sys, "path", [*sys.path])  # the loader puts the submission's folder on it

    def run(path, budget):
        made = class_of(path)()
        images, labels = sets.images, sets.splits["training"].labels.astype(np.int64)
        training, pool = images["training"], images["unlabelled"]
        shop = Shop(sets.splits["unlabelled"].labels, budget)
        offered = {
            "training_dataset": ImageDataset(training.path, training.rows, labels, CLASSES),
            "unlabelled_dataset": PoolDataset(pool.path, pool.rows, CLASSES, shop),
            "budget": budget,
            "seed": 7,
            "register_progress": lambda fraction: None,
        }
        made.purchase_phase(**keywords_for(made.purchase_phase, offered, TRACK.aliases))
        test = ImageDataset(images["debug"].path, images["debug"].rows, None, CLASSES)
        return list(shop.purchased), made.prediction_phase(
            **keywords_for(made.prediction_phase, {"test_dataset": test, "register_progress": print})
        )

    return run


@pytest.mark.slow
@pytest.mark.parametrize("path", SESSIONS)
def test_a_baseline_as_a_submission_buys_its_budget_and_the_same_again(path, session, phases):
    result = session(path, budget=12)
    assert result.verdict is Verdict.OK, (result.reason, result.log)
    indices = [int(purchase.index) for purchase in result.ledger]
    assert len(indices) == len(set(indices)) == 12
    assert "Warning" not in result.log, result.log
    assert [int(purchase.index) for purchase in session(path, budget=12).ledger] == indices
    # This process may compute with other BLAS kernels than a worker (OPENBLAS_CORETYPE): two images whose utilities differ in the
    # last bits then change places, but what is bought stays.
    assert sorted(phases(path, 12)[0]) == sorted(indices)


@pytest.mark.parametrize("budget", [1, 3, 10_000])
def test_the_starter_buys_what_it_can_whatever_the_budget(session, sets, budget):
    result = session(ROOT / "my_submission", budget=budget)
    assert result.verdict is Verdict.OK, (result.reason, result.trace)
    assert len(result.ledger) == min(budget, len(sets.splits["unlabelled"].labels))


@pytest.mark.slow
@pytest.mark.parametrize("path", SESSIONS)
@pytest.mark.endurance
def test_a_baseline_outlives_a_restart_between_phases(path, session):
    if not hasattr(class_of(path), "save_checkpoint"):
        pytest.skip("predicts nothing and keeps nothing")
    plain, restarted = session(path, budget=12), session(path, budget=12, restart=True)
    assert restarted.verdict is Verdict.OK, (restarted.reason, restarted.log)
    assert [p.index for p in restarted.ledger] == [p.index for p in plain.ledger]
    assert np.array_equal(restarted.predictions, plain.predictions)


@pytest.mark.parametrize("path", RUNNABLE)
@pytest.mark.parametrize("budget", [0, 1, 200], ids=["none", "one", "more-than-the-pool"])
def test_a_baseline_takes_any_budget(path, budget, phases):
    bought, predictions = phases(path, budget)
    assert len(bought) == min(budget, 80)
    assert np.shape(predictions) == (6, len(CLASSES))
    assert ((predictions >= 0) & (predictions <= 1)).all()


def test_the_strategies_are_part_of_what_a_submission_is_named_by(tmp_path, monkeypatch):
    from evaluator.submission import source

    copy = tmp_path / "strategies"
    shutil.copytree(source.STRATEGIES, copy)
    monkeypatch.setattr(source, "STRATEGIES", copy)
    uses, does_not = ROOT / "baselines" / "margin.py", ROOT / "baselines" / "random"
    before = read_source(uses).digest, read_source(does_not).digest
    (copy / "uncertainty.py").write_text("# another strategy\n")
    assert read_source(uses).digest != before[0]
    assert read_source(does_not).digest == before[1]


# -- plans


@pytest.mark.parametrize(
    ("seconds", "epoch", "rounds", "expected"),
    [
        (1000, 0.01, ROUNDS, (ROUNDS, EPOCHS)),
        (4.2, 0.05, ROUNDS, (2, EPOCHS)),
        (1.0, 0.1, ROUNDS, (1, 10)),
        (0.01, 1.0, ROUNDS, (1, 1)),
        (-5, 1.0, ROUNDS, (1, 1)),
        (1000, 0.0, 3, (3, EPOCHS)),
    ],
    ids=["ample", "two-rounds", "one-short-round", "hardly-any", "late", "the-last-ones"],
)
def test_rounds_and_epochs_fit_into_the_time_left(seconds, epoch, rounds, expected):
    assert plan(seconds, epoch, rounds) == expected
    assert expected == (1, 1) or expected[0] * expected[1] * epoch <= seconds


def test_rounds_are_as_many_as_labels_and_clock_allow():
    assert rounds_left(1000, 100, 0.1, 0) == 8
    assert rounds_left(1000, 100, 0.1, 5) == 3
    assert rounds_left(20, 100, 0.1, 0) == 2
    assert rounds_left(1000, 0.35, 0.1, 0) == 3
    assert rounds_left(1000, -1, 0.1, 7) == 1


def model_of(rng, n=400, classes=3):
    """Probabilities that are right, and labels drawn from them."""
    p = 1 / (1 + np.exp(-rng.normal(0, 2.5, (n, classes))))
    return p, rng.random(p.shape) < p


def test_labels_that_are_merely_hard_do_not_count_as_wrong():
    rng = np.random.default_rng(0)
    for seed in range(20):
        p, labels = model_of(np.random.default_rng(seed), n=2000)
        value, error = excess(p, labels)
        assert abs(value) < 4 * error
        p, labels = np.full((400, 3), 0.5), rng.random((400, 3)) < 0.5
        assert excess(p, labels)[0] == pytest.approx(0)
    p, labels = model_of(rng)
    flipped = labels ^ (rng.random(labels.shape) < 0.2)
    expected = 0.2 * ((1 - 2 * p) ** 2).mean()
    assert excess(p, flipped)[0] == pytest.approx(expected, rel=0.3)


def test_bought_labels_are_doubted_where_they_are_noisy_and_training_labels_never():
    p, labels = model_of(np.random.default_rng(1), n=600)
    flips = np.random.default_rng(2).random(labels.shape) < 0.2
    flips[:200] = False
    assert trustworthy(p, labels, 200) is None
    trusted = trustworthy(p, labels ^ flips, 200)
    assert trusted[:200].all()
    assert trusted[flips].mean() < 0.6 < 0.85 < trusted[200:][~flips[200:]].mean()
    assert trustworthy(p[:1], labels[:1], 1) is None


def alarms(seeds, quality: float, bought: int = 60) -> int:
    """In how many purchases the test says that bought labels hurt, which are right at a rate of ``quality``."""
    found = 0
    for seed in seeds:
        rng = np.random.default_rng([16, seed])
        x = rng.normal(0, 1, (60 + bought, 6))
        y = (rng.random((len(x), 2)) < 1 / (1 + np.exp(-3 * x[:, :2]))).astype(np.uint8)
        sold = y[60:] ^ (rng.random(y[60:].shape) >= quality)
        found += Harm(x[:60], y[:60], rng).shown(x[60:], sold)
    return found


def test_right_labels_are_not_refused_and_labels_that_hurt_are():
    assert alarms(range(8), 1.0) == 0
    assert alarms(range(8), 0.3) >= 7


def test_the_end_of_a_purchase_needs_images_to_tell_by():
    few = Harm(np.zeros((4, 3)), np.zeros((4, 2), np.uint8), np.random.default_rng(0))
    assert not few.shown(np.ones((9, 3)), np.ones((9, 2), np.uint8))
    some = Harm(np.zeros((40, 3)), np.zeros((40, 2), np.uint8), np.random.default_rng(0))
    assert not some.shown(np.zeros((0, 3)), np.zeros((0, 2), np.uint8)), "nothing was bought"
    assert some.statistic(np.zeros((9, 3)), np.zeros((9, 2), np.uint8)) < 0, "more of the same makes surer"


@pytest.mark.endurance
def test_right_labels_are_refused_in_one_purchase_of_a_hundred_at_most():
    assert alarms(range(1000), 1.0) <= 10
    assert alarms(range(1000), 1.0, bought=10) <= 10


# -- embeddings


def pictures(n, side=24, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def test_statistics_are_finite_repeat_and_belong_to_their_image():
    images = pictures(70)
    images[3], images[4] = 0, 255
    found = embedding.image_statistics(images)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    order = np.random.default_rng(1).permutation(70)
    np.testing.assert_allclose(embedding.image_statistics(images[order]), found[order], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("side", [4, 8, 30, 64, 224])
def test_images_of_any_size_have_statistics(side):
    found = embedding.image_statistics(pictures(2, side))
    assert found.shape[0] == 2
    assert np.isfinite(found).all()


def test_statistics_tell_a_scratch_from_none():
    rng = np.random.default_rng(0)
    images = rng.integers(100, 140, (200, 32, 32, 3), dtype=np.uint8)
    marked = rng.random(200) < 0.5
    for i in np.flatnonzero(marked):
        row = rng.integers(4, 28)
        images[i, row, 6:26] = 230
    (x,) = embedding.embed(images)
    model = linear.fit(x[:100], marked[:100, None].astype(int))
    assert ((model.probabilities(x[100:])[:, 0] > 0.5) == marked[100:]).mean() > 0.9


def test_embeddings_keep_what_varies_and_cut_off_what_is_unheard_of():
    statistics = np.random.default_rng(0).normal(size=(50, 10)).astype(np.float32)
    statistics[:, 4] = 7
    embedder = embedding.Embedder.fit(statistics, 6)
    assert embedder(statistics).shape == (50, 6)
    assert np.abs(embedder(statistics * 1e9)).max() <= 8 * 10**0.5 + 1e-3
    # All components together keep every distance between standardised images.
    whole = embedding.Embedder.fit(statistics)
    z = (statistics - statistics.mean(0)) / np.where(np.arange(10) == 4, 1, statistics.std(0))
    x = whole(statistics)
    np.testing.assert_allclose(((x[0] - x[1]) ** 2).sum(), ((z[0] - z[1]) ** 2).sum(), rtol=1e-3)


@pytest.mark.parametrize(
    "images",
    [np.zeros((2, 8, 8), np.uint8), np.zeros((2, 8, 8, 3)), np.zeros((2, 3, 8, 3), np.uint8)],
    ids=["grey", "floats", "narrow"],
)
def test_what_is_no_picture_is_refused(images):
    with pytest.raises(ValueError, match=r"uint8 \(n, H, W, 3\)"):
        embedding.image_statistics(images)


def test_images_are_made_smaller_until_the_time_suffices(monkeypatch):
    seconds = iter(range(1000))
    monkeypatch.setattr(time, "perf_counter", lambda: next(seconds))  # every measurement takes a second for 16 images
    dataset = [{"image": image} for image in pictures(16, 64)]
    assert affordable(dataset, 160, 10) == 64
    assert affordable(dataset, 160, 9) == 16


# -- linear models


def easy(n=300, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 8)).astype(np.float32)
    return x, (x[:, :classes] + 0.3 * rng.normal(size=(n, classes)) > 0).astype(int)


def test_a_linear_model_learns_and_knows_rates_where_there_is_nothing_to_learn():
    x, y = easy()
    y[:, 2] = 0
    model = linear.fit(x[:200], y[:200])
    found = model.probabilities(x[200:])
    assert ((found > 0.5) == y[200:]).mean() > 0.85
    np.testing.assert_allclose(found[:, 2], 0.5 / 201)


def test_labels_that_are_not_trusted_are_not_learnt():
    x, y = easy()
    wrong = y.copy()
    trusted = np.ones(y.shape, bool)
    wrong[:100, 1] = 1 - wrong[:100, 1]
    trusted[:100, 1] = False
    found = linear.fit(x, wrong, trusted=trusted)
    right = linear.fit(x[100:], y[100:])
    np.testing.assert_allclose(found.weights[:, 1], right.weights[:, 1])
    assert found.bias[1] == right.bias[1]


def test_cross_validation_never_asks_a_model_about_what_it_learnt():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 50)), rng.integers(0, 2, (60, 2))
    learnt = np.abs(linear.fit(x, y, 100.0).probabilities(x) - y).mean()
    held_out = np.abs(linear.cross_validated(x, y, np.random.default_rng(1), strength=100.0) - y).mean()
    assert learnt < 0.1 < 0.35 < held_out


def test_the_best_f1_is_that_of_the_best_threshold():
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(3)
    p, y = rng.random((40, 3)), rng.integers(0, 2, (40, 3))
    y[:, 2] = 0
    expected = [max(f1_score(y[:, c], p[:, c] >= t, zero_division=0) for t in p[:, c]) for c in range(3)]
    np.testing.assert_allclose(linear.best_f1(p, y), expected)


@pytest.mark.parametrize("make", [linear.dropout, linear.snapshots], ids=["dropout", "snapshots"])
def test_a_committee_agrees_where_it_is_easy_differs_where_not_and_repeats(make):
    x, y = easy()
    found = make(x[:200], y[:200], x[200:], np.random.default_rng(0))
    assert found.shape[1:] == (100, 3)
    assert (((found.mean(0) > 0.5) == y[200:]).mean()) > 0.8
    assert 0.001 < found.std(0).mean() < 0.3
    np.testing.assert_array_equal(found, make(x[:200], y[:200], x[200:], np.random.default_rng(0)))


def test_a_learner_grows_by_what_it_buys(tmp_path):
    images = pictures(40, 16)
    np.save(tmp_path / "images.npy", images)
    labels = np.random.default_rng(0).integers(0, 2, (40, 2))
    whole = ImageDataset(str(tmp_path / "images.npy"), None, labels, ("a", "b"))
    learner = Learner(whole[:10], whole[10:], seed=3)
    before = learner.probabilities()
    learner.add([4, 2], labels[[14, 12]])
    np.testing.assert_array_equal(learner.x[10:], learner.pool[[4, 2]])
    assert learner.y.shape == (12, 2)
    assert not np.array_equal(learner.probabilities(), before)
    assert learner.held_out().shape == (12, 2)
    np.testing.assert_allclose(learner.predict(whole[10:]), learner.probabilities(), atol=1e-5)
