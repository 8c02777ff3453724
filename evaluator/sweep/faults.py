"""What went wrong in a run: one fault per distinct cause and not one per cell, with the cells that it met."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec

from evaluator.fields import doc
from evaluator.history import layout
from evaluator.records import CellResult
from evaluator.report.traces import alike
from evaluator.runner.cells import Finished, plain
from evaluator.specs import CellSpec
from evaluator.sweep.experiment import Experiment
from evaluator.tables import Remark
from evaluator.text import visible_lines

MOST_PRINTED = 10
"""Largest number of lines, the last that the submission printed, that are kept with a fault."""
TAIL = 64 * 1024
"""Bytes at the end of a log that are read for them."""
MOST_CELLS = 200
"""Largest number of cells of a fault that are named; all are counted."""


_HEAD = "Traceback (most recent call last):\n"
_CHAINED = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)
"""How Python begins a traceback, and what it writes between those of exceptions that arose from each other."""


@dataclass(frozen=True, kw_only=True)
class FaultCell:
    """A cell that a fault met."""

    task: Annotated[str, doc("its task")]
    seed: Annotated[int, doc("its seed")]
    pipeline: Annotated[str, doc("name of its pipeline")]


@dataclass(frozen=True, kw_only=True)
class FaultRow:
    """One distinct fault."""

    submission: Annotated[str, doc("name of the submission in tables")]
    scored: Annotated[bool, doc("whether the cells are scored all the same: the fault is in a phase that does not decide")]
    verdict: Annotated[str, doc("verdict of the cells, or of that phase")]
    reason: Annotated[str, doc("what happened, in words, in the first of the cells")]
    trace: Annotated[str, doc("the traceback, complete; empty without a traceback")] = ""
    full_trace: Annotated[str, doc("the traceback with the frames of the worker, where `trace` leaves some out; else empty")] = ""
    printed: Annotated[list[str], doc("the last lines that the submission printed in the first of the cells")] = field(
        default_factory=list
    )
    log: Annotated[str, doc("log of the first of the cells, below the folder of results; empty if the cell was not run now")] = ""
    count: Annotated[int, doc("number of cells")] = 1
    cells: Annotated[list[FaultCell], doc(f"the cells, at most {MOST_CELLS}")] = field(default_factory=list)


def fault_of(result: CellResult, label: str, track: str) -> FaultRow | None:
    """The fault of a cell; None if it is fit to submit."""
    if result.fit_to_submit:
        return None
    last = result.phases[-1] if result.phases else None
    verdict, reason = str(result.verdict), result.reason
    if verdict == "OK" and last is not None and last.verdict != "OK":
        verdict, reason = last.verdict, last.reason
    own = getattr(result, track, None)
    trace, printed = getattr(own, "trace", ""), getattr(own, "last_lines", "").split("\n")
    spec = result.spec
    return FaultRow(
        submission=label,
        scored=result.scored,
        verdict=verdict,
        reason=reason or "the cell is not marked as fit to submit",
        trace=trace,
        full_trace=getattr(own, "full_trace", ""),
        printed=[line[:500] for line in printed if line.strip()][-MOST_PRINTED:],
        cells=[FaultCell(task=spec.task, seed=spec.seed, pipeline=spec.pipeline.name)],
    )


class Faults:
    """Collects the faults of a run.

    Args:
        log: gives the name of the log of a cell's answer.
    """

    def __init__(self, experiment: Experiment, log: Callable[[CellSpec], str] | None = None) -> None:
        self._experiment, self._log = experiment, log or experiment.log_name
        self._found: dict[tuple[str, ...], FaultRow] = {}
        self._logs: dict[tuple[str, ...], tuple[str, str]] = {}

    def add(self, cell: Finished) -> bool:
        """Note a cell; whether it has a fault that no cell before had."""
        spec = cell.spec
        fault = fault_of(cell.result, self._experiment.label(spec), self._experiment.track.name)
        if fault is None:
            return False
        key = (fault.submission, str(fault.scored), fault.verdict, alike(fault.trace, fault.reason))
        before = self._found.get(key)
        if before is None:
            self._found[key] = fault
            if not cell.cached:
                ours = f"{self._log(spec)}-{plain(spec.pipeline.name)}-evaluator.log"
                self._logs[key] = f"{self._log(spec)}.log", ours
            return True
        cells = [*before.cells, *fault.cells][:MOST_CELLS]
        self._found[key] = replace(before, count=before.count + 1, cells=cells)
        return False

    def found(self, folder: Path | None) -> list[FaultRow]:
        """The faults; those of cells without a score first. ``folder``: of the run; None: its logs are not read."""
        found = []
        for key, fault in self._found.items():
            paths = [] if folder is None else [folder / layout.LOGS / name for name in self._logs.get(key, ())]
            if path := next((path for path in paths if path.is_file()), None):
                log = f"{path.parent.parent.name}/{layout.LOGS}/{path.name}"
                printed, trace = last_words(path, fault.trace, fault.reason)
                fault = replace(fault, log=log, printed=fault.printed or printed, trace=trace)
            found.append(fault)
        return sorted(found, key=lambda fault: fault.scored)

    def rows(self, folder: Path | None) -> list[dict[str, Any]]:
        """As ``found``, JSON-able."""
        return [msgspec.to_builtins(fault) for fault in self.found(folder)]


def last_words(log: Path, trace: str, reason: str = "") -> tuple[list[str], str]:
    """The last lines that a submission printed, and its traceback, which stands at the end of the log.

    Args:
        trace: where the result of the cell has it; else it is taken from the log, if it is of the exception that ``reason`` names.
    """
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            text = file.read(TAIL).decode("utf-8", "replace")
    except OSError:
        return [], trace
    if trace:
        printed = text.removesuffix(visible_lines(trace))
    else:
        start = _traceback(text, reason)
        printed, trace = text[:start], text[start:]
    return [line[:500] for line in printed.split("\n") if line.strip()][-MOST_PRINTED:], trace


def _traceback(text: str, reason: str) -> int:
    """Where the traceback at the end of a log begins, with those of the exceptions that it arose from; the end, if there is none.

    A submission may print tracebacks, too, and go on: the last must be of the exception that ``reason`` begins with.
    """
    starts = [at for at in _places(text, _HEAD) if not at or text[at - 1] == "\n"]
    if not starts:
        return len(text)
    lines = text[starts[-1] + len(_HEAD) :].split("\n")
    kind = next((line for line in lines if line[:1].strip()), "").partition(":")[0].rpartition(".")[2]
    if not kind or kind != reason.partition(" ")[0]:
        return len(text)
    start = starts.pop()
    while starts and text[:start].rstrip("\n").endswith(_CHAINED):
        start = starts.pop()
    return start


def _places(text: str, part: str) -> Iterator[int]:
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + 1)


class Remarks:
    """Collects warnings about what submissions did: a line per submission or task (``Remark.of_task``) and kind."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._first: dict[tuple[str, bool, str], tuple[str, Remark]] = {}
        self._cells: Counter[tuple[str, bool]] = Counter()
        self._met: Counter[tuple[str, bool, str]] = Counter()

    def add(self, cell: Finished) -> None:
        """Note a cell."""
        spec, label = cell.spec, self._experiment.label(cell.spec)
        self._cells.update([(label, False), (spec.task, True)])
        for remark in self._experiment.track.remarks(cell.result.as_dict()):
            key = spec.task if remark.of_task else label, remark.of_task, remark.what
            place = f"{spec.task} seed {spec.seed}"
            place += f" {spec.pipeline.name}" if len(self._experiment.plan.pipelines) > 1 else ""
            self._first.setdefault(key, (place, remark))
            self._met[key] += 1

    def said(self, earlier: bool = False) -> list[str]:
        """The warnings, a sentence each. ``earlier``: further cells were stored before, and were not noted."""
        found = []
        for (name, of_task, what), (place, remark) in self._first.items():
            n = self._met[name, of_task, what]
            cells = f"{'the ' if earlier else ''}{self._cells[name, of_task]} cells{' that ran now' if earlier else ''}"
            where = place if n == 1 else f"{n} of {cells}, first {place}"
            found.append(f"{name}: {what} ({where}: {remark.detail}). {remark.advice}")
        return found
