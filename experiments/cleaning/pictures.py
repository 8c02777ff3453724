"""The pictures of the page: accuracy and discovery by labels checked, a file per data set; and score against time.

They are as wide as a telephone's page needs (9 points are about 10 pixels on a screen 360 pixels wide), a panel below the
other. With the same version of matplotlib, equal figures give equal files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.cleaning.plots import COLOURS, MARKERS
from evaluator.files import replaced
from experiments.cleaning.cells import SHARES
from experiments.cleaning.page import REFERENCE, Study, picture_name
from experiments.cleaning.study import DataSet
from experiments.pictures import INK, SETTINGS

WIDTH = 4.6
"""Inches."""
PANEL = 2.35
DASHED, DOTTED = (0, (4, 3)), (0, (1, 2))
LINES = ("-", (0, (5, 1.5)), (0, (3, 1, 1, 1)))


def names() -> list[str]:
    """Every picture that the page can have."""
    from experiments.cleaning.study import DATA_SETS

    return [f"cleaning-{picture_name(data_set)}.svg" for data_set in DATA_SETS] + ["cleaning-time.svg"]


def draw(study: Study, folder: Path, source: str) -> list[Path]:
    """Draw every picture as SVG; their paths. ``source`` is written into each file's metadata.

    Raises:
        ImportError: matplotlib is missing; it is in requirements-dev.txt.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with plt.rc_context(SETTINGS | {"svg.hashsalt": "cleaning", "font.size": 9, "axes.titlesize": 9.5}):
        for name, figure in _figures(study):
            path = folder / name
            with replaced(path, "wb") as file:
                figure.savefig(file, format="svg", facecolor="white", metadata={"Date": None, "Description": source})
            plt.close(figure)
            written.append(path)
    return written


def _figures(study: Study) -> Iterator[tuple[str, Any]]:
    for data_set in study.data_sets:
        yield f"cleaning-{picture_name(data_set)}.svg", courses(study, data_set)
    yield "cleaning-time.svg", times(study)


def _looks(study: Study) -> dict[str, dict[str, Any]]:
    """Colour, line and mark of every baseline, the same in all pictures; ``random`` is grey and wide."""
    found: dict[str, dict[str, Any]] = {}
    every = dict.fromkeys(name for data_set in study.data_sets for name in study.of_set(data_set))
    for number, name in enumerate(name for name in every if name != REFERENCE):
        found[name] = {"color": COLOURS[number % len(COLOURS)], "linestyle": LINES[number % len(LINES)], "linewidth": 1.4}
    return found | {REFERENCE: {"color": "#9a9a9a", "linestyle": "-", "linewidth": 3.0}}


def courses(study: Study, data_set: DataSet) -> Any:
    """Two panels a task: accuracy with lines for the start and the target, and the share of the wrong labels found."""
    from matplotlib import pyplot as plt

    tasks = study.tasks(data_set)
    figure, axes = plt.subplots(2 * len(tasks), 1, figsize=(WIDTH, 2 * len(tasks) * PANEL + 1.5), layout="constrained")
    looks = _looks(study)
    handles: dict[str, Any] = {}
    voted = data_set.profile == "cifar10-votes"
    for number, task in enumerate(tasks):
        by_name = study.of_set(data_set, task)
        upper, lower = axes[2 * number : 2 * number + 2]
        seeds = len(next(iter(by_name.values())))
        for place, column, title in (
            (upper, "accuracy", "share of right labels" if voted else "accuracy on the test set"),
            (lower, "found", "share of the wrong labels found"),
        ):
            for name in [REFERENCE, *(name for name in by_name if name != REFERENCE)]:
                mean = np.mean([row[column] for row in by_name[name]], axis=0)
                (handles[name],) = place.plot(100 * SHARES, mean, label=name, **looks[name])
            short = {"accuracy": "accuracy", "found": "wrong labels found"}[column]  # a long title would be cut
            place.set_title(f"{task}: {short}" if len(tasks) > 1 else f"{title}, mean of {seeds} seeds")
            place.set_xlim(0, 100)
            place.grid(color="#eeeeee", linewidth=0.8)
            place.tick_params(length=0)
        rows = [row for own in by_name.values() for row in own]
        before = float(np.mean([row["accuracy"][0] for row in rows]))
        handles["before the first check"] = upper.axhline(before, color="black", linestyle=DASHED, linewidth=1)
        handles["target"] = upper.axhline(
            float(np.mean([row["target"] for row in rows])), color=INK, linestyle=DOTTED, linewidth=1.2
        )
        lower.set_xlabel("checked, % of the rows with a verdict" if voted else "labels checked, % of the rows")
    order = [name for name in looks if name in handles] + ["before the first check", "target"]
    figure.legend(
        [handles[name] for name in order], order, loc="outside lower center", ncols=2, frameon=False, fontsize=8.5, handlelength=2.8
    )
    return figure


def times(study: Study) -> Any:
    """A panel per data set: found early against median seconds, an interval over seeds, a mark per baseline."""
    from matplotlib import pyplot as plt

    sets = study.data_sets
    figure, axes = plt.subplots(len(sets), 1, figsize=(WIDTH, len(sets) * PANEL + 1.5), squeeze=False, layout="constrained")
    looks = _looks(study)
    handles: dict[str, Any] = {}
    for place, data_set in zip(axes[:, 0], sets, strict=True):
        for number, (name, own) in enumerate(study.of_set(data_set).items()):
            found = study.mean(own, "found_early")
            seconds = float(np.median([row["seconds"] for row in own]))
            handles[name] = place.errorbar(
                max(seconds, 1e-4),
                found.mean,
                yerr=found.half_width,
                fmt=MARKERS[number % len(MARKERS)],
                color=looks[name]["color"],
                markersize=6,
                elinewidth=1,
                label=name,
            )
        place.set_xscale("log")
        place.set_title(data_set.name)
        place.set_ylabel("found early")
        place.grid(color="#eeeeee", linewidth=0.8)
        place.tick_params(length=0)
    axes[-1, 0].set_xlabel("seconds of processor time of a ranking, median")
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=2, frameon=False, fontsize=8.5)
    return figure
