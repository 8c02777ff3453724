"""One cell of an experiment in the foreground, for the author of a submission: prints and the debugger have the terminal.

Nothing is judged and nothing is stored.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from evaluator.report.console import hanging, line
from evaluator.report.findings import show_remarks
from evaluator.report.terminal import show_rows
from evaluator.sandbox.attached import AttachedSandbox
from evaluator.sweep.experiment import Experiment
from evaluator.sweep.progress import root_of_draws
from evaluator.words import counted

NO_SCORE = "This is not a score: nothing was judged, and nothing was stored."


def debug(experiment: Experiment, console: Console) -> bool:
    """Run the first cell of the experiment, and say what it did. Returns whether nothing would make a run fail.

    Args:
        experiment: prepared with an ``AttachedSandbox``.

    Raises:
        KitError: the submission cannot be read, or the track cannot do this.
    """
    assert isinstance(experiment.sandbox, AttachedSandbox)
    spec = experiment.cells[0]
    inputs = experiment.inputs(spec)
    word = experiment.track.task_word
    tasks = list(dict.fromkeys(cell.task for cell in experiment.cells))
    more = f" (the first of {counted(len(tasks), word)}; --{word} names another)" if len(tasks) > 1 else ""
    show_rows(
        console,
        [
            ("debug", "not a score: the clock is shown and ends nothing, limits are off, nothing is stored"),
            ("submission", experiment.label(spec)),
            ("profile", spec.profile.name),
            (word, spec.task + more),
            ("seed", f"{spec.seed} ({root_of_draws(experiment)})"),
            ("output", "here: what the submission prints, and breakpoint(). A run writes its prints to a log, and names it"),
        ],
    )
    console.print(line(inputs.path, width=5_000), soft_wrap=True, highlight=False)
    with _interrupts_are_the_workers():
        found = experiment.track.debug(spec, inputs, _headings(console))
    console.print()
    show_rows(console, [("debug", found.class_name or "no class was loaded"), *found.rows])
    show_remarks(console, found.remarks)
    for fault in found.faults:
        hanging(console, f"would fail: {fault}", "red")
    hanging(console, NO_SCORE)
    return not found.faults


def _headings(console: Console) -> Callable[[str, float], None]:
    """Prints the name of every phase when it begins. How far it is would be written over the debugger's prompt."""
    begun: set[str] = set()

    def show(what: str, share: float) -> None:
        del share
        if what not in begun:
            begun.add(what)
            hanging(console, f"-- {what}", "dim")
            console.file.flush()

    return show


@contextmanager
def _interrupts_are_the_workers() -> Iterator[None]:
    """Ctrl-C goes to the worker, which is in the foreground, too: the debugger takes it, or it interrupts the submission."""
    before = signal.signal(signal.SIGINT, lambda *_: None)  # a handler, unlike SIG_IGN, is not inherited
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
