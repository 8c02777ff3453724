"""Sets of labels as flat arrays, against Python's own sets; and the kinds of errors that follow from them."""

import numpy as np
import pytest

from evaluator.audit.kinds import Kind, counts_of, kinds_of
from evaluator.audit.sets import LabelSets, combined

DRAWN = [[set(np.flatnonzero(row)) for row in np.random.default_rng(seed).random((40, 9)) < 0.2] for seed in range(3)]
SETS = [LabelSets.of(drawn) for drawn in DRAWN]


def test_sets_are_what_went_in():
    assert [set(members) for members in SETS[0].lists()] == DRAWN[0]
    assert set(SETS[0][7]) == DRAWN[0][7]
    assert LabelSets.of([[3, 1, 3], []]).lists() == [(1, 3), ()]
    assert LabelSets.where(np.array([[0, 1, 1], [0, 0, 0]])).lists() == [(1, 2), ()]
    assert LabelSets.single(np.array([4, 2])).lists() == [(4,), (2,)]
    assert LabelSets.of([[1], [], [2, 5]]).single_label.tolist() == [1, -1, -1]


@pytest.mark.parametrize("bad", [([0, 1], [-1]), ([0, 2], [3, 1]), ([0, 2], [1, 1]), ([0, 1], []), ([1, 1], [3])])
def test_arrays_that_are_no_sets_are_refused(bad):
    with pytest.raises(ValueError, match=r"label|set"):
        LabelSets(*map(np.array, bad))


def test_membership_of_one_and_of_many_labels():
    asked = np.random.default_rng(9).integers(-1, 12, (40, 4))
    expected = [[int(label) in members for label in row] for row, members in zip(asked, DRAWN[0], strict=True)]
    assert SETS[0].contains(asked).tolist() == expected
    assert SETS[0].contains(asked[:, 1]).tolist() == [row[1] for row in expected]
    assert not LabelSets.of([[], []]).contains(np.array([0, 1])).any()


def test_taken_replaced_compared():
    order = np.array([5, 5, 0, 39])
    assert [set(s) for s in SETS[0].take(order).lists()] == [DRAWN[0][i] for i in order]
    mixed = SETS[0].replaced(np.array([3, 1]), LabelSets.of([[8], []]))
    assert [set(s) for s in mixed.lists()] == [{3: {8}, 1: set()}.get(i, s) for i, s in enumerate(DRAWN[0])]
    other = SETS[0].replaced(np.arange(0, 40, 2), SETS[1].take(np.arange(0, 40, 2)))
    pairs = list(zip(DRAWN[0], [set(s) for s in other.lists()], strict=True))
    assert SETS[0].equal(other).tolist() == [a == b for a, b in pairs]
    assert SETS[0].subset(other).tolist() == [a <= b for a, b in pairs]


def test_union_and_intersection():
    each = list(zip(*DRAWN, strict=True))
    assert [set(s) for s in combined(SETS, 1).lists()] == [a | b | c for a, b, c in each]
    assert [set(s) for s in combined(SETS, 3).lists()] == [a & b & c for a, b, c in each]
    assert [set(s) for s in combined(SETS, 2).lists()] == [(a & b) | (a & c) | (b & c) for a, b, c in each]


def test_kinds_with_a_class_per_image():
    given = LabelSets.single(np.array([7, 7, 7, 7, 7]))
    valid = LabelSets.of([[7], [3], [3, 7], [3, 4], []])
    kinds = kinds_of(given, valid, multi=False)
    assert kinds.tolist() == [Kind.KEPT, Kind.MISLABELLED, Kind.SEVERAL, Kind.SEVERAL, Kind.NONE]
    assert counts_of(kinds) == {Kind.KEPT: 1, Kind.MISLABELLED: 1, Kind.SEVERAL: 2, Kind.NONE: 1}


def test_kinds_with_any_number_of_labels():
    given = LabelSets.of([[1, 2], [1, 2], [1, 2], [1, 2], [1, 2], [], [], [1]])
    valid = LabelSets.of([[1, 2], [1, 3], [1], [1, 2, 3], [], [4], [], [2]])
    kinds = kinds_of(given, valid, multi=True)
    wrong, more = Kind.MISLABELLED, Kind.SEVERAL
    assert kinds.tolist() == [Kind.KEPT, wrong, wrong, more, Kind.NONE, more, Kind.KEPT, wrong]
