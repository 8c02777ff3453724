"""The contract of the market, every line of it: against a simple model, from many threads, and through a real worker."""

import json
import shutil
import threading
import time
from collections.abc import Iterable

import numpy as np
import pytest
from conftest import SUBMISSIONS
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from evaluator.errors import ConfigurationError, Verdict
from evaluator.purchase.ledger import Ledger
from evaluator.purchase.market import Market
from evaluator.worker.indices import as_index, as_indices
from evaluator.worker.purchase import MarketClosedError, OutOfBudgetError

SIZE, BUDGET = 12, 5


def labels_of(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (size, 3)).astype(np.uint8)


def order_of(size: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).permutation(size)


class Model:
    """The contract in its plainest form, for indices that are right."""

    def __init__(self, labels: np.ndarray, order: np.ndarray, budget: int) -> None:
        self.labels, self.order, self.budget = labels, order, budget
        self.bought: list[int] = []

    def buy(self, indices: Iterable[int]) -> list[list[int]] | None:
        """The labels, or None where the budget forbids it."""
        indices = list(indices)
        fresh = [i for i in dict.fromkeys(indices) if i not in self.bought]
        if len(self.bought) + len(fresh) > self.budget:
            return None
        self.bought += fresh
        return [self.labels[self.order[i]].tolist() for i in indices]


BAD = {
    # text to evaluate: (error, what the message must name)
    "-1": (IndexError, "-1"),
    "12": (IndexError, "12"),
    "10**30": (IndexError, "30 digits"),
    "-(10**5000)": (IndexError, "30 digits"),
    "2**63": (IndexError, str(2**63)),
    "np.int64(-3)": (IndexError, "-3"),
    "np.uint64(2**64 - 1)": (IndexError, str(2**64 - 1)),
    "True": (TypeError, "True"),
    "np.bool_(False)": (TypeError, "False"),
    "np.array(True)": (TypeError, "True"),
    "1.0": (TypeError, "1.0"),
    "np.float64(2)": (TypeError, "2.0"),
    "np.array(2.0)": (TypeError, "2."),
    "float('nan')": (TypeError, "nan"),
    "float('inf')": (TypeError, "inf"),
    "1j": (TypeError, "1j"),
    "'3'": (TypeError, "'3'"),
    "b'3'": (TypeError, "b'3'"),
    "None": (TypeError, "None"),
    "[1]": (TypeError, "[1]"),
    "(1, 2)": (TypeError, "(1, 2)"),
    "np.array([1])": (TypeError, "[1]"),
    "{'idx': 1}": (TypeError, "idx"),
    "'x' * 1000": (TypeError, "..."),
}
GOOD = ["0", "11", "np.int8(3)", "np.uint64(3)", "np.int64(3)", "np.array(3)", "np.array(3, np.uint8)"]


def market(budget: int = BUDGET, size: int = SIZE) -> Market:
    return Market(labels_of(size), order_of(size), budget)


def evaluate(text: str):
    return eval(text, {"np": np})


@pytest.mark.parametrize("text", BAD)
@pytest.mark.parametrize("many", [False, True], ids=["one", "batch"])
def test_a_bad_index_is_refused_naming_value_and_bound_and_changes_nothing(text, many):
    sells = market()
    sells.purchase_label(2)
    error, named = BAD[text]
    with pytest.raises(error) as caught:
        # In a batch the good ones before and after it must not be bought either.
        sells.purchase_labels([0, evaluate(text), 1]) if many else sells.purchase_label(evaluate(text))
    assert type(caught.value) is error
    assert named in str(caught.value)
    assert "11" in str(caught.value)
    assert len(str(caught.value)) < 300
    assert [p.index for p in sells.ledger] == [2]
    assert sells.remaining_budget == BUDGET - 1


@pytest.mark.parametrize("text", GOOD)
def test_whatever_operator_index_takes_is_an_index(text):
    sells = market()
    value = evaluate(text)
    expected = sells._labels[sells._order[int(value)]]
    assert sells.purchase_label(value).tolist() == expected.tolist()
    assert sells.purchase_labels([value]).tolist() == [expected.tolist()]
    assert len(sells.ledger) == 1


def test_tensors_follow_the_same_rule():
    torch = pytest.importorskip("torch")
    assert as_index(torch.tensor(3), 5) == 3
    for value in (torch.tensor(True), torch.tensor(1.0)):
        with pytest.raises(TypeError, match="integer from 0 to 4"):
            as_index(value, 5)


