"""The table of an evaluation of rankings, in the terminal: a row per method, a table per task."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table

from evaluator.cleaning.open_division import Method
from evaluator.cleaning.track import CLEANING
from evaluator.report.console import hanging, label, titled
from evaluator.scoring.intervals import t_interval

NOTES = {
    "strict": "share fixed: labels checked until the target, 95 % of the accuracy with true labels, is first reached; "
    "lower is better. ±: half of the 95 % t interval over starts of the model; they speak of these data.",
    "dataperf": "share fixed as DataPerf's evaluator prints it: its target is the accuracy after the ranking's own last fix, so "
    "that a short file looks better than it is. Use --scoring strict to compare methods.",
}


def show_methods(console: Console, found: Sequence[Method], scoring: str) -> None:
    """Print the figures of all methods, best first in each task."""
    for task, methods in groupby(found, key=lambda method: method.task):
        table = Table(box=None, pad_edge=False)
        table.add_column("method")
        for metric in CLEANING.metrics:
            table.add_column(metric.label, justify="right")
        table.add_column("time, s", justify="right")
        for method in sorted(methods, key=lambda m: (_mean(m, "fraction_fixed"), m.name)):
            seconds = "-" if method.seconds is None else f"{method.seconds:.2f}"
            table.add_row(label(method.name), *(_text(method, metric.name) for metric in CLEANING.metrics), seconds)
        titled(console, task, table)
    hanging(console, NOTES[scoring])


def _values(method: Method, metric: str) -> list[float]:
    return [result.metrics[metric] for result in method.results if result.metrics is not None]


def _mean(method: Method, metric: str) -> float:
    values = _values(method, metric)
    return sum(values) / len(values) if values else float("inf")


def _text(method: Method, metric: str) -> str:
    values = _values(method, metric)
    if not values:
        return "failed"
    found = t_interval(values)
    if found.low is None or found.high is None or found.low == found.high:
        return f"{found.mean:.3f}"
    return f"{found.mean:.3f} ±{found.high - found.mean:.3f}"
