"""Answers that came as files, judged and shown as a sweep: there is no submission to run, so no sandbox is needed."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from evaluator.errors import DeviceError, KitError, Verdict
from evaluator.history.entries import Entry, moment, place_text
from evaluator.history.store import Store
from evaluator.machine import Load, cores
from evaluator.plans import Plan, in_order
from evaluator.report.live import Live
from evaluator.runner.cells import Finished
from evaluator.runner.workers import Failure, Judging, Moved, Workers
from evaluator.submission.findings import Finding
from evaluator.submission.source import Source
from evaluator.sweep.experiment import Experiment, prepare
from evaluator.sweep.faults import Faults, Remarks
from evaluator.sweep.forecast import forecast
from evaluator.sweep.progress import SweepLine
from evaluator.sweep.run import Outcome, run, stored_cells
from evaluator.sweep.settings import Settings
from evaluator.sweep.table import summarise_sweep
from evaluator.track import Judged, Track
from evaluator.words import counted


@dataclass
class NoSandbox:
    """Stands in the place of an isolation tier, and starts nothing. ``name``: as ``CellSpec.tier`` of the cells."""

    name: str
    promises: frozenset[str] = frozenset()

    def start(self, spec: Any) -> NoReturn:
        """Nothing is to be run.

        Raises:
            OSError: always.
        """
        raise OSError("answers came as files; no worker is started")

    def opened(self, file: Any) -> NoReturn:
        """There is no worker to open a file for.

        Raises:
            OSError: always.
        """
        raise OSError("answers came as files; no worker is started")


class Here(Workers):
    """Trains in this process, one cell after the other: a process takes longer to start than a small model takes to train."""

    def __init__(self) -> None:
        super().__init__(1)
        self._cache: dict[str, Any] = {}

    def train(
        self, tasks: Iterable[Judging], started: Callable[[Judging], None] = lambda task: None
    ) -> Iterator[tuple[Judging, Judged | Failure]]:
        """See ``Workers.train``. An error of the evaluator in one cell does not end the others."""
        for task in tasks:
            started(task)
            try:
                outcome: Judged | Failure = task.track.judge(
                    task.spec,
                    task.data,
                    task.answer,
                    partial(self._tell, task),
                    checkpoint=task.checkpoint,
                    cache=self._cache,
                )
            except (KitError, DeviceError):
                raise
            except Exception as error:
                outcome = Failure(f"the evaluator failed: {type(error).__name__}: {error}", traceback.format_exc())
            yield task, outcome

    def _tell(self, task: Judging, what: str, share: float) -> None:
        self.moved(task, Moved(what, share))


def experiment_of(track: Track, plan: Plan, sources: Sequence[Source], settings: Settings, tier: str) -> Experiment:
    """An experiment on answers that the track has already. No clock counts, so that the load of the machine does not matter.

    Args:
        sources: the competitors, each with the digest that names it in the cells of ``plan``; their paths are different.
        tier: as in the specs of the cells.
    """
    now = moment()
    entries = tuple(
        Entry(
            label=source.name, name=source.name, digest=source.digest, folder=place_text(source.path), first=now, last=now
        ).bounded()
        for source in sources
    )
    return Experiment(
        track,
        settings,
        plan,
        tuple(sources),
        {source.path: source.name for source in sources},
        entries,
        NoSandbox(tier),
        "cpu",
        in_order(plan.cells, [pipeline.name for pipeline in plan.pipelines]),
        settings.workers or cores(),
        (),
        1,
        Load(None, None, cores()),
    )


def held_against(track: Track, settings: Settings) -> tuple[list[Finding], int, str]:
    """What is wrong with answers for the tasks and seeds of settings, told by the track's own reader. Nothing is judged or stored.

    Returns:
        An error for every fault, each once; the number of tasks and seeds; the name of the profile, which is not that of the
        settings where they name a round or a file.

    Raises:
        KitError: as ``prepare``.
    """
    experiment = prepare(track, settings, keep_secret=False, trains=False)
    found: dict[str, list[str]] = {}
    seen: set[str] = set()
    for spec in experiment.cells:
        if spec.answer_digest() in seen:
            continue
        seen.add(spec.answer_digest())
        answer = track.obtain(spec, experiment.inputs(spec), lambda what, share: None).as_dict()
        if answer["verdict"] != Verdict.OK:
            found.setdefault(answer["reason"], []).append(f"{spec.task}, seed {spec.seed}")
    findings = []
    for reason, where in found.items():
        place, _, text = reason.partition(": ")
        more = f" ({counted(len(where), 'task')} in all)" if len(where) > 1 else ""
        findings.append(Finding("error", place, f"{text or reason.rstrip('.')}. Met at {where[0]}{more}"))
    return findings, len(seen), experiment.plan.rules.name


@dataclass(frozen=True, eq=False)
class Judgement:
    """What came of it.

    Attributes:
        summary: the content of ``sweep.json`` in ``folder``, the folder of the run.
        cells: those that have a result, in the order of the experiment.
        interrupted: whether Ctrl-C ended it.
    """

    summary: dict[str, Any]
    folder: Path
    cells: list[Finished]
    interrupted: bool


def judge_given(experiment: Experiment, name: str, line: Live) -> Judgement:
    """Judge what is not stored yet, and write the summary of a sweep into the folder of results.

    Args:
        name: part of the name of the run's folder; ``line``: shows the progress.

    Raises:
        KitError: as ``sweep.run.run``.
    """
    store = Store(experiment.settings.out.absolute())
    expected = forecast(experiment, experiment.index())
    summary: dict[str, Any] = {}
    cells: list[Finished] = []

    def finish(outcome: Outcome) -> None:
        faults, remarks = Faults(experiment), Remarks(experiment)
        cells.extend(stored_cells(experiment, store, outcome))
        for cell in cells:
            faults.add(cell)
            remarks.add(cell)
        found = faults.rows(outcome.folder), remarks.said()
        summary.update(summarise_sweep(experiment, outcome.rows, outcome.before, expected, outcome.seconds, *found))
        store.write_run(outcome.folder, summary, "sweep")

    shown = SweepLine(line, experiment, expected)
    workers = Here() if experiment.workers == 1 else None
    outcome = run(experiment, store, name, finish, shown.moved, shown.finished, workers)
    return Judgement(summary, outcome.folder, cells, outcome.interrupted)
