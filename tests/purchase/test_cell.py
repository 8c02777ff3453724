"""One cell: what is bought is what is trained on, it matters, and from the ledger onward everything repeats to the bit."""

import json
import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest
from conftest import CLASSES, SUBMISSIONS, TINY

import evaluator
import evaluator.history.store
import evaluator.machine
import evaluator.training.loop
from evaluator.errors import ConfigurationError, TrainingError
from evaluator.purchase.cell import train_and_score
from evaluator.purchase.ledger import Ledger
from evaluator.purchase.rounds import ROUND1, Pair
from evaluator.purchase.spec import PurchaseSpec
from evaluator.training.recipes import PIPELINES

RANDOM = SUBMISSIONS / "random_buyer.py"
MANY = Pair(3_000, 17)  # 60 of the 80 labels of the tiny pool


def shuffled(labels: np.ndarray, seed: int) -> np.ndarray:
    """The same labels on other images: nothing is left to learn, while every class keeps its rate."""
    return labels[np.random.default_rng(seed).permutation(len(labels))]


@pytest.fixture
def spied(monkeypatch):
    """Every call of the trainer: (pipeline, images, labels, options)."""
    calls = []
    train = evaluator.training.loop.train

    def spy(pipeline, images, labels, **options):
        calls.append((pipeline, np.array(images), np.array(labels), options))
        return train(pipeline, images, labels, **options)

    monkeypatch.setattr(evaluator.training.loop, "train", spy)
    return calls


# -- bought labels matter


def test_bought_labels_matter(cell, sets):
    truth = sets.splits["unlabelled"].labels
    gains = []
    for seed in range(4):
        settings = {"pair": MANY, "seed": seed}
        true = cell(RANDOM, **settings)[0]
        wrong = cell(RANDOM, sold=shuffled(truth, seed), **settings)[0]
        # Everything else is the same: the same images were bought in the same order.
        assert [p["image"] for p in true["ledger"]] == [p["image"] for p in wrong["ledger"]]
        assert true["training"]["n_items"] == wrong["training"]["n_items"]
        gains.append(true["metrics"]["macro_f1"] - wrong["metrics"]["macro_f1"])
    # In every repetition, and by far.
    assert min(gains) > 0.02
    assert np.mean(gains) > 0.1


def test_more_labels_are_better_than_fewer(cell):
    few, many = (
        [cell(RANDOM, pair=pair, seed=seed)[0]["metrics"]["macro_f1"] for seed in range(4)] for pair in (Pair(1, 17), MANY)
    )
    assert np.mean(many) > np.mean(few) + 0.1


@pytest.mark.slow
def test_bought_labels_reach_the_rounds_own_network(cell, sets):
    # Too few images and epochs to learn much; but other labels must make other weights.
    pipeline = replace(PIPELINES["debug"], weights="none")
    settings = {"pipeline": pipeline, "pair": MANY}
    true = cell(RANDOM, **settings)[0]
    wrong = cell(RANDOM, sold=1 - sets.splits["unlabelled"].labels, **settings)[0]
    assert true["scored"]
    assert wrong["scored"]
    assert true["fingerprint"] != wrong["fingerprint"]
    assert true["training"]["n_items"] == 16 + 60


@pytest.mark.parametrize("pair", [Pair(0, 17), Pair(621, 17), MANY, Pair(9_999, 17)])
def test_the_trainer_receives_the_training_set_and_the_ledger_and_nothing_else(cell, sets, spied, pair):
    result, _ = cell(RANDOM, pair=pair)
    ((pipeline, images, labels, _),) = spied
    bought = sorted(p["image"] for p in result["ledger"])
    n = min(TINY.budget(pair), 80)
    assert len(bought) == n == result["purchase"]["bought"]
    assert len(images) == len(labels) == 16 + n
    training, pool = sets.splits["training"], sets.splits["unlabelled"]
    assert np.array_equal(images[:16], sets.images["training"].gather(range(16)))
    assert np.array_equal(labels[:16], training.labels)
    assert np.array_equal(images[16:], sets.images["unlabelled"].gather(bought))
    assert np.array_equal(labels[16:], pool.labels[bought])
    assert pipeline is PIPELINES["milliseconds"]
    assert {k: result["training"][k] for k in ("n_items", "n_training_set", "n_bought")} == {
        "n_items": 16 + n,
        "n_training_set": 16,
        "n_bought": n,
    }


