"""Pictures of an evaluation of rankings: accuracy against checks for every task, and score against time. Needs matplotlib.

They show what the original's plots show (a dashed line is the accuracy before the first check) and are drawn from the kit's cells,
so that both ways of scoring are plotted alike.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evaluator.cleaning.cells import ACTIONS, EDITS
from evaluator.cleaning.offline import Folders, require_tasks
from evaluator.cleaning.rankings import TIME, read_seconds
from evaluator.cleaning.rules import ORIGINAL, VOTES
from evaluator.errors import ConfigurationError
from evaluator.files import write_bytes
from evaluator.history.reading import read_cells
from evaluator.text import name as shown_name
from evaluator.track import Tracks

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c510a", "#7b3294", "#666666")
"""Told apart by people who see colours differently (Okabe and Ito 2008), and three more."""
STYLES = ("-", "--", "-.", ":")
MARKERS = "osD^v<>Ph*X"


def can_plot() -> bool:
    """Whether matplotlib is installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        return False
    return True


def plot_results(folders: Folders, tracks: Tracks, tasks: Sequence[str] = ()) -> list[Path]:
    """Draw the newest evaluation of every task and method in the folder of results.

    Cells of another recipe, or with another action, are in pictures of their own.

    Args:
        tasks: names; empty for all that are stored.

    Returns:
        The pictures: ``{task}_{recipe}.png`` for every task and recipe, and ``score_and_time_{recipe}.png``; where wrong rows are
        removed ``{task}_{recipe}_remove.png``, and of tables of edits ``{task}_{recipe}_edits.png``.

    Raises:
        ConfigurationError: there is no cell to draw, a named task has none, or matplotlib is not installed.
        OSError: a picture cannot be written.
    """
    if not can_plot():
        raise ConfigurationError("plots need matplotlib, which is not installed; run `pip install -r requirements-cleaning.txt`")
    from matplotlib.figure import Figure

    by_kind = _cells(folders.results, tracks) if (folders.results / "cells").is_dir() else {}
    if not by_kind:
        raise ConfigurationError(f"{folders.results}: it holds no scored ranking; run `cleaning evaluate` first")
    require_tasks(tasks, sorted({task for found in by_kind.values() for task in found}))
    methods = sorted({method for of_kind in by_kind.values() for found in of_kind.values() for method in found})
    colours = {method: COLOURS[n % len(COLOURS)] for n, method in enumerate(methods)}
    styles = {method: STYLES[n // len(COLOURS) % len(STYLES)] for n, method in enumerate(methods)}
    written = []
    for kind, of_kind in sorted(by_kind.items()):
        shown = {task: found for task, found in sorted(of_kind.items()) if not tasks or task in tasks}
        for task, found in shown.items():
            figure = Figure(figsize=(8, 5), layout="constrained")
            _curves(figure.add_subplot(), task, kind, found, colours, styles)
            written.append(_written(figure, folders.results / f"{task}_{kind.file}.png"))
        figure = Figure(figsize=(8, 5), layout="constrained")
        if _scores(figure.add_subplot(), kind, shown, colours, folders.submissions):
            written.append(_written(figure, folders.results / f"score_and_time_{kind.file}.png"))
    return written


class Kind(NamedTuple):
    """What must be equal in one picture: the recipe, and what is done with a row that is checked."""

    recipe: str
    action: str

    @property
    def file(self) -> str:
        """As a part of a file's name."""
        return self.recipe if self.action == "fix" else f"{self.recipe}_{self.action}"

    @property
    def title(self) -> str:
        """As a part of a picture's title."""
        return f"{ACTIONS[self.action]}, {self.recipe}"

    @property
    def across(self) -> str:
        """Name of the axis of checks."""
        return "edits made" if self.action == EDITS else "labels checked"


def _cells(results: Path, tracks: Tracks) -> dict[Kind, dict[str, dict[str, list[dict[str, Any]]]]]:
    """Scored cells of files by kind, task and method; of one seed the newest."""
    newest: dict[tuple[Kind, str, str, int], tuple[float, dict[str, Any]]] = {}
    for path, cell, _ in read_cells(results, tracks):
        if cell is None or cell["spec"]["track"] != "cleaning" or not cell["scored"]:
            continue
        spec = cell["spec"]
        key = (Kind(spec["pipeline"]["name"], spec["action"]), spec["task"], spec["submission"], spec["seed"])
        when = path.stat().st_mtime
        if key not in newest or when > newest[key][0]:
            newest[key] = when, cell
    found: dict[Kind, dict[str, dict[str, list[dict[str, Any]]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for (kind, task, method, _), (_, cell) in sorted(newest.items(), key=lambda item: item[0]):
        found[kind][task][method].append(cell)
    return found


def _curves(
    axes: Any,
    task: str,
    kind: Kind,
    found: Mapping[str, list[dict[str, Any]]],
    colours: Mapping[str, str],
    styles: Mapping[str, str],
) -> None:
    before = target = None
    for method, cells in found.items():
        rows = cells[0]["rows"]
        checks = np.arange(rows + 1)
        steps = [_stepped(cell, checks) for cell in cells]
        mean = np.mean(steps, axis=0)
        shown = {"color": colours[method], "linestyle": styles[method], "linewidth": 1.6}
        axes.plot(
            checks,
            mean,
            label=f"{shown_name(method)} ({_mean_score(cells):.3f})".replace("$", r"\$"),
            drawstyle="steps-post",
            **shown,
        )
        before, target = mean[0], np.mean([cell["target"] for cell in cells])
    first = "before the first edit" if kind.action == EDITS else "before the first check"
    axes.axhline(before, color="black", linestyle=(0, (4, 3)), linewidth=1, label=first)
    if kind.recipe != ORIGINAL.name:  # the original's target is another for every method
        axes.axhline(target, color="#888888", linestyle=(0, (1, 2)), linewidth=1, label="target")
    axes.set_title(f"Cleaning {shown_name(task)}: {kind.title}".replace("$", r"\$"))
    axes.set_xlabel(kind.across)
    axes.set_ylabel("share of right labels" if kind.recipe == VOTES.name else "test accuracy")
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.legend(fontsize=7, title="method (share fixed)", title_fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))


def _stepped(cell: Mapping[str, Any], checks: np.ndarray) -> np.ndarray:
    """The accuracy at every number of checks: that of the last training before."""
    points = cell["curve"]
    at = np.searchsorted([point["checks"] for point in points], checks, side="right") - 1
    return np.array([point["accuracy"] for point in points])[at]


def _scores(
    axes: Any, kind: Kind, tasks: Mapping[str, Mapping[str, list[dict[str, Any]]]], colours: Mapping[str, str], submissions: Path
) -> bool:
    """Draw the score of every method and task against its time; False if no method says its time."""
    drawn = set()
    for number, (task, found) in enumerate(sorted(tasks.items())):
        for method, cells in found.items():
            seconds = read_seconds(submissions / f"{TIME}{task}_{method}.txt")
            if seconds is None:
                continue
            text = shown_name(method).replace("$", r"\$") if method not in drawn else None
            drawn.add(method)
            marker = MARKERS[number % len(MARKERS)]
            axes.scatter(max(seconds, 1e-6), _mean_score(cells), color=colours[method], marker=marker, s=45, alpha=0.85, label=text)
    for number, task in enumerate(sorted(tasks)):
        text = shown_name(task).replace("$", r"\$")
        axes.scatter([], [], color="#555555", marker=MARKERS[number % len(MARKERS)], s=30, label=text)
    axes.set_xscale("log")
    axes.set_xlabel("seconds that the method took")
    axes.set_ylabel("share fixed (lower is better)")
    axes.set_title(f"Score and time: {kind.title}")
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return bool(drawn)


def _mean_score(cells: list[dict[str, Any]]) -> float:
    return float(np.mean([cell["metrics"]["fraction_fixed"] for cell in cells]))


def _written(figure: Any, path: Path) -> Path:
    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=150, metadata={"Software": None})
        write_bytes(path, file.getvalue())
    return path
