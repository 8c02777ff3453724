"""Corrections for many tests: Holm's, and the one over all tests of a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.rederive.cells import NAN
from experiments.rederive.differences import Test


def holm(p: Sequence[float]) -> list[float]:
    """Holm's correction: the p of rank k of m is multiplied by m - k + 1, and none is below one before it."""
    order = sorted((value, place) for place, value in enumerate(p) if not math.isnan(value))
    found, least = [NAN] * len(p), 0.0
    for rank, (value, place) in enumerate(order):
        least = max(least, min(1.0, value * (len(order) - rank)))
        found[place] = least
    return found


@dataclass(eq=False)
class Gate:
    """A test over data sets. ``corrected``, ``family``: of the tree, once it is known."""

    p: float
    corrected: float = NAN
    family: int = 1


def inherit(branches: Sequence[tuple[Test | Gate, Sequence[Test]]]) -> None:
    """Correct a tree of tests: (gate, the tests behind it) of every branch.

    Goeman and Finos (2012): alpha is shared equally by the branches of which a test is left. A branch's share belongs to its gate;
    once the gate is rejected, to the tests behind it that are left, in equal parts. The corrected p of a test is the smallest alpha
    at which it is rejected: step by step the test is rejected whose p is the smallest multiple of its share.
    """
    left = [
        ([gate] if not math.isnan(gate.p) else [], [test for test in tests if not math.isnan(test.p)]) for gate, tests in branches
    ]
    left = [branch for branch in left if branch[0] or branch[1]]
    for gates, tests in left:
        for test in gates:
            test.family = len(left)
        for test in tests:
            test.family = len(left) * len(tests)
    alpha = 0.0
    while left:
        ready = [(test, len(gates or tests), (gates, tests)) for gates, tests in left for test in gates or tests]
        test, parts, branch = min(ready, key=lambda of: of[0].p * of[1])
        alpha = test.corrected = max(alpha, min(1.0, test.p * parts * len(left)))
        (branch[0] or branch[1]).remove(test)
        left = [of for of in left if of[0] or of[1]]
