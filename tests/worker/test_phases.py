"""Hooks are called by keyword with what their signatures accept; what they return is read generously and never trusted."""

import itertools

import numpy as np
import pytest

from evaluator.errors import Verdict
from evaluator.purchase.ledger import Ledger, Purchase
from evaluator.purchase.messages import predictions, purchase_disagreement
from evaluator.sandbox.channel import Message
from evaluator.sandbox.conversation import Stopped
from evaluator.worker.phases import InvalidOutput, NotRun, SignatureMismatch, check_runs, prediction_array
from evaluator.worker.phases import keywords_for as keywords_by_alias
from evaluator.worker.plain import kind_of
from evaluator.worker.purchase import ALIASES, purchase_claim

OFFERED = {
    "training_dataset": "T",
    "unlabelled_dataset": "U",
    "budget": 5,
    "time_available": 7.0,
    "register_progress": print,
    "seed": 3,
}


def keywords_for(hook, offered):
    return keywords_by_alias(hook, offered, ALIASES)


def defaults(training_dataset, budget=100, own=4):
    pass


@pytest.mark.parametrize(
    ("hook", "expected"),
    [
        (lambda: None, {}),
        (lambda unlabelled_dataset, budget: None, {"unlabelled_dataset": "U", "budget": 5}),
        (
            lambda unlabelled_dataset, purchase_budget, compute_budget: None,
            {"unlabelled_dataset": "U", "purchase_budget": 5, "compute_budget": 7.0},
        ),
        (lambda train_dataset, unlabeled_dataset: None, {"train_dataset": "T", "unlabeled_dataset": "U"}),
        (lambda *, seed, register_progress: None, {"seed": 3, "register_progress": print}),
        (lambda *args, seed: None, {"seed": 3}),
        (defaults, {"training_dataset": "T", "budget": 5}),
    ],
)
def test_a_hook_gets_the_keywords_it_accepts(hook, expected):
    assert keywords_for(hook, OFFERED) == expected


@pytest.mark.parametrize(
    ("hook", "under"),
    [
        (lambda **everything: None, {}),
        (lambda budget, **others: None, {}),
        (lambda purchase_budget, compute_budget, **others: None, {"budget": "purchase_budget", "time_available": "compute_budget"}),
        (lambda *args, unlabeled_dataset=None, **others: None, {"unlabelled_dataset": "unlabeled_dataset"}),
    ],
)
def test_double_stars_get_everything_once_under_the_kits_name_unless_it_is_asked_for_by_another(hook, under):
    assert keywords_for(hook, OFFERED) == {under.get(name, name): value for name, value in OFFERED.items()}


@pytest.mark.parametrize(
    ("hook", "said"), [(lambda budget, model: None, "'model'"), (eval("lambda budget, /: None"), "positional only")]
)
def test_an_argument_that_no_round_offers_is_named_with_what_there_is(hook, said):
    with pytest.raises(SignatureMismatch, match=said) as caught:
        keywords_for(hook, OFFERED)
    assert "purchase_budget" in str(caught.value)


def plain():
    return 1


def generator():
    yield 1


async def coroutine():
    pass


async def both():
    yield 1


@pytest.mark.parametrize("hook", [generator, coroutine, both], ids=lambda hook: hook.__name__)
def test_a_hook_of_which_nothing_runs_is_refused_before_and_after_the_call(hook):
    for value, verb in ((hook, "is"), (hook(), "returned")):
        with pytest.raises(NotRun, match=rf"^phase {verb} an? (asynchronous )?(generator|coroutine), of which nothing runs"):
            check_runs("phase", value)


@pytest.mark.parametrize("value", [map(str, "ab"), filter(None, "a"), zip("a"), itertools.chain("a")], ids=kind_of)
def test_what_gives_its_values_only_when_asked_is_refused_by_its_name(value):
    with pytest.raises(NotRun, match=f"^phase returned {kind_of(value)}, of which nothing has run yet; values were expected"):
        check_runs("phase", value)


@pytest.mark.parametrize("value", [plain, 1, None, iter([1]), {"a": 1}, np.zeros(3), int], ids=lambda value: type(value).__name__)
def test_any_other_hook_or_value_is_taken(value):
    check_runs("phase", value)


# -- what purchase_phase returns


class Hostile(dict):
    def values(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "indices", "labels"),
    [
        ({3: [0, 1], 5: np.array([1, 1])}, [3, 5], [[0, 1], [1, 1]]),
        ({"3": (0.0, 1.0)}, [3], [[0, 1]]),
        ({np.int64(3): "scratch"}, [3], None),
        ({3: [0, 2]}, [3], None),
        ([3, np.int32(5)], [3, 5], None),
        (np.array([4, 2]), [4, 2], None),
        ({4}, [4], None),
        (range(2, 4), [2, 3], None),
        ({3: 0, 5: 0}.keys(), [3, 5], None),
        ([{"idx": 3, "label": [1, 0]}, {"idx": 4, "label": [0, 0]}], [3, 4], [[1, 0], [0, 0]]),
        ([{"idx": 3}], [3], None),
        ([], [], None),
        ({}, [], []),
    ],
    ids=str,
)
def test_claims_are_understood_in_the_forms_that_people_use(value, indices, labels):
    found, values = purchase_claim(value, 2)
    assert found.tolist() == indices
    assert (values is None) if labels is None else values.tolist() == labels


