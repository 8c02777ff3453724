"""Cells whose model learnt nothing (``Track.collapsed``): how tables count them, and which figures of a comparison rest on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluator.history.groups import Condition
from evaluator.report.format import MARK
from evaluator.scoring.collapse import counts
from evaluator.scoring.scores import Scores
from evaluator.track import Track
from evaluator.words import counted

Cell = Mapping[str, Any]


def summary_note(cells: Sequence[Cell], track: Track) -> list[str]:
    """What the mark means, and how many cells have it; empty if none has. ``cells``: of ``result.json`` or ``sweep.json``."""
    n = sum(_is_collapsed(cell, track) for cell in cells)
    scored = sum(bool(cell["scored"]) if "scored" in cell else cell.get("score") is not None for cell in cells)
    return [meaning(n, scored, track)] if n else []


def _is_collapsed(cell: Cell, track: Track) -> bool:
    if "collapsed" not in cell and cell.get("metrics"):  # of a summary that an older kit wrote
        return track.collapsed(cell["metrics"])
    return bool(cell.get("collapsed"))


def meaning(n: int, scored: int, track: Track) -> str:
    """``!: 3 of 10 scored cells collapsed: ...``."""
    return (
        f"{MARK}: {n} of {counted(scored, 'scored cell')} collapsed: the score is {track.collapsed_text}, so it says nothing about "
        'what was trained on. A mean with such cells is of two kinds of models; "without" is the mean over the other seeds.'
    )


def by_strategy(condition: Condition) -> Counter[str]:
    """Number of collapsed cells by strategy."""
    return Counter(name for name, _, _ in _places(condition))


def _places(condition: Condition) -> set[tuple[str, str, int]]:
    return {p for p, cell in condition.cells.items() if cell["scored"] and condition.track.collapsed(cell["metrics"])}


def fallen(condition: Condition, scores: Scores, ceiling: str | None) -> np.ndarray:
    """Which of the scores are of a collapsed cell, bool (strategies, pairs, seeds).

    Args:
        ceiling: the strategy whose score at every pair is that of the cells in which it got everything; None for none.
    """
    places = _places(condition)
    found = np.array([[[(s, p, n) in places for n in scores.seeds] for p in scores.pairs] for s in scores.strategies])
    if ceiling is not None:
        whole = {
            seed for name, task, seed in places if name == ceiling and condition.track.whole(condition.cells[name, task, seed])
        }
        found[scores.index(ceiling)] = [seed in whole for seed in scores.seeds]
    return found


@dataclass(frozen=True, eq=False)
class Behind:
    """The seeds that rows of a table rest on.

    Attributes:
        strategies: s names.
        values: (s, n) float, one score per seed; NaN where a seed has none.
        collapsed: (s, n) bool, whether a cell behind it collapsed.
    """

    strategies: tuple[str, ...]
    values: np.ndarray
    collapsed: np.ndarray

    @classmethod
    def over(cls, scores: Scores, collapsed: np.ndarray, pairs: Sequence[str]) -> Behind:
        """The means over ``pairs``. ``collapsed``: as ``fallen`` gives it for ``scores``."""
        places = [scores.pairs.index(pair) for pair in pairs]
        return cls(scores.strategies, scores.values[:, places].mean(axis=1), np.asarray(collapsed[:, places].any(axis=1)))

    def mark_means(self, rows: Iterable[dict[str, Any]], key: str = "interval") -> None:
        """Add to the intervals of rows, by ``strategy``, what ``counts`` says of their seeds."""
        for row in rows:
            place = self.strategies.index(row["strategy"])
            _mark(row[key], self.values[place], self.collapsed[place])

    def mark_differences(self, rows: Iterable[dict[str, Any]], reference: str | None) -> None:
        """The same for the differences to ``reference``: a seed counts where either of the two collapsed."""
        for row in rows if reference in self.strategies else ():
            mine, theirs = self.strategies.index(row["strategy"]), self.strategies.index(str(reference))
            _mark(row["difference"], self.values[mine] - self.values[theirs], self.collapsed[mine] | self.collapsed[theirs])


def _mark(interval: dict[str, Any] | None, values: np.ndarray, collapsed: np.ndarray) -> None:
    if interval is not None:
        there = ~np.isnan(values)
        interval |= counts(list(zip(values[there].tolist(), collapsed[there].tolist(), strict=True)))


def comparison_note(table: Mapping[str, Any], track: Track) -> list[str]:
    """What the mark means, and how many cells of which strategies have it; empty if none has."""
    by = {row["name"]: row["collapsed"] for row in table["strategies"] if row["collapsed"]}
    if not by:
        return []
    scored = sum(row["scored"] for row in table["strategies"])
    named = ", ".join(f"{name} {n}" for name, n in by.items())
    return [
        meaning(sum(by.values()), scored, track),
        f"collapsed cells: {named}. A finding, a p or a share of the gap with {MARK} rests on them; wins, ties and losses count "
        "them as any score.",
    ]
