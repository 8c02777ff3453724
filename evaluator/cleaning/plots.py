"""Pictures of an evaluation of rankings: accuracy against checks for every task, and score against time. Needs matplotlib.

They show what the original's plots show (a dashed line is the accuracy before the first check) and are drawn from the kit's cells,
so that both ways of scoring are plotted alike.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.cleaning.offline import Folders
from evaluator.cleaning.rankings import TIME, read_seconds
from evaluator.errors import ConfigurationError
from evaluator.files import write_bytes
from evaluator.history.reading import read_cells
from evaluator.text import name as shown_name
from evaluator.track import Tracks

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c510a", "#7b3294", "#666666")
"""Told apart by people who see colours differently (Okabe and Ito 2008), and three more."""
STYLES = ("-", "--", "-.", ":")
MARKERS = "osD^v<>Ph*X"


def plot_results(folders: Folders, tracks: Tracks) -> list[Path]:
    """Draw the newest evaluation of every task and method in the folder of results.

    Returns:
        The pictures: ``{task}_{scoring}.png`` of every task and way of scoring, and ``score_and_time_{scoring}.png``.

    Raises:
        ConfigurationError: there is no cell to draw, or matplotlib is not installed.
        OSError: a picture cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigurationError(
            "plots need matplotlib, which is not installed; run `pip install -r requirements-cleaning.txt`"
        ) from None
    by_scoring = _cells(folders.results, tracks)
    if not by_scoring:
        raise ConfigurationError(f"{folders.results}: it holds no scored ranking; run `cleaning evaluate` first")
    written = []
    for scoring, tasks in sorted(by_scoring.items()):
        methods = sorted({method for found in tasks.values() for method in found})
        colours = {method: COLOURS[n % len(COLOURS)] for n, method in enumerate(methods)}
        styles = {method: STYLES[n // len(COLOURS) % len(STYLES)] for n, method in enumerate(methods)}
        for task, found in sorted(tasks.items()):
            figure = Figure(figsize=(8, 5), layout="constrained")
            _curves(figure.add_subplot(), task, found, colours, styles)
            written.append(_written(figure, folders.results / f"{task}_{scoring}.png"))
        figure = Figure(figsize=(8, 5), layout="constrained")
        if _scores(figure.add_subplot(), tasks, colours, folders.submissions):
            written.append(_written(figure, folders.results / f"score_and_time_{scoring}.png"))
    return written


def _cells(results: Path, tracks: Tracks) -> dict[str, dict[str, dict[str, list[dict[str, Any]]]]]:
    """Scored cells of rankings by scoring, task and method; of one seed the newest."""
    newest: dict[tuple[str, str, str, int], tuple[float, dict[str, Any]]] = {}
    for path, cell, _ in read_cells(results, tracks):
        if cell is None or cell["spec"]["track"] != "cleaning" or not cell["scored"]:
            continue
        spec = cell["spec"]
        key = (spec["pipeline"]["name"], spec["task"], spec["submission"], spec["seed"])
        when = path.stat().st_mtime
        if key not in newest or when > newest[key][0]:
            newest[key] = when, cell
    found: dict[str, dict[str, dict[str, list[dict[str, Any]]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for (scoring, task, method, _), (_, cell) in sorted(newest.items()):
        found[scoring][task][method].append(cell)
    return found


def _curves(
    axes: Any, task: str, found: Mapping[str, list[dict[str, Any]]], colours: Mapping[str, str], styles: Mapping[str, str]
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
    axes.axhline(before, color="black", linestyle=(0, (4, 3)), linewidth=1, label="before the first check")
    axes.axhline(target, color="#888888", linestyle=(0, (1, 2)), linewidth=1, label="target")
    axes.set_title(f"Cleaning {shown_name(task)}".replace("$", r"\$"))
    axes.set_xlabel("labels checked")
    axes.set_ylabel("test accuracy")
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.legend(fontsize=8, title="method (share fixed)", title_fontsize=8, loc="lower right")


def _stepped(cell: Mapping[str, Any], checks: np.ndarray) -> np.ndarray:
    """The accuracy at every number of checks: that of the last training before."""
    points = cell["curve"]
    at = np.searchsorted([point["checks"] for point in points], checks, side="right") - 1
    return np.array([point["accuracy"] for point in points])[at]


def _scores(
    axes: Any, tasks: Mapping[str, Mapping[str, list[dict[str, Any]]]], colours: Mapping[str, str], submissions: Path
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
    axes.set_title("Score and time")
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