@pytest.mark.parametrize(
    "value",
    [
        None,
        3,
        "abc",
        b"x",
        object(),
        [1.5],
        [True],
        ["a"],
        [[1]],
        {"a": 1},
        {10**30: [0, 1]},
        Hostile({1: 2}),
        lambda: 1,
        iter([1]),
    ],
    ids=lambda v: type(v).__name__,  # no addresses: parallel processes must agree on the names
)
def test_any_other_return_value_is_no_claim_and_no_error(value):
    assert purchase_claim(value, 2) is None


def ledger(*bought: tuple[int, tuple[int, ...]]) -> Ledger:
    return Ledger([Purchase(i, index, index, 0.0, label) for i, (index, label) in enumerate(bought)])


def claim(indices, labels=None) -> Message:
    blob = np.array(indices, np.int64).tobytes() + (b"" if labels is None else np.array(labels, np.uint8).tobytes())
    return Message("done", {"claim": "indices" if labels is None else "labels", "n": len(indices)}, blob)


BOUGHT = ledger((3, (0, 1)), (5, (1, 1)))


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (claim([3, 5], [[0, 1], [1, 1]]), None),
        (claim([5, 3]), None),
        (Message("done", {"claim": "none"}, b""), None),
        (claim([3]), "purchase_phase did not return 1 bought label"),
        (claim([3, 5, 6, 7]), "purchase_phase returned 2 labels that were not bought"),
        (claim([3, 5], [[0, 1], [1, 0]]), "purchase_phase returned 1 label with other values"),
        (claim([]), "purchase_phase did not return 2 bought labels"),
    ],
)
def test_where_the_return_value_disagrees_the_ledger_counts_and_it_is_said(message, said):
    found = purchase_disagreement(message, BOUGHT, 8, 2)
    assert (found is None) if said is None else (said in found and found.endswith("training uses the ledger"))


@pytest.mark.parametrize("n", [-1, 1, 3, 2**40])
def test_a_claim_whose_sizes_do_not_fit_is_a_protocol_error(n):
    message = claim([3, 5])
    message.fields["n"] = n
    with pytest.raises(Stopped) as caught:
        purchase_disagreement(message, BOUGHT, 8, 2)
    assert caught.value.verdict is Verdict.PROTOCOL_ERROR


# -- what prediction_phase returns


class Set3:
    indices = np.arange(3)
    classes = ("a", "b")

    def __len__(self):
        return 3


class Lazy:
    """An object that makes its array when it is asked."""

    def __array__(self, dtype=None, copy=None):
        return np.ones((3, 2), dtype or float)


class Tensor:
    """What torch tensors look like from outside."""

    def __init__(self, array):
        self.array = array

    def detach(self):
        return self

    def cpu(self):
        return self

    def numpy(self):
        return self.array


ONES = np.ones((3, 2))


@pytest.mark.parametrize(
    "value",
    [
        ONES,
        ONES.astype(bool),
        ONES.astype(np.float16),
        ONES.T.copy().T,
        ONES.tolist(),
        tuple(ONES.astype(int).tolist()),
        list(ONES),
        {2: [1, 1], 0: [1, 1], 1: [1, 1]},
        [{"idx": i, "label": [1, 1]} for i in range(3)],
        Lazy(),
        Tensor(ONES),
        [Tensor(np.ones(2))] * 3,
    ],
    ids=lambda v: type(v).__name__,
)
def test_predictions_are_read_from_whatever_holds_numbers(value):
    found = prediction_array(value, Set3())
    assert found.dtype == np.float64
    assert found.flags.c_contiguous
    assert np.array_equal(found, ONES)


class Frame:
    """What a data frame looks like from outside."""

    iloc = None

    def __init__(self, index, rows):
        self.index, self.rows = index, rows

    def __array__(self, dtype=None, copy=None):
        return np.array(self.rows, dtype)