@pytest.mark.parametrize(
    "values", [3, None, "12", b"12", {1: 2}, 1.5, np.array(3), np.ones((2, 2), int), [[1, 2], [3]], [np.ones(2, int)]]
)
def test_a_batch_is_a_flat_list_or_nothing_is_bought(values):
    sells = market()
    with pytest.raises(TypeError):
        sells.purchase_labels(values)
    assert len(sells.ledger) == 0


@pytest.mark.parametrize("dtype", [bool, float, "datetime64[s]", object])
def test_arrays_of_other_types_are_refused_by_their_elements(dtype):
    values = np.array([1, 1, 0], dtype) if dtype is not object else np.array([1, 2.0, None], object)
    sells = market()
    with pytest.raises(TypeError):
        sells.purchase_labels(values)
    assert len(sells.ledger) == 0


@given(st.lists(st.integers(-3, 20), max_size=8), st.sampled_from([list, tuple, np.array, iter]))
def test_the_fast_road_for_arrays_is_the_same_rule(values, kind):
    plain = [v for v in values if not 0 <= v < SIZE]
    given_values = np.array(values, np.int64) if kind is np.array else kind(values)
    if plain:
        with pytest.raises(IndexError, match=str(plain[0])):
            as_indices(given_values, SIZE)
    else:
        found = as_indices(given_values, SIZE)
        assert found.dtype == np.int64
        assert found.tolist() == values