def test_what_the_trainer_gets_is_what_was_sold_mistakes_included(cell, sets, spied):
    result, _ = cell(RANDOM, pair=MANY, label_quality=0.8)
    labels = spied[0][2][16:]
    bought = sorted(p["image"] for p in result["ledger"])
    truth = sets.splits["unlabelled"].labels[bought]
    wrong = (labels != truth).mean()
    assert 0.1 < wrong < 0.3
    assert {p["image"]: p["label"] for p in result["ledger"]} == dict(zip(bought, labels.tolist(), strict=True))
    # The mistakes are the annotators', not the images' nor the tests'.
    assert np.array_equal(spied[0][2][:16], sets.splits["training"].labels)


def test_mistakes_are_the_same_for_every_pair_and_strategy_of_a_seed(cell):
    def sold(result):
        return {p["image"]: p["label"] for p in result["ledger"]}

    small, large = (sold(cell(RANDOM, pair=p, label_quality=0.7)[0]) for p in (Pair(1500, 17), MANY))
    common = set(small) & set(large)
    assert len(common) > 10
    assert all(small[i] == large[i] for i in common)
    other = sold(cell(RANDOM, pair=MANY, label_quality=0.7, seed=1)[0])
    assert any(large[i] != other[i] for i in set(large) & set(other))


def test_what_a_worker_returns_never_reaches_the_trainer(strategy, cell, spied):
    path = strategy("""
        def purchase_phase(self, unlabelled_dataset):
            unlabelled_dataset.purchase_labels([1, 2])
            return {i: np.ones(6, int) for i in range(80)}
    """)
    result, _ = cell(path)
    assert len(spied[0][1]) == 18
    assert "purchase_phase returned 78 labels that were not bought" in result["purchase"]["disagreement"]
    assert result["verdict"] == "OK"


# -- repetition


@pytest.mark.parametrize("seed", [0, 1])
def test_a_strategy_that_ignores_the_clock_repeats_to_the_bit(cell, seed):
    first, second = (cell(RANDOM, seed=seed)[0] for _ in range(2))
    assert [(p["index"], p["image"], p["label"]) for p in first["ledger"]] == [
        (p["index"], p["image"], p["label"]) for p in second["ledger"]
    ]
    assert first["fingerprint"] == second["fingerprint"]
    assert first["metrics"] == second["metrics"]
    assert first["cell"] == second["cell"]


def test_seeds_pairs_and_roots_give_other_draws(cell):
    base = {"seed": 0, "pair": TINY.pairs[0], "root_seed": 1}
    ledgers = [
        tuple(p["image"] for p in cell(RANDOM, **(base | change))[0]["ledger"])
        for change in ({}, {"seed": 1}, {"pair": Pair(621, 18)}, {"root_seed": 2})
    ]
    assert len(set(ledgers)) == 4


@pytest.fixture
def content(tmp_path):
    """A buyer by content, dearest first or last."""

    def make(order: str):
        folder = tmp_path / order
        folder.mkdir()
        shutil.copy(SUBMISSIONS / "content_buyer.py", folder / "run.py")
        (folder / "order.txt").write_text(order)
        return folder

    return make


def test_the_order_of_purchase_does_not_matter_for_the_training(cell, content):
    first, last = (cell(content(order))[0] for order in ("first", "last"))
    bought = [[p["image"] for p in r["ledger"]] for r in (first, last)]
    assert bought[0] == bought[1][::-1]
    assert len(bought[0]) == 12
    assert first["fingerprint"] == last["fingerprint"]


def test_the_pools_order_differs_per_cell_over_the_same_images(cell, content):
    results = [
        cell(content(f"first{i}"), **c)[0] for i, c in enumerate(({}, {"seed": 1}, {"pair": Pair(621, 18)}, {"root_seed": 9}))
    ]
    assert len({tuple(p["image"] for p in r["ledger"]) for r in results}) == 1
    assert len({tuple(p["index"] for p in r["ledger"]) for r in results}) == 4


