"""The tables of an evaluation of rankings, in the terminal: a row per method, a table per task and condition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table

from evaluator.cleaning.cells import ACTIONS, EDITS, CleaningResult
from evaluator.cleaning.open_division import methods_of
from evaluator.cleaning.rankings import Key
from evaluator.cleaning.rules import ORIGINAL
from evaluator.cleaning.track import CLEANING
from evaluator.report.console import hanging, label, titled
from evaluator.scoring.intervals import mean_of_seeds

NOTES = {
    "strict": "share fixed: labels checked until the target, 95 % of the accuracy with true labels, is first reached, as a share "
    "of all rows; 1 if it never is; lower is better. accuracy area, discovery area: mean accuracy, and mean share of the wrong "
    "labels found, over all numbers of checks. found early: share of the wrong labels found by as many checks as there are wrong "
    "labels. ±: half of the 95 % t interval over starts of the model; they speak of these data.",
    "dataperf": "share fixed as DataPerf's evaluator prints it: its target is the accuracy after the ranking's own last fix, so "
    "that a short file looks better than it is. Use --scoring strict to compare methods.",
    EDITS: "A table of edits is applied as it says, without an expert: a wrong edit stays wrong. Checks are its edits, in order.",
}


def show_methods(console: Console, results: Iterable[CleaningResult], seconds: Mapping[Key, float | None]) -> None:
    """Print the figures of all methods, best first in each task.

    Args:
        seconds: that a method says it took, by task and method.
    """
    found = methods_of(results)
    recipes = {recipe for _, _, recipe, _ in found}
    for (task, action, recipe), rows in groupby(found.items(), key=lambda item: item[0][:3]):
        table = Table(box=None, pad_edge=False)
        table.add_column("method")
        for metric in CLEANING.metrics:
            table.add_column(metric.label, justify="right")
        table.add_column("time, s", justify="right")
        methods = sorted(((key[3], own) for key, own in rows), key=lambda m: (_mean(m[1], "fraction_fixed"), m[0]))
        for name, own in methods:
            took = seconds.get((task, name))
            figures = (_text(own, metric.name) for metric in CLEANING.metrics)
            table.add_row(label(name), *figures, "-" if took is None else f"{took:.2f}")
        named = f", {recipe}" if len(recipes) > 1 else ""
        titled(console, f"{task}: {ACTIONS[action]}{named}", table)
        console.print()
    hanging(console, NOTES["dataperf" if recipes == {ORIGINAL.name} else "strict"])
    if any(action == EDITS for _, action, _, _ in found):
        hanging(console, NOTES[EDITS])


def _values(results: Sequence[CleaningResult], metric: str) -> list[float]:
    return [result.metrics[metric] for result in results if result.metrics is not None]


def _mean(results: Sequence[CleaningResult], metric: str) -> float:
    values = _values(results, metric)
    return sum(values) / len(values) if values else float("inf")


def _text(results: Sequence[CleaningResult], metric: str) -> str:
    values = _values(results, metric)
    if not values:
        return "failed"
    found = mean_of_seeds(values)
    if found.low is None or found.high is None:
        return f"{found.mean:.3f}"
    return f"{found.mean:.3f} ±{found.high - found.mean:.3f}"
