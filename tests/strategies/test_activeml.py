"""The adapter of scikit-activeml: held against direct calls, against our own strategies, and run as a submission."""

import inspect
import itertools
import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import local_evaluation
from evaluator.errors import Verdict
from evaluator.strategies import activeml, clusters, coverage, gradients, linear
from evaluator.strategies.activeml import LabelVectors, PoolStrategy
from evaluator.strategies.arrays import top
from evaluator.strategies.uncertainty import least_confidence, margin, mean_entropy

ROOT = Path(__file__).resolve().parents[2]
BASELINE = ROOT / "baselines" / "scikit_activeml.py"
SUPPORTED = [
    "Badge",
    "Clue",
    "ContrastiveAL",
    "CoreSet",
    "CostEmbeddingAL",
    "DiscriminativeAL",
    "DropQuery",
    "Falcun",
    "FourDs",
    "GreedySamplingX",
    "MaxHerding",
    "ProbCover",
    "ProbabilisticAL",
    "Quire",
    "RandomSampling",
    "TypiClust",
    "UncertaintySampling",
]
installed = pytest.mark.skipif(
    find_spec("skactiveml") is None, reason="scikit-activeml is not installed: pip install -r requirements-activeml.txt"
)


def toy(labelled=25, n=40, classes=3, seed=0):
    """Embeddings and labels of labelled images, and embeddings of a pool."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(labelled + n, 5)).astype(np.float32)
    y = (x[:labelled, :classes] + 0.5 * rng.normal(size=(labelled, classes)) > 0.3).astype(int)
    return x[:labelled], y, x[labelled:]


def query(name, x, y, pool, budget, seed=0, **options):
    return PoolStrategy(name, options).query(x, y, pool, budget, np.random.default_rng(seed))


def seed_of(seed):
    """The seed that a strategy is given where nothing else is drawn before it."""
    return int(np.random.default_rng(seed).integers(2**31))


# -- label vectors


def test_label_vectors_are_numbered_and_read_back():
    labels = np.array(list(itertools.product((0, 1), repeat=4)))
    numbers = activeml.encode(labels)
    assert sorted(numbers) == list(range(16))
    np.testing.assert_array_equal(activeml.decode(numbers, 4), labels)
    assert activeml.encode([[1, 0, 1, 0]]) == [5]


def test_the_probability_of_a_vector_is_the_product_over_its_classes():
    x, y, pool = toy()
    y[:, 2] = 0  # a class that was never seen
    found = LabelVectors(3).fit(x, activeml.encode(y)).predict_proba(pool)
    p = linear.fit(x, y).probabilities(pool)
    for number in range(8):
        bits = activeml.decode([number], 3)[0]
        np.testing.assert_allclose(found[:, number], np.where(bits, p, 1 - p).prod(1), rtol=1e-12)
    np.testing.assert_allclose(found.sum(1), 1)


# -- every strategy that runs


@installed
def test_the_strategies_that_run_are_known_and_all_others_say_what_they_need():
    assert activeml.supported() == SUPPORTED
    for name in set(activeml._strategies()) - set(SUPPORTED):
        assert activeml.needs(name), name
        assert "argument" not in activeml.needs(name), f"{name}: say what it needs in words"


@installed
@pytest.mark.parametrize("name", SUPPORTED)
def test_a_strategy_returns_its_budget_without_repeats_and_the_same_again(name):
    x, y, pool = toy(n=80)
    found = query(name, x, y, pool, 20, seed=3)
    assert found.dtype == np.int64
    assert len(set(found.tolist())) == len(found) == 20
    assert found.min() >= 0
    assert found.max() < len(pool)
    for seed in range(3):
        np.random.seed(seed)  # nothing may hang on the generator of the process
        np.testing.assert_array_equal(query(name, x, y, pool, 20, seed=3), found)


@installed
@pytest.mark.parametrize("name", SUPPORTED)
def test_a_strategy_copes_with_images_that_are_the_same_and_classes_never_seen(name):
    x, y, pool = toy(labelled=12, n=24)
    pool[:18] = pool[0]
    y[:] = [1, 0, 0]
    found = query(name, x, y, pool, 15)
    assert len(set(found.tolist())) == len(found) == 15
    assert set(found.tolist()) <= set(range(24))


@installed
@pytest.mark.parametrize("name", SUPPORTED)
def test_budgets_at_the_ends_ask_no_strategy(name):
    x, y, pool = toy(n=8)
    assert query(name, x, y, pool, 0).tolist() == []
    assert query(name, x, y, pool, 50).tolist() == list(range(8))
    assert len(query(name, x, y, pool, 1)) == 1
    assert len(query(name, x, y, pool, 7)) == 7
    assert query(name, x, y, pool[:0], 3).tolist() == []


# -- against direct calls


@installed
@pytest.mark.parametrize("name", [name for name in SUPPORTED if name not in ("FourDs", "ProbabilisticAL", "DiscriminativeAL")])
def test_the_adapter_says_what_a_direct_call_says(name):
    import skactiveml.pool
    from skactiveml.base import SkactivemlClassifier

    x, y, pool = toy(labelled=30, n=50)
    vectors = list(itertools.product((0, 1), repeat=3))  # the first class counts least

    class Product(SkactivemlClassifier):
        """The same model, written as a classifier of theirs; it is fitted by the strategy."""

        def fit(self, X, y, sample_weight=None):
            X, y, _ = self._validate_data(X, y)
            known = y >= 0
            self.model_ = linear.fit(X[known], np.array(vectors)[y[known].astype(int)][:, ::-1])
            return self

        def predict_proba(self, X):
            p = self.model_.probabilities(np.asarray(X))
            return np.stack([np.where(np.array(vector[::-1]), p, 1 - p).prod(1) for vector in vectors], 1)

    rows = np.vstack([x, pool])
    labels = np.concatenate([[vectors.index(tuple(row[::-1])) for row in y.tolist()], np.full(len(pool), np.nan)])
    made = getattr(skactiveml.pool, name)
    options = {"classes": np.arange(8)} if name in ("Quire", "CostEmbeddingAL") else {}
    if name in ("Clue", "DropQuery"):  # left to NumPy's global generator by themselves
        options["cluster_algo_dict"] = {"random_state": seed_of(5)}
    asked = {"clf", "estimator"} & set(inspect.signature(made.query).parameters)
    given = {argument: Product(classes=np.arange(8), random_state=0) for argument in asked}
    expected = made(**options, random_state=seed_of(5)).query(rows, labels, batch_size=10, **given)
    np.testing.assert_array_equal(query(name, x, y, pool, 10, seed=5), np.asarray(expected) - len(x))


@installed
def test_options_reach_the_strategy():
    x, y, pool = toy()
    entropy = query("UncertaintySampling", x, y, pool, 12, method="entropy")
    assert entropy.tolist() != query("UncertaintySampling", x, y, pool, 12, method="least_confident").tolist()


# -- against our own strategies


@installed
@pytest.mark.parametrize(
    ("method", "own"), [("least_confident", least_confidence), ("margin_sampling", margin), ("entropy", mean_entropy)]
)
def test_uncertainty_over_label_vectors_is_ours(method, own):
    x, y, pool = toy(n=200)
    expected = top(own(linear.fit(x, y).probabilities(pool)), 60)
    np.testing.assert_array_equal(query("UncertaintySampling", x, y, pool, 60, method=method), expected)


@installed
@pytest.mark.parametrize("name", ["CoreSet", "GreedySamplingX"])
def test_core_sets_are_those_of_k_center(name):
    x, y, pool = toy(n=200)
    np.testing.assert_array_equal(query(name, x, y, pool, 60), coverage.k_center(pool, 60, x))


@installed
def test_typical_images_are_ours():
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(7, 5)) * 30
    x = (centres[:2] + 0.1 * rng.normal(size=(2, 5))).astype(np.float32)
    pool = np.concatenate([c + rng.normal(size=(9 + i, 5)) for i, c in enumerate(centres)]).astype(np.float32)
    y = np.array([[0, 1], [1, 0]])
    own = clusters.typiclust(pool, 5, np.random.default_rng(0), x, neighbours=5, smallest=1)
    # Two clusters have a label each; the five others are asked for, the largest first.
    np.testing.assert_array_equal(query("TypiClust", x, y, pool, 5), own)


@installed
def test_balls_are_counted_as_ours_are():
    x, y, pool = toy(n=80)
    near = ((pool[:, None] - pool[None]) ** 2).sum(-1) <= 1.5**2
    uncovered = ~(((pool[:, None] - x[None]) ** 2).sum(-1) <= 1.5**2).any(1)
    degrees = near[:, uncovered].sum(1)
    found, own = query("ProbCover", x, y, pool, 1, deltas=[1.5])[0], coverage.prob_cover(pool, 1, 1.5, x)[0]
    # Theirs draws among equals, ours takes the first.
    assert degrees[found] == degrees[own] == degrees.max() > 1


@installed
def test_the_longest_gradient_comes_first_as_in_ours():
    x, y, pool = toy(classes=1, n=80)
    p = linear.fit(x, y).probabilities(pool)
    assert query("Badge", x, y, pool, 1)[0] == gradients.badge(p, pool, 1, np.random.default_rng(0))[0]


# -- limits


class Counted:
    """A learner and a market in one, which note what was known at every purchase."""

    def __init__(self, n, labelled=25):
        self.x, self.y, self.pool = toy(labelled=labelled, n=n)
        self.truth = toy(labelled=n, seed=1)[1]
        self.rng, self.batches, self.known = np.random.default_rng(4), [], []

    def buy(self, market, indices):
        assert market is self
        self.known.append(len(self.x))
        self.batches.append(indices.tolist())
        self.x = np.concatenate([self.x, self.pool[indices]])
        self.y = np.concatenate([self.y, self.truth[indices]])


@installed
def test_a_budget_is_one_query_where_the_limits_allow():
    learner = Counted(60)
    PoolStrategy("CoreSet").purchase(learner, learner, 40)
    assert [len(batch) for batch in learner.batches] == [40]


@installed
@pytest.mark.parametrize("name", ["CoreSet", "DropQuery", "RandomSampling"])
def test_a_large_budget_is_spent_in_queries_that_know_of_each_other(name):
    learner = Counted(60)
    PoolStrategy(name, candidates=20, batch=15).purchase(learner, learner, 58)
    # Half of 20 drawn ones; when as few are left, there is nothing to draw.
    assert [len(batch) for batch in learner.batches] == [10, 10, 10, 10, 15, 3]
    assert learner.known == [25, 35, 45, 55, 65, 80]
    bought = list(itertools.chain(*learner.batches))
    assert len(set(bought)) == len(bought) == 58


@installed
@pytest.mark.parametrize(("name", "most"), [("Quire", activeml.SLOW["Quire"]), ("CoreSet", 30)])
def test_no_more_rows_than_stated_reach_a_strategy(name, most, monkeypatch):
    import skactiveml.pool

    seen = []

    def note(self, X, y, candidates=None, batch_size=1):
        seen.append((len(X), len(candidates), int(np.isnan(y).sum())))
        return candidates[:batch_size]

    monkeypatch.setattr(getattr(skactiveml.pool, name), "query", note)
    x, y, pool = toy(labelled=500, n=700)
    limits = {} if name in activeml.SLOW else {"candidates": most}
    PoolStrategy(name, **limits).query(x, y, pool, 5, np.random.default_rng(0))
    assert seen == [(2 * most, most, most)]


@installed
def test_a_strategy_that_repeats_itself_is_asked_for_the_rest(monkeypatch):
    import skactiveml.pool

    def last(self, X, y, candidates=None, batch_size=1):
        return [candidates[-1]] * batch_size

    def foreign(self, X, y, candidates=None, batch_size=1):
        return [0] * batch_size

    monkeypatch.setattr(skactiveml.pool.CoreSet, "query", last)
    x, y, pool = toy()
    assert query("CoreSet", x, y, pool, 3).tolist() == [39, 38, 37]
    monkeypatch.setattr(skactiveml.pool.CoreSet, "query", foreign)
    with pytest.raises(ValueError, match="CoreSet of scikit-activeml chose none of 40 candidates"):
        query("CoreSet", x, y, pool, 3)


# -- refusals


@installed
@pytest.mark.parametrize(
    ("name", "need"),
    [
        ("QueryByCommittee", "a committee of classifiers"),
        ("GreedySamplingTarget", "a regressor"),
        ("EpistemicUncertaintySampling", "two classes"),
        ("MonteCarloEER", "a training for every image"),
        ("SubSamplingWrapper", "another strategy to wrap"),
        ("SingleAnnotatorWrapper", "several annotators"),
    ],
)
def test_a_strategy_that_cannot_run_says_what_it_needs_and_what_can(name, need):
    with pytest.raises(ValueError, match=f"{name} of scikit-activeml needs .*{need}.*; these run here: Badge, .*TypiClust"):
        PoolStrategy(name)


@installed
def test_a_name_an_option_or_a_limit_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no pool strategy 'Bagde'; these run here: Badge"):
        PoolStrategy("Bagde")
    with pytest.raises(TypeError, match=r"DropQuery has no option rate; its options: .*dropout_rate"):
        PoolStrategy("DropQuery", {"rate": 0.5})
    with pytest.raises(ValueError, match="candidates=1"):
        PoolStrategy("CoreSet", candidates=1)
    with pytest.raises(ValueError, match="batch=0"):
        PoolStrategy("CoreSet", batch=0)


@installed
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y, pool: (x, y[1:], pool), "25 embeddings and 24 labels"),
        (lambda x, y, pool: (x[:0], y[:0], pool), "0 embeddings and 0 labels"),
        (lambda x, y, pool: (x, np.zeros((25, 9), int), pool), "9 classes; 1 to 8"),
        (lambda x, y, pool: (x, y * 2, pool), "something else than 0 and 1"),
        (lambda x, y, pool: (x[:, 1:], y, pool), "4 columns where the pool has 5"),
        (lambda x, y, pool: (x, y, pool * np.nan), "not a finite number"),
    ],
    ids=["fewer-labels", "nothing-labelled", "many-classes", "counts", "columns", "nan"],
)
def test_bad_arrays_are_refused_before_a_query(change, message):
    with pytest.raises(ValueError, match=message):
        query("RandomSampling", *change(*toy()), 3)


def test_without_the_extra_the_message_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "skactiveml", None)
    with pytest.raises(ImportError, match=r"pip install -r requirements-activeml\.txt"):
        PoolStrategy("DropQuery")


# -- as a submission


@pytest.mark.slow
def test_without_the_extra_the_submission_fails_by_itself_before_it_buys(session, submission):
    text = BASELINE.read_text().replace("from evaluator", "import sys\nsys.modules['skactiveml'] = None\nfrom evaluator", 1)
    result = session(submission(text))
    assert result.verdict is Verdict.RUNTIME_ERROR
    assert "pip install -r requirements-activeml.txt" in result.reason + result.log
    assert list(result.ledger) == []


@installed
@pytest.mark.slow
def test_a_strategy_that_cannot_run_is_refused_before_a_label_is_bought(session, submission):
    result = session(submission(BASELINE.read_text().replace('"Falcun"', '"BatchBALD"')))
    assert result.verdict is Verdict.RUNTIME_ERROR
    assert "BatchBALD of scikit-activeml needs a committee of classifiers" in result.reason + result.log
    assert list(result.ledger) == []


@installed
@pytest.mark.slow
@pytest.mark.parametrize("name", ["TypiClust", "UncertaintySampling", "DropQuery"])
@pytest.mark.endurance
def test_another_strategy_is_one_line_away(name, session, submission):
    path = submission(BASELINE.read_text().replace('"Falcun"', f'"{name}"'))
    result = session(path)
    assert result.verdict is Verdict.OK, (result.reason, result.log)
    assert len({int(p.index) for p in result.ledger}) == 12


@installed
@pytest.mark.slow
@pytest.mark.endurance
@pytest.mark.endurance
def test_the_baseline_on_the_profile_debug(tmp_path, monkeypatch):
    monkeypatch.setattr(local_evaluation, "ROOT", tmp_path)
    options = ["--profile", "debug", "--submission", str(BASELINE), "--device", "cpu", "--threads", "1"]
    assert local_evaluation.main([*options, "--out", str(tmp_path / "results")]) == 0
    (file,) = tmp_path.glob("results/*-scikit_activeml/result.json")
    summary = json.loads(file.read_text())
    assert summary["verdict"] == "OK"
    assert [row["bought"][0] for row in summary["pairs"]] == [row["budget"] for row in summary["pairs"]] == [12]
