"""Practice: what a run gives, in the process of a notebook or a script."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY

import evaluator.purchase.practice as kit
from evaluator.errors import ConfigurationError
from evaluator.purchase import profiles
from evaluator.purchase.purchased import buy
from run import MarketClosedError, OutOfBudgetError, ZEWDPCBaseRun, practice

ROOT = Path(__file__).resolve().parents[2]
BUYS = """
def purchase_phase(self, training_dataset, unlabelled_dataset, budget, seed):
    unlike = np.abs(unlabelled_dataset.images.astype(float).mean((1, 2, 3)) - training_dataset.images.mean())
    first = np.argsort(unlike)[: budget // 2]
    unlabelled_dataset.purchase_labels(first)
    others = np.random.default_rng(seed).permutation(len(unlabelled_dataset))
    for index in [i for i in others if i not in first][: budget - len(first)]:
        unlabelled_dataset.purchase_label(index)
def prediction_phase(self, test_dataset):
    return test_dataset.images.reshape(len(test_dataset), -1)[:, :6] / 255
"""


@pytest.fixture
def tried(monkeypatch, data_folder):
    """``practice`` on ``tiny``, with public seeds."""
    monkeypatch.setitem(profiles.PROFILES, "tiny", TINY)

    def make(pair="621:17", seed=0, **options):
        return practice("tiny", pair, seed, **{"public_seeds": True, "data": data_folder} | options)

    return make


class Buys(ZEWDPCBaseRun):
    """The same as the text ``BUYS``."""

    exec(BUYS, {"np": np}, locals())


class Strategy(ZEWDPCBaseRun):
    """Buys by a function that the test gives."""

    def __init__(self, phase):
        self.phase = phase

    def purchase_phase(self, unlabelled_dataset, budget):
        return self.phase(unlabelled_dataset, budget)


@pytest.mark.parametrize(("pair", "seed"), [("621:17", 0), ("621:17", 1), ("1321:34", 0)])
def test_the_same_labels_are_sold_as_in_the_sandboxed_session(tried, ready, strategy, pair, seed):
    path = strategy(BUYS)
    experiment = ready(path, pairs=(pair,), first_seed=seed)
    (spec,) = experiment.cells
    run = buy(spec, experiment.inputs(spec)).session
    found = tried(pair, seed).run(Buys())
    assert run.reason == ""
    assert found.bought.tolist() == [sold.index for sold in run.ledger]
    assert found.labels.tolist() == [list(sold.label) for sold in run.ledger]
    assert len(found.bought) == TINY.budget(spec.pair)
    assert np.array_equal(found.predictions, run.predictions)
    assert found.faults == ()


def test_every_seed_has_a_pool_order_of_its_own_and_all_see_the_same_images(tried):
    one, other = tried(seed=0), tried(seed=1)
    assert not np.array_equal(one.pool.images, other.pool.images)
    assert one.participant_seed != other.participant_seed
    assert sorted(map(bytes, one.pool.images)) == sorted(map(bytes, other.pool.images))


def test_it_unpacks_into_the_three_data_sets_with_the_documented_shapes(tried):
    session = tried()
    training, pool, test = session
    assert (training, pool, test) == (session.training, session.pool, session.test)
    assert (training.images.shape, training.images.dtype) == ((16, 8, 8, 3), np.uint8)
    assert (training.labels.shape, training.labels.dtype) == ((16, 6), np.int64)
    assert pool.images.shape == (80, 8, 8, 3)
    assert test.images.shape == (6, 8, 8, 3)
    assert pool.purchase_label(3).shape == (6,)
    assert pool.purchase_labels([3, 4]).shape == (2, 6)
    with pytest.raises(AttributeError, match="purchase_label"):
        _ = pool.labels
    assert "16 training images, 80 in the pool, 6 to predict; 12 labels, 51 s" in repr(session)


def test_the_market_keeps_the_rules_of_a_run(tried):
    pool = tried().pool
    first = pool.purchase_labels([5, 5, 6])
    assert np.array_equal(first[0], first[1])
    assert pool.remaining_budget == 10
    assert np.array_equal(pool.purchase_label(np.int32(5)), first[0]), "a repeated purchase is free, and gives the same answer"
    for bad, error in ((-1, IndexError), (80, IndexError), (True, TypeError), (2.0, TypeError), (float("nan"), TypeError)):
        with pytest.raises(error):
            pool.purchase_label(bad)
    with pytest.raises(OutOfBudgetError, match="11 new labels asked for, 10 of 12 left"):
        pool.purchase_labels(range(10, 21))
    assert pool.remaining_budget == 10, "a batch is bought whole or not at all"
    pool.purchase_labels(range(10, 20))
    with pytest.raises(OutOfBudgetError):
        pool.purchase_label(30)
    assert sorted(pool.purchased) == [5, 6, *range(10, 20)]


def test_the_clock_runs_and_ends_nothing(tried):
    session = tried("621:0.0001")
    while session.pool.remaining_time() > 0:
        pass
    assert session.pool.purchase_labels(range(12)).shape == (12, 6)

    def late(pool, budget):
        while pool.remaining_time() > 0:
            pass
        pool.purchase_labels(range(budget))

    found = session.run(Strategy(late))
    assert len(found.bought) == 12
    assert ("labels", "12 of 12 bought; 12 of them were bought after the time limit") in found.rows
    assert any("a run ends there with TIME_LIMIT" in fault for fault in found.faults)


def test_every_run_has_a_market_of_its_own_which_closes_with_the_phase(tried):
    session = tried()
    session.pool.purchase_labels(range(12))
    kept = []

    def keep(pool, budget):
        kept.append(pool)
        return pool.purchase_labels([budget])[0]

    assert session.run(Strategy(keep)).bought.tolist() == [12]
    with pytest.raises(MarketClosedError):
        kept[0].purchase_label(0)
    assert session.run(Strategy(keep)).bought.tolist() == [12]


def test_one_phase_can_be_called_and_the_object_remembers_the_others(tried):
    class Remembers(ZEWDPCBaseRun):
        seen: tuple = ()

        def pre_training_phase(self, training_dataset):
            self.seen += (len(training_dataset),)

        def purchase_phase(self, unlabelled_dataset):
            self.seen += (len(unlabelled_dataset),)

    strategy, session = Remembers(), tried()
    session.run(strategy, "pre_training_phase")
    found = session.run(strategy, "purchase_phase")
    assert strategy.seen == (16, 80)
    assert [label for label, _ in found.rows] == ["purchase_phase", "labels", "return value"]
    with pytest.raises(ValueError, match="'purchase' is no phase"):
        session.run(strategy, "purchase")


def test_what_a_run_would_complain_about_is_said_and_there_is_no_score(tried):
    class Wrong(ZEWDPCBaseRun):
        def purchase_phase(self, unlabelled_dataset):
            unlabelled_dataset.purchase_labels([1, 2])
            return [1, 3]

        def prediction_phase(self, test_dataset):
            return np.full((len(test_dataset), 6), 2.0)

    found = tried().run(Wrong())
    assert "returned 1 label that was not bought" in dict(found.rows)["return value"]
    assert found.predictions is None
    (fault,) = found.faults
    assert "prediction_phase returned 2.0 for image 0" in fault
    assert repr(found).startswith("Wrong in practice, not a score")
    assert f"would fail: {fault}" in repr(found)
    unspent, contradicts = found.remarks
    assert unspent.startswith("a part of the budget was not spent (2 of 12 labels). Labels that are left over are worth nothing")
    assert contradicts.startswith("what was returned is not what was bought (purchase_phase returned 1 label that was not bought")
    assert f"warning: {unspent}" in repr(found)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seed": "a"}, "seed is 'a'; expected a whole number of 0 or more. Write e.g. seed=3"),
        ({"seed": -1}, "seed is -1; expected a whole number of 0 or more"),
        ({"seed": True}, "seed is True; expected"),
        ({"seed": 1.0}, "seed is 1.0; expected"),
        ({"root_seed": None}, "root_seed is None; expected"),
        ({"pair": 621}, "pair is 621, an int; expected labels and minutes as a text. Write e.g. '621:17'"),
        ({"pair": (621, 17)}, "pair is (621, 17), a tuple"),
        ({"pair": "-5:17"}, "the pair -5:17 is not possible"),
        ({"label_quality": "good"}, "label_quality is 'good'; expected a number from 0.5 to 1"),
        ({"label_quality": 2}, "label_quality is 2"),
        ({"profile": 3}, "profile is 3, an int; expected a name or a path"),
        ({"data": 5}, "data is 5, an int; expected a name or a path"),
        ({"out": ["a"]}, "out is ['a'], a list"),
    ],
    ids=str,
)
def test_an_option_of_a_wrong_kind_is_refused_at_once_in_words(options, said):
    with pytest.raises(ConfigurationError) as caught:
        practice(**options)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("strategy", "phases", "said"),
    [
        (Buys, (), "strategy is the class Buys; an object of it was expected. Write run(Buys())"),
        (None, (), "strategy is nothing (None) without pre_training_phase, purchase_phase, prediction_phase"),
        ("mine.py", ("purchase_phase",), "strategy is a str without purchase_phase; expected an object of your class"),
        (type("Odd", (), {"purchase_phase": 3})(), ("purchase_phase",), "purchase_phase of the class Odd is an int; a method was"),
    ],
    ids=["a class", "None", "a text", "a number"],
)
def test_what_is_no_object_with_phases_is_refused_at_once_in_words(tried, strategy, phases, said):
    session = tried()
    with pytest.raises(TypeError) as caught:
        session.run(strategy, *phases)
    assert str(caught.value).startswith(said)
    with pytest.raises(ValueError, match=r"^\['purchase_phase'\] is no phase"):
        session.run(Buys(), ["purchase_phase"])


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("621:17", ""),
        ("10000:17", "gives 200 labels, and the pool has 80 images: all of it can be bought"),
        ("1:17", "gives 0 labels here"),
    ],
)
def test_a_budget_that_is_odd_is_a_warning(tried, capsys, pair, said):
    tried(pair)
    told = capsys.readouterr().err
    assert f"practice: warning: the pair {pair} {said}" in " ".join(told.split()) if said else "warning" not in told


def test_an_exception_of_a_phase_goes_through_as_it_is(tried):
    def fails(pool, budget):
        raise KeyError("my own")

    with pytest.raises(KeyError, match="my own"):
        tried().run(Strategy(fails))


def test_data_that_are_missing_are_made(monkeypatch, tmp_path):
    sizes = dict.fromkeys(("training", "unlabelled", "validation", "debug"), 4)
    monkeypatch.setitem(profiles.PROFILES, "made", replace(TINY, name="made", generated=True, image_size=32, sizes=sizes))
    monkeypatch.setattr("evaluator.places.DATA", tmp_path / "data")
    session = practice("made", public_seeds=True)
    assert session.training.images.shape == (4, 32, 32, 3)
    assert (tmp_path / "data" / "tiny" / "training" / "labels.csv").is_file()


def test_its_draws_are_those_of_the_results_folder_whose_secret_it_makes(tried, ready, tmp_path):
    out = tmp_path / "results"
    session = tried(public_seeds=False, out=out)
    assert [path.name for path in out.iterdir()] == ["secret"], "nothing that could be taken for a result"
    experiment = ready(out=out, public_seeds=False)
    spec = experiment.cells[0]
    assert session.participant_seed == kit.session_spec(spec, experiment.inputs(spec).data, ROOT).seed
    assert session.participant_seed != tried().participant_seed


def test_options_that_make_no_sense_are_refused(tried):
    with pytest.raises(ConfigurationError, match="write LABELS:MINUTES"):
        tried("621")
    with pytest.raises(ConfigurationError, match="secret and public_seeds"):
        tried(secret="file")
    with pytest.raises(ConfigurationError, match=r"label_quality is 0\.2; expected"):
        tried(label_quality=0.2)


def test_in_an_evaluation_there_is_no_practice(tmp_path):
    """A worker in a room of its own sees ``run.py`` and its own half of the package."""
    shutil.copy(ROOT / "run.py", tmp_path)
    shutil.copytree(ROOT / "evaluator" / "worker", tmp_path / "evaluator" / "worker")
    shutil.copy(ROOT / "evaluator" / "__init__.py", tmp_path / "evaluator")
    ran = subprocess.run([sys.executable, "-c", "import run; run.practice()"], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 1
    assert "RuntimeError: practice() is for notebooks and scripts" in ran.stderr