def test_a_stored_ledger_can_be_trained_on_again(cell, cell_spec, sets):
    result, _ = cell(RANDOM)
    stored = json.loads(json.dumps(result))
    spec = cell_spec(RANDOM)
    drawn = sets.of(spec)
    again = train_and_score(spec, drawn, Ledger.from_rows(stored["ledger"]))
    assert again.fingerprint == result["fingerprint"]
    backwards = Ledger.from_rows(stored["ledger"][::-1])
    assert train_and_score(spec, drawn, backwards).fingerprint == result["fingerprint"]
    # And another ledger is another result, or the comparison would prove nothing.
    assert train_and_score(spec, drawn, Ledger.from_rows(stored["ledger"][:-1])).fingerprint != result["fingerprint"]


def test_every_strategy_is_judged_from_the_same_seed(cell, strategy, spied):
    cell(RANDOM)
    cell(strategy(""), pair=Pair(621, 18))
    cell(RANDOM, seed=1)
    seeds = [options["seed"] for *_, options in spied]
    assert seeds[0] == seeds[1] != seeds[2]


# -- verdicts


def test_the_result_says_whether_the_clock_was_read(cell, strategy):
    assert cell(RANDOM)[0]["purchase"]["clock_was_read"] is False
    for argument, code in (("seed", "unlabelled_dataset.remaining_time()"), ("time_available", "pass"), ("compute_budget", "pass")):
        path = strategy(f"def purchase_phase(self, unlabelled_dataset, {argument}):\n    {code}")
        assert cell(path)[0]["purchase"]["clock_was_read"] is True


LATE = """
def purchase_phase(self, unlabelled_dataset):
    unlabelled_dataset.purchase_labels([1, 2, 3])
    time.sleep(600)
"""
SHORT = replace(TINY, seconds_per_minute=0.05)  # 621:17 is 0.85 seconds


def test_a_time_limit_is_a_failure_by_default(cell, strategy, spied):
    result, _ = cell(strategy(LATE), profile=SHORT)
    assert (result["verdict"], result["scored"], result["metrics"]) == ("TIME_LIMIT", False, None)
    assert "kept" not in result["reason"]
    assert spied == []
    assert result["purchase"]["bought"] == 3


def test_a_time_limit_that_is_kept_scores_what_was_bought_and_says_so(cell, strategy, spied):
    result, _ = cell(strategy(LATE), profile=SHORT, on_timeout="keep")
    assert (result["verdict"], result["scored"], result["fit_to_submit"]) == ("TIME_LIMIT", True, False)
    assert "kept: scored with the 3 labels bought before the limit" in result["reason"]
    assert len(spied[0][1]) == 19
    assert result["metrics"]["n"] == 80


def test_only_a_time_limit_is_kept(cell, strategy):
    result, _ = cell(strategy("def purchase_phase(self):\n    raise ValueError"), on_timeout="keep")
    assert (result["verdict"], result["scored"]) == ("RUNTIME_ERROR", False)


def test_a_submission_that_was_never_imported_is_not_kept(cell, submission):
    profile = replace(TINY, load_seconds=0.7)
    result, _ = cell(submission("import time\ntime.sleep(600)"), profile=profile, on_timeout="keep")
    assert (result["verdict"], result["scored"]) == ("TIME_LIMIT", False)


def test_a_failing_prediction_phase_leaves_the_score_and_takes_the_fitness(cell, strategy):
    path = strategy("""
        def purchase_phase(self, unlabelled_dataset):
            unlabelled_dataset.purchase_label(0)
        def prediction_phase(self):
            raise ValueError("no")
    """)
    result, _ = cell(path)
    assert (result["verdict"], result["scored"], result["fit_to_submit"]) == ("OK", True, False)
    assert result["phases"][-1]["verdict"] == "RUNTIME_ERROR"
    assert "no" in result["phases"][-1]["reason"]
    assert cell(strategy(""))[0]["fit_to_submit"] is True


ROUND1_TINY = replace(TINY, name="tiny1", round=replace(ROUND1, classes=CLASSES, prediction_split="validation"))


def test_in_round_1_the_participants_own_predictions_are_scored(cell, strategy, spied):
    path = strategy("""
        def prediction_phase(self, test_dataset):
            return 0.1 + 0.8 * (test_dataset.images.astype(float).mean((2, 3))[:, 1:7] > 140)
    """)
    result, _ = cell(path, profile=ROUND1_TINY)
    assert result["verdict"] == "OK"
    assert result["metrics"]["macro_f1"] == 1.0
    assert result["metrics"]["accuracy"] == 1.0
    assert result["metrics"]["n"] == 80
    assert spied == []