class MarketMachine(RuleBasedStateMachine):
    """Any sequence of purchases, repeated, mixed and refused, leaves market and model alike."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        labels, order = labels_of(SIZE), order_of(SIZE)
        self.market = Market(labels, order, BUDGET, lambda: self.now)
        self.model = Model(labels, order, BUDGET)

    def compare(self, purchase, indices: list[int]) -> None:
        expected = self.model.buy(indices)
        self.now += 1
        if expected is None:
            with pytest.raises(OutOfBudgetError, match=f"of {BUDGET} left"):
                purchase()
        else:
            found = purchase()
            assert found.dtype == np.uint8
            assert found.reshape(len(indices), 3).tolist() == expected

    @rule(index=st.integers(0, SIZE - 1), kind=st.sampled_from([int, np.int64, np.uint8, np.array]))
    def one(self, index, kind):
        self.compare(lambda: self.market.purchase_label(kind(index)), [index])

    @rule(indices=st.lists(st.integers(0, SIZE - 1), max_size=7), kind=st.sampled_from([list, np.array, tuple]))
    def batch(self, indices, kind):
        values = np.array(indices, np.int64) if kind is np.array else kind(indices)
        self.compare(lambda: self.market.purchase_labels(values), indices)

    @rule(
        good=st.lists(st.integers(0, SIZE - 1), max_size=3),
        bad=st.sampled_from(sorted(BAD)),
        place=st.integers(0, 3),
    )
    def refused(self, good, bad, place):
        batch = [*good[:place], evaluate(bad), *good[place:]]
        with pytest.raises((IndexError, TypeError)):
            self.market.purchase_labels(batch)

    @invariant()
    def alike(self):
        assert [p.index for p in self.market.ledger] == self.model.bought
        assert self.market.remaining_budget == BUDGET - len(self.model.bought)
        assert [p.order for p in self.market.ledger] == list(range(len(self.model.bought)))
        for p in self.market.ledger:
            assert p.image == self.model.order[p.index]
            assert list(p.label) == self.model.labels[p.image].tolist()
        times = [p.seconds for p in self.market.ledger]
        assert times == sorted(times)


MarketMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
TestMarketMachine = MarketMachine.TestCase


@given(st.lists(st.integers(0, SIZE - 1), max_size=20), st.integers(0, SIZE))
def test_a_batch_is_bought_whole_or_not_at_all(indices, budget):
    sells = market(budget)
    fresh = len(set(indices))
    if fresh > budget:
        with pytest.raises(OutOfBudgetError, match="nothing was bought"):
            sells.purchase_labels(indices)
        assert len(sells.ledger) == 0
    else:
        assert len(sells.purchase_labels(indices)) == len(indices)
        assert sells.remaining_budget == budget - fresh


def test_a_repeated_purchase_is_free_and_the_same_also_when_nothing_is_left():
    sells = market(2)
    first = sells.purchase_labels([4, 9]).tolist()
    with pytest.raises(OutOfBudgetError):
        sells.purchase_label(1)
    assert sells.purchase_labels([9, 4, 9]).tolist() == [first[1], first[0], first[1]]
    assert len(sells.ledger) == 2


def test_what_is_handed_out_cannot_change_what_is_sold():
    sells = market()
    sells.purchase_label(3)[:] = 7
    sells.purchase_labels([3, 4])[:] = 7
    assert sells.purchase_labels([3, 4]).max() <= 1
    assert max(max(p.label) for p in sells.ledger) <= 1


def test_a_closed_market_sells_nothing_not_even_again():
    sells = market()
    sells.purchase_label(3)
    sells.close()
    for index in (3, 4):
        with pytest.raises(MarketClosedError):
            sells.purchase_label(index)
    assert len(sells.ledger) == 1


def test_many_threads_never_overspend_and_write_no_label_twice():
    size, budget, n_threads = 400, 150, 12
    # Reading the clock lies between looking at the budget and writing the ledger; here it lets the other threads go ahead.
    sells = Market(labels_of(size), order_of(size), budget, lambda: time.sleep(0.0002) or 0.0)
    barrier, errors = threading.Barrier(n_threads), []

    def shop(seed: int) -> None:
        rng = np.random.default_rng(seed)
        barrier.wait()
        for _ in range(120):
            batch = rng.integers(0, size, rng.integers(1, 6))
            try:
                got = sells.purchase_labels(batch)
                if not np.array_equal(got, sells._labels[sells._order[batch]]):
                    errors.append("another image's label")
            except OutOfBudgetError:
                continue

    threads = [threading.Thread(target=shop, args=(n,)) for n in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bought = [p.index for p in sells.ledger]
    assert not errors
    assert len(bought) == len(set(bought)) <= budget
    assert len(bought) > budget - 6  # everything but what the last batch was too large for
    assert sells.remaining_budget == budget - len(bought)
    assert [p.order for p in sells.ledger] == list(range(len(bought)))


@pytest.mark.parametrize(
    ("order", "budget"), [([0, 1], 2), ([0, 1, 1], 2), ([0, 1, 3], 2), ([-1, 0, 1], 2), ([0, 1, 2], -1)], ids=str
)
def test_a_market_that_cannot_be_right_is_not_opened(order, budget):
    with pytest.raises(ConfigurationError):
        Market(labels_of(3), np.array(order), budget)


@given(st.permutations(range(SIZE)), st.integers(0, SIZE))
def test_the_ledger_is_read_in_canonical_order_whatever_was_bought_first(indices, n):
    sells = market(SIZE)
    for index in indices[:n]:
        sells.purchase_label(index)
    images, labels = sells.ledger.canonical(3)
    assert images.tolist() == sorted(sells._order[list(indices[:n])].tolist())
    assert np.array_equal(labels, sells._labels[images])
    again = Ledger.from_rows(json.loads(json.dumps(sells.ledger.as_rows())))
    assert list(again) == list(sells.ledger)


# -- through a worker, over its channel


@pytest.fixture
def scripted(tmp_path):
    """A submission that carries out a script of purchases."""

    def make(script: list[tuple[str, str]]):
        folder = tmp_path / "scripted"
        folder.mkdir()
        shutil.copy(SUBMISSIONS / "scripted_buyer.py", folder / "run.py")
        (folder / "script.json").write_text(json.dumps(script))
        return folder

    return make


def test_a_worker_is_sold_to_by_the_same_contract(scripted, session, sets, told):
    rng = np.random.default_rng(5)
    size, budget = 80, 12
    truth, order = sets.splits["unlabelled"].labels, order_of(size)
    bad = [text for text in BAD if text != "12"] + ["80"]  # here the pool is larger
    script, model, expected = [], Model(truth, order, budget), []
    for _ in range(400):
        kind = rng.integers(4)
        # Few different images, so that repeats are as frequent as refusals.
        indices = rng.integers(0, 20, rng.integers(0, 5)).tolist()
        if kind == 0:
            index = int(rng.integers(20))
            script.append(("purchase_label", f"np.int16({index})"))
            labels = model.buy([index])
            outcome = labels and labels[0]
        elif kind in (1, 2):
            script.append(("purchase_labels", str(indices) if kind == 1 else f"np.array({indices}, int)"))
            outcome = model.buy(indices)
        else:
            text = bad[rng.integers(len(bad))]
            error = BAD.get(text, (IndexError,))[0].__name__
            one = bool(rng.integers(2))
            script.append(("purchase_label", text) if one else ("purchase_labels", f"[0, 1, 2, 3, 4, {text}]"))
            outcome = error
        expected.append((outcome if outcome is not None else "OutOfBudgetError", budget - len(model.bought)))
    result = session(scripted(script), budget=budget, order=order)
    assert result.verdict is Verdict.OK, result.reason
    (outcomes,) = told(result)
    assert len(outcomes) == len(expected)
    for (found, remaining, whole), (wanted, left), step in zip(outcomes, expected, script, strict=True):
        if isinstance(wanted, str):
            assert found[0] == wanted, step
        else:
            assert found == wanted, step
        assert (remaining, whole) == (left, budget), step
    assert [p.index for p in result.ledger] == model.bought
    assert len(model.bought) == budget
    refusals = {found[0]: found[1] for found, _, _ in outcomes if found and isinstance(found[0], str)}
    assert "of 12 left; nothing was bought" in refusals["OutOfBudgetError"]
    assert "0 to 79" in refusals["IndexError"]
    assert "integer from 0 to 79" in refusals["TypeError"]


def test_threads_of_a_participant_share_the_market(strategy, session, told, sets):
    path = strategy("""
        def purchase_phase(self, unlabelled_dataset, budget):
            import threading
            from run import OutOfBudgetError
            wrong, refused = [], []
            def shop(seed):
                rng = np.random.default_rng(seed)
                for _ in range(60):
                    batch = rng.integers(0, len(unlabelled_dataset), 3)
                    try:
                        labels = unlabelled_dataset.purchase_labels(batch)
                    except OutOfBudgetError:
                        refused.append(seed)
                        continue
                    for index, label in zip(batch.tolist(), labels):
                        if not np.array_equal(unlabelled_dataset.purchased[index], label):
                            wrong.append(index)
            threads = [threading.Thread(target=shop, args=(n,)) for n in range(8)]
            [t.start() for t in threads]
            [t.join() for t in threads]
            tell([wrong, len(refused) > 0, unlabelled_dataset.remaining_budget, sorted(unlabelled_dataset.purchased)])
            return unlabelled_dataset.purchased
    """)
    result = session(path, budget=30)
    assert result.verdict is Verdict.OK, result.reason
    ((wrong, refused, remaining, purchased),) = told(result)
    assert wrong == []
    assert refused
    bought = [p.index for p in result.ledger]
    assert sorted(bought) == purchased
    assert len(set(bought)) == len(bought) <= 30
    assert remaining == 30 - len(bought)
    assert result.disagreement is None
    truth = sets.splits["unlabelled"].labels
    assert all(list(p.label) == truth[p.image].tolist() for p in result.ledger)


def test_labels_are_sold_in_the_purchase_phase_alone(strategy, session, told):
    path = strategy("""
        def purchase_phase(self, unlabelled_dataset, budget):
            self.pool = unlabelled_dataset
            self.pool.purchase_label(0)
        def save_checkpoint(self, path):
            self.late("save_checkpoint")
        def prediction_phase(self, test_dataset):
            self.late("prediction_phase")
            return np.zeros((len(test_dataset), 6))
        def late(self, where):
            if hasattr(self, "pool"):
                for verb, what in (("purchase_label", 1), ("purchase_label", 0), ("purchase_labels", [2, 3])):
                    try:
                        getattr(self.pool, verb)(what)
                        tell([where, verb, "sold"])
                    except RuntimeError as error:
                        tell([where, verb, type(error).__name__])
    """)
    result = session(path)
    assert result.verdict is Verdict.OK, result.reason
    expected = [
        [w, v, "MarketClosedError"]
        for w in ("save_checkpoint", "prediction_phase")
        for v in ("purchase_label",) * 2 + ("purchase_labels",)
    ]
    assert told(result) == expected
    assert len(result.ledger) == 1


RAW = """
    def raw_purchase():
        # What a hostile module does: no API, a frame written straight to the channel.
        import struct, socket
        for name in os.listdir("/proc/self/fd"):
            try:
                if not os.readlink("/proc/self/fd/" + name).startswith("socket"):
                    continue
            except OSError:
                continue
            sock = socket.socket(fileno=os.dup(int(name)))
            header = b'{"t":"buy"}'
            sock.sendall(struct.pack("!II", len(header), 8) + header + struct.pack("=q", 5))
            answer = sock.recv(1 << 16)
            tell(answer[8:].decode("latin1"))
            sock.detach()
