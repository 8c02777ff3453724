"""One correction for everything that several tables list in words: a tree of tests.

Each *branch* is one strategy under one condition. Its *gate* is the test over all pairs; behind it stand the other tests of that
strategy (each pair, the area, hidden pairs). A strategy that is not shown over the pairs has no finding on a single pair. The
chance of one or more false findings among all tests of all branches stays below alpha, whatever their dependence.

It is the inheritance procedure of Goeman & Finos (2012, "The inheritance procedure: multiple testing of tree-structured
hypotheses"), a case of the graphical procedures of Bretz, Maurer, Brannath & Posch (2009): alpha is divided equally among the
branches; a gate that is passed hands its share to the tests behind it, which are corrected by Holm's method; a branch of which all
tests were significant hands its share to the branches that are left. Without tests behind the gates it is Holm's correction.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np


def inherited(gates: Sequence[float], behind: Sequence[Sequence[float]]) -> tuple[list[float], list[list[float]], list[int]]:
    """Corrected p of every test.

    Args:
        gates: p of the gate of each branch; NaN where it was not tested: the tests behind it then begin without it.
        behind: for each branch, p of the tests behind the gate; NaN where nothing was tested.

    Returns:
        Corrected p of the gates, corrected p of the tests behind them (NaN stays NaN), and how many tests stand behind each gate. A
        test is significant where its corrected p is below alpha.

    Raises:
        ValueError: a p outside [0, 1], or not a list of tests behind every gate.
    """
    if len(gates) != len(behind):
        raise ValueError(f"there are {len(gates)} gates, and tests behind {len(behind)}; give a list for each gate, empty for none")
    given = np.array([*gates, *(p for tests in behind for p in tests)], dtype=np.float64)
    if ((given < 0) | (given > 1)).any():
        raise ValueError("a p value lies outside 0 to 1; give p values, and NaN where nothing was tested")
    first = [float("nan") if np.isnan(p) else 1.0 for p in gates]
    then = [[float("nan") if np.isnan(p) else 1.0 for p in tests] for tests in behind]
    waiting = [sorted((float(p), k) for k, p in enumerate(tests) if not np.isnan(p)) for tests in behind]
    sizes = [len(tests) for tests in waiting]
    # What can be rejected next, the smallest first: (p times the number of tests that share the branch, branch). The number of
    # branches multiplies all of them alike, so that it does not change their order.
    ready: list[tuple[float, int]] = []
    for branch, gate in enumerate(gates):
        if not np.isnan(gate):
            ready.append((float(gate), branch))
        elif waiting[branch]:
            ready.append((waiting[branch][0][0] * len(waiting[branch]), branch))
    heapq.heapify(ready)
    open_gate = [bool(np.isnan(gate)) for gate in gates]
    left, reached = len(ready), 0.0
    while ready:
        value, branch = heapq.heappop(ready)
        reached = max(reached, min(1.0, value * left))
        if open_gate[branch]:
            then[branch][waiting[branch].pop(0)[1]] = reached
        else:
            first[branch], open_gate[branch] = reached, True
        if waiting[branch]:
            heapq.heappush(ready, (waiting[branch][0][0] * len(waiting[branch]), branch))
        else:
            left -= 1
    return first, then, sizes