def test_in_round_1_a_failing_prediction_phase_is_the_verdict(cell, strategy):
    result, _ = cell(strategy("def prediction_phase(self):\n    return None"), profile=ROUND1_TINY)
    assert (result["verdict"], result["scored"]) == ("INVALID_OUTPUT", False)
    assert "prediction_phase returned nothing (None)" in result["reason"]


def test_a_training_that_fails_is_never_the_participants_fault(cell, monkeypatch):
    def fail(*_, **__):
        raise TrainingError("the loss is nan")

    monkeypatch.setattr(evaluator.training.loop, "train", fail)
    result, _ = cell(RANDOM)
    assert (result["verdict"], result["scored"]) == ("INFRASTRUCTURE", False)
    assert "the loss is nan" in result["reason"]
    assert result["purchase"]["bought"] == 12


def test_a_result_says_how_it_came_about(cell, sets):
    result, log = cell(RANDOM)
    json.dumps(result, allow_nan=False)
    assert result["spec"]["profile"]["name"] == "tiny"
    assert result["spec"]["pipeline"]["name"] == "milliseconds"
    assert result["spec"]["task"] == "621:17"
    assert result["data"]["digests"] == {name: split.digest for name, split in sets.splits.items()}
    assert result["isolation"] == {"tier": "process", "guarded": True} | result["isolation"]
    assert set(result["versions"]) >= {"numpy", "torch", "torchvision", "python", "kit"}
    assert set(result["metrics"]["f1"]) == set(CLASSES)
    assert [p["name"] for p in result["phases"]] == ["pre_training_phase", "purchase_phase", "prediction_phase"]
    assert result["purchase"]["seconds_allowed"] == 51
    assert 0 < result["purchase"]["seconds"] < 51
    assert [p["order"] for p in result["ledger"]] == list(range(12))
    assert log == ""


@pytest.mark.parametrize(
    "change",
    [
        {"on_timeout": "maybe"},
        {"label_quality": 0.4},
        {"label_quality": 1.1},
        {"label_quality": float("nan")},
        {"seed": -1},
        {"root_seed": -1},
    ],
    ids=str,
)
def test_a_spec_that_makes_no_sense_is_refused(cell_spec, change):
    with pytest.raises(ConfigurationError, match=str(next(iter(change.values())))):
        cell_spec(RANDOM, **change)


def test_every_choice_enters_the_name_of_the_cell(cell_spec, submission):
    changes = [
        {},
        {"seed": 1},
        {"root_seed": 2},
        {"pair": Pair(621, 18)},
        {"profile": SHORT},
        {"pipeline": PIPELINES["debug"]},
        {"pipeline": replace(PIPELINES["milliseconds"], epochs=11)},
        {"weights": "sha256:1"},
        {"data": {"training": "other"}},
        {"score_split": "test"},
        {"tier": "container"},
        {"device": "cuda"},
        {"threads": 2},
        {"label_quality": 0.9},
        {"on_timeout": "keep"},
        {"restart": True},
        {"participant_weights": "w"},
        {"submission_digest": "0"},
    ]
    digests = [cell_spec(RANDOM, **change).digest() for change in changes]
    assert len(set(digests)) == len(changes)
    assert cell_spec(RANDOM).digest() == digests[0]


def test_the_version_of_the_judging_code_names_a_cell_and_no_answer_and_that_of_the_kit_names_neither(cell_spec, monkeypatch):
    before = cell_spec(RANDOM)
    for module in (evaluator, evaluator.machine, evaluator.history.store):
        monkeypatch.setattr(module, "__version__", "99.0")
    assert cell_spec(RANDOM).digest() == before.digest()
    assert "kit" not in json.dumps(before.as_dict())
    monkeypatch.setattr(PurchaseSpec, "version", PurchaseSpec.version + 1)
    assert cell_spec(RANDOM).digest() != before.digest()
    assert cell_spec(RANDOM).answer_digest() == before.answer_digest()


def test_a_cell_warns_of_nothing(cell):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cell(RANDOM)[0]["verdict"] == "OK"
