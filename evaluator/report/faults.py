"""Faults of a run in the terminal: one block per distinct fault, the submission's own frames first, in red."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from evaluator.report.console import hanging, show_failure
from evaluator.report.traces import own_frames
from evaluator.text import one_line, quoted
from evaluator.track import Track
from evaluator.words import counted

MOST = 20
"""Largest number of faults that are shown; the summary file has all of them."""


def show_faults(
    console: Console,
    faults: Sequence[Mapping[str, Any]],
    track: Track,
    *,
    full: bool = False,
    named: bool = False,
    file: str = "result.json",
    root: str = "",
) -> None:
    """Print faults.

    Args:
        faults: members of ``faults`` in a summary.
        full: with the frames of the kit.
        named: pipelines are named, because the run has several.
        file: the summary that has all of them; ``root``: the folder of results, for the paths of logs.
    """
    for fault in faults[:MOST]:
        unfit = "scored, but not fit to submit: " if fault["scored"] else ""
        show_failure(
            console, f"{fault['submission']}: {unfit}{fault['verdict']} ({cells_of(fault, track, named)})", fault["reason"]
        )
        show_trace(console, complete(fault) if full else fault["trace"], full)
        if fault["printed"]:
            hanging(console, "the last lines that it printed:")
            console.print(Text(quoted("\n".join(fault["printed"]), console.width)))
        if fault["log"]:
            hanging(console, f"log: {root + '/' if root else ''}{fault['log']}", width=5_000)
    if len(faults) > MOST:
        console.print(Text(f"and {counted(len(faults) - MOST, 'more fault')}; {file} holds all", style="red"))
    if not full and any(own_frames(fault["trace"]) != complete(fault) for fault in faults[:MOST]):
        hanging(console, "  frames of the kit are left out of these tracebacks; --full-traceback shows them.", "dim")


def complete(fault: Mapping[str, Any]) -> str:
    """The traceback of a fault with all frames that are stored."""
    return fault.get("full_trace") or fault["trace"]


def show_trace(console: Console, trace: str, full: bool = False) -> None:
    """Print a traceback in red. ``full``: with the frames of the kit."""
    if trace:
        console.print(Text(quoted(trace if full else own_frames(trace), console.width), style="red"))


def cells_of(fault: Mapping[str, Any], track: Track, named: bool = False) -> str:
    """The cells of a fault in words: ``621:17 seed 0``, ``5 pairs x 2 seeds``, ``3 cells, first 621:17 seed 0``.

    ``named``: the pipeline is named, because the run has several.
    """
    cells, word = fault["cells"], track.task_word
    task, seed, pipeline = (cells[0][name] for name in ("task", "seed", "pipeline"))
    if fault["count"] == 1:
        return one_line(f"{task} seed {seed}" + (f" {pipeline}" if named else ""), 100)
    tasks, seeds, pipelines = (len({cell[name] for cell in cells}) for name in ("task", "seed", "pipeline"))
    if tasks * seeds * pipelines == fault["count"] == len(cells):
        more = f" x {counted(pipelines, 'pipeline')}" if pipelines > 1 else ""
        return f"{counted(tasks, word)} x {counted(seeds, 'seed')}{more}"
    return one_line(f"{counted(fault['count'], 'cell')}, first {task} seed {seed}" + (f" {pipeline}" if named else ""), 150)