"""


@pytest.mark.parametrize("place", ["import", "pre_training_phase", "prediction_phase"])
def test_frames_written_around_the_api_buy_nothing_outside_the_purchase_phase(strategy, session, told, place):
    call = {
        "import": "def __init__(self):\n    raw_purchase()",
        "pre_training_phase": "def pre_training_phase(self):\n    raw_purchase()",
        "prediction_phase": "def prediction_phase(self):\n    raw_purchase()",
    }[place]
    result = session(strategy(call, RAW))
    assert len(result.ledger) == 0
    (answer,) = told(result)
    assert "MarketClosedError" in answer


def test_a_forked_child_cannot_buy_and_does_not_disturb(strategy, session, told):
    path = strategy("""
        def purchase_phase(self, unlabelled_dataset, register_progress):
            unlabelled_dataset.purchase_label(1)
            child = os.fork()
            if child == 0:
                try:
                    unlabelled_dataset.purchase_label(2)
                    tell("sold")
                except RuntimeError as error:
                    tell([type(error).__name__, str(error)])
                register_progress(0.5)
                os._exit(0)
            os.waitpid(child, 0)
            unlabelled_dataset.purchase_label(3)
    """)
    result = session(path)
    assert result.verdict is Verdict.OK, result.reason
    ((kind, text),) = told(result)
    assert kind == "MarketClosedError"
    assert "forked" in text
    assert [p.index for p in result.ledger] == [1, 3]


def test_a_forked_child_that_returns_from_the_phase_ends_there(strategy, session):
    path = strategy("""
        def purchase_phase(self, unlabelled_dataset):
            child = os.fork()
            if child:
                os.waitpid(child, 0)
                unlabelled_dataset.purchase_label(3)
    """)
    result = session(path)
    assert result.verdict is Verdict.OK, result.reason
    assert [p.index for p in result.ledger] == [3]
    assert result.phases[-1].verdict is Verdict.OK


def test_a_forked_child_ends_as_python_ends_it(strategy, session):
    """Nothing of the worker waits in a child for a thread that only its parent has."""
    path = strategy("""
        def purchase_phase(self, unlabelled_dataset):
            import faulthandler
            child = os.fork()
            if not child:
                faulthandler.cancel_dump_traceback_later()
                os._exit(0)
            os.waitpid(child, 0)
            unlabelled_dataset.purchase_label(3)
    """)
    assert session(path).verdict is Verdict.OK


def test_a_purchase_that_a_thread_begins_as_the_phase_ends_harms_no_later_order(strategy, session):
    path = strategy("""
        def purchase_phase(self, unlabelled_dataset):
            import threading
            def shop():
                try:
                    while True:
                        unlabelled_dataset.purchase_label(0)
                except RuntimeError:
                    pass
            for _ in range(8):
                threading.Thread(target=shop, daemon=True).start()
            time.sleep(0.05)
        def save_checkpoint(self, path):
            pass
    """)
    for _ in range(5):
        result = session(path)
        assert result.verdict is Verdict.OK, result.reason
        assert result.phases[-1].verdict is Verdict.OK, result.phases[-1].reason


def test_budget_and_time_tell_the_truth(strategy, session, told):
    path = strategy("""
        def purchase_phase(self, unlabelled_dataset, budget, purchase_budget, time_available, compute_budget):
            pool = unlabelled_dataset
            before = pool.remaining_time()
            pool.purchase_labels([1, 2, 1])
            time.sleep(0.05)
            after = pool.remaining_time()
            tell([budget, purchase_budget, pool.budget, pool.remaining_budget, time_available, compute_budget, before, after])
    """)
    result = session(path, budget=9, seconds=40.0)
    budget, same, whole, remaining, seconds, alike, before, after = told(result)[0]
    assert budget == same == whole == 9
    assert remaining == 7
    assert seconds == alike
    pre_training = result.phases[0].seconds
    assert seconds <= 40.0 - pre_training + 1e-6
    assert 0 < after <= before - 0.05 < before <= seconds
    # What the worker thought was left at its last look is no less than what was left in the end.
    assert after >= 40.0 - result.seconds - 1e-6


def test_items_carry_the_number_that_a_label_is_bought_by(strategy, session, sets):
    path = strategy("""
        def purchase_phase(self, unlabelled_dataset):
            part = unlabelled_dataset[10:40:3]
            for item in part:
                label = unlabelled_dataset.purchase_label(item["idx"])
                brightness = item["image"].astype(int).mean((1, 2))[1:7]
                assert np.array_equal(label, (brightness > 140).astype(int)), "the label of another image"
    """)
    result = session(path, order=order_of(80))
    assert result.verdict is Verdict.OK, result.reason
    assert [p.index for p in result.ledger] == list(range(10, 40, 3))