@pytest.mark.parametrize(
    "value",
    [
        {1: [0, 1], 0: [0, 0], 2: [1, 1]},
        [{"idx": 1, "label": [0, 1]}, {"idx": 0, "label": (0, 0)}, {"idx": np.int64(2), "label": np.ones(2)}],
        [{"label": [0, 0]}, {"label": [0, 1]}, {"label": [1, 1]}],
        Frame([1, 0, 2], [[0, 1], [0, 0], [1, 1]]),
        Frame(["a", "b", "c"], [[0, 0], [0, 1], [1, 1]]),
    ],
    ids=["dict", "items", "items without idx", "frame by idx", "frame by row"],
)
def test_predictions_by_image_come_in_any_order(value):
    assert prediction_array(value, Set3()).tolist() == [[0, 0], [0, 1], [1, 1]]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([{"idx": 0, "label": [1, 1]}] * 3, "idx 1 is missing"),
        ([{"idx": i, "label": [1, 1]} for i in (0, 1, 2, 2)], "idx 2 comes twice"),
        ({i: [1, 1] for i in range(4)}, "no image with idx 3"),
        ([{"idx": 0, "label": [1, 1]}, {"label": [1, 1]}, {"label": [1, 1]}], "1 of 3 items have an idx"),
        ([["0", "1"]] * 3, "<U1"),
        (np.ones((3, 2), complex), "complex128"),
        ([[0, None]] * 3, "object"),
        (None, r"^prediction_phase returned nothing \(None\); an array"),
        (iter([[0, 1]] * 3), "returned a list_iterator that cannot be read .it gives its values one by one"),
    ],
    ids=["missing", "twice", "unknown", "mixed", "texts", "complex", "none", "nothing", "iterator"],
)
def test_predictions_that_the_rule_does_not_know_are_refused_in_words(value, said):
    with pytest.raises(InvalidOutput, match=said):
        prediction_array(value, Set3())


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "bfloat16", "float32", "float64"])
def test_tensors_of_any_type_are_read(dtype):
    torch = pytest.importorskip("torch")
    tensor = torch.ones((3, 2), dtype=getattr(torch, dtype))
    tensor = tensor.requires_grad_() if tensor.is_floating_point() else tensor
    for value in (tensor, list(tensor), dict(enumerate(tensor))):
        assert np.array_equal(prediction_array(value, Set3()), ONES)


@pytest.mark.parametrize("value", [np.nextafter(np.float32(1), np.float32(2)), np.nextafter(np.float16(1), np.float16(2)), -1e-4])
def test_what_rounding_leaves_beyond_0_and_1_counts_as_0_or_1(value):
    assert set(predictions(sent(np.full((3, 2), value)), 3, 2).ravel()) == {float(value > 0.5)}


def test_predictions_by_number_are_put_in_order():
    assert prediction_array({1: [0, 1], 0: [0, 0], 2: [1, 1]}, Set3()).tolist() == [[0, 0], [0, 1], [1, 1]]


@pytest.mark.parametrize(
    "value",
    [None, "abc", object(), {0: [1, 1]}, [[1, 2], [3]], [["a", "b"]], lambda: 1, iter([1]), Hostile({1: 2})],
    ids=lambda v: type(v).__name__,
)
def test_predictions_that_are_no_numbers_are_refused_with_what_was_expected(value):
    with pytest.raises(InvalidOutput, match=r"array of shape \(3, 2\)"):
        prediction_array(value, Set3())


def sent(array: np.ndarray) -> Message:
    return Message("done", {"shape": list(array.shape)}, array.astype(np.float64).tobytes())


def test_right_predictions_pass_unchanged():
    values = np.random.default_rng(0).random((3, 2))
    assert np.array_equal(predictions(sent(values), 3, 2), values)
    assert np.array_equal(predictions(sent(ONES), 3, 2), ONES)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.01, 1.01, -1e300])
def test_a_value_that_is_no_probability_is_named_with_its_place(value):
    array = ONES.copy()
    array[2, 1] = value
    with pytest.raises(Stopped, match="for image 2, class 1") as caught:
        predictions(sent(array), 3, 2)
    assert caught.value.verdict is Verdict.INVALID_OUTPUT
    assert str(np.float64(value)) in str(caught.value)


@pytest.mark.parametrize("shape", [(3,), (2, 2), (3, 3), (2, 3), (3, 2, 1), ()])
def test_a_wrong_shape_is_named_with_the_right_one_and_the_side_that_is_wrong(shape):
    with pytest.raises(Stopped, match=r"expected \(3, 2\): ") as caught:
        predictions(sent(np.ones(shape)), 3, 2)
    assert caught.value.verdict is Verdict.INVALID_OUTPUT
    rows, columns = "3 rows, as many as there are images", "2 columns, as many as the round has classes"
    expected = {(2, 2): rows, (3, 3): columns}.get(shape, f"{rows}, and {columns}")
    assert str(caught.value).endswith(f"(3, 2): {expected}")


def test_bytes_that_do_not_fit_their_shape_are_a_protocol_error():
    with pytest.raises(Stopped) as caught:
        predictions(Message("done", {"shape": [3, 2]}, b"12345678"), 3, 2)
    assert caught.value.verdict is Verdict.PROTOCOL_ERROR
