"""Everything that is derived from the cells, by condition and data set: differences, corrected tests, wins, agreement of ranks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

from experiments.rederive.cells import NAN, Grid, Key
from experiments.rederive.corrections import Gate, holm, inherit
from experiments.rederive.data_sets import over_data_sets
from experiments.rederive.differences import FEWEST, Test
from experiments.rederive.rank_agreement import Tau, tau

HEADING = re.compile(
    r"### (clean labels|label quality ([\d.]+)), (\w+) split(?: \(([^)]+)\))?(?:, (\d+) data sets)?( \(proxy\))?$", re.I
)


@dataclass(eq=False)
class Derived:
    """Everything of one condition on one data set. Tests are those of differences to random, by strategy."""

    grid: Grid
    over: dict[str, Test]
    single: dict[tuple[str, str], Test]
    areas: dict[tuple[str, str], Test]
    hidden: dict[str, Test]

    @classmethod
    def from_grid(cls, grid: Grid) -> Derived:
        """Before the correction."""

        def test(series: Any, *args: Any) -> dict[str, Test]:
            return {name: Test(series(name, *args) - series("random", *args)) for name in grid.others}

        over = test(grid.of, grid.main)
        single = {(name, pair): found for pair in grid.pairs for name, found in test(grid.on, pair).items()}
        if len(grid.main) == 1:  # one test, which is not counted twice
            single |= {(name, grid.main[0]): found for name, found in over.items()}
        areas = {(name, of): found for of, pairs in grid.curves.items() for name, found in test(grid.area, pairs).items()}
        hidden = {} if not grid.names or grid.less(grid.names[0]) is None else test(grid.less)
        return cls(grid, over, single, areas, hidden)

    @property
    def named_branches(self) -> list[tuple[str, Test, list[Test]]]:
        """Of every strategy its name, the test over the pairs, and those behind it."""
        found = []
        for name, gate in self.over.items():
            behind = [test for (of, _), test in [*self.single.items(), *self.areas.items()] if of == name and test is not gate]
            found.append((name, gate, behind + ([self.hidden[name]] if name in self.hidden else [])))
        return found

    def at(self, pairs: Sequence[str]) -> dict[str, Test]:
        """The tests over some pairs: all that means are taken over, or one."""
        if list(pairs) == self.grid.main:
            return self.over
        return {name: test for (name, pair), test in self.single.items() if [pair] == list(pairs)}

    @cached_property
    def wins(self) -> tuple[Counter[tuple[str, str, int]], Counter[tuple[str, str]]]:
        """How often strategies win (1), tie (0) and lose (-1), by (strategy, other, outcome); how many of these chance may turn.

        Holm's correction covers all pairings of a pair.
        """
        grid = self.grid
        score: Counter[tuple[str, str, int]] = Counter()
        unsure: Counter[tuple[str, str]] = Counter()
        for pair in grid.pairs:
            of = {name: grid.on(name, pair) for name in grid.names}
            both = [(one, other, Test(of[one] - of[other])) for one, other in combinations(grid.names, 2)]
            for (one, other, test), p in zip(both, holm([test.p for *_, test in both]), strict=True):
                if len(test.of.observed) < FEWEST or not (test.spread or abs(test.bounds[0]) <= 1e-12):
                    continue
                word, *more = test.shown(p)
                won = {"better": 1, "worse": -1}.get(word, 0)
                score[one, other, won] += 1
                score[other, one, -won] += 1
                unsure[one, other] += len(more)
                unsure[other, one] += len(more)
        return score, unsure


class Conditions:
    """Everything that is derived, and which part of it a heading of the page means.

    Attributes:
        derived: by condition and data set.
        over_sets: by condition, where it has several data sets: of every strategy the difference to random over them.
    """

    def __init__(self, grids: dict[Key, Grid]) -> None:
        self.derived = {key: Derived.from_grid(grid) for key, grid in sorted(grids.items())}
        kinds: dict[Key, list[Derived]] = {}
        for key, derived in self.derived.items():
            kinds.setdefault(key[:4], []).append(derived)
        self.over_sets = {kind: over_data_sets([derived.grid for derived in of]) for kind, of in kinds.items() if len(of) > 1}
        branches: list[tuple[Test | Gate, list[Test]]] = []
        for kind, of in kinds.items():
            single = [branch for derived in of for branch in derived.named_branches]
            everywhere = set.intersection(*(set(derived.over) for derived in of)) if len(of) > 1 else set()
            sets = self.over_sets.get(kind, {})
            gates: dict[str, Gate] = {name: sets[name]["gate"] if name in sets else Gate(NAN) for name in sorted(everywhere)}
            for name, gate in gates.items():
                branches.append((gate, [test for other, first, then in single if other == name for test in (first, *then)]))
            branches += [(first, then) for name, first, then in single if name not in gates]
        inherit(branches)
        self._taus: dict[tuple[Key, Key], Tau | None] = {}

    def chosen(self, proxy: bool, heading: str, several: bool = False) -> list[Derived]:
        """What belongs to a heading, by data set. ``several``: of several data sets, even if the heading does not count them."""
        found = HEADING.match(heading.split(" (proxy)")[0])
        if found is None:
            return []
        quality = 1.0 if found[1].lower() == "clean labels" else float(found[2])
        several = several or found[5] is not None
        # Profile, pipeline or both: what differs between the conditions of the page.
        of = set(found[4].split(", ")) if found[4] else set()
        return [
            derived
            for key, derived in self.derived.items()
            if derived.grid.proxy == proxy
            and key[2:4] == (quality, found[3])
            and of <= set(key[:2])
            and self.in_levels(key) == several
        ]

    def sets(self, chosen: Sequence[Derived]) -> dict[str, dict[str, Any]]:
        """What every strategy's difference to random is over the data sets of the condition that was chosen."""
        return self.over_sets.get(chosen[0].grid.key[:4], {}) if chosen else {}

    def in_levels(self, key: Key) -> bool:
        """Whether several data sets of a condition are stored."""
        return sum(other[:4] == key[:4] for other in self.derived) > 1

    def of_one(self, proxy: bool) -> list[Derived]:
        """What stands in tables of one data set."""
        return [derived for key, derived in self.derived.items() if derived.grid.proxy == proxy and not self.in_levels(key)]

    def agreement(self, mine: Grid) -> dict[str, Tau | None]:
        """The agreement of a proxy with every full training of its condition."""
        found = {}
        for key, theirs in self.derived.items():
            if not theirs.grid.proxy and (key[0], *key[2:]) == (mine.key[0], *mine.key[2:]):
                if (mine.key, key) not in self._taus:
                    self._taus[mine.key, key] = tau(mine, theirs.grid)
                found[key[1]] = self._taus[mine.key, key]
        return found
