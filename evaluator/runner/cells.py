"""Runs cells on this machine, and never runs one that is finished.

Submissions run one at a time, and nothing else of the run works meanwhile, because the clock is part of the rules: a submission
that shares its cores with another, or with a training, has less time than it was given. Trainings have no clock. Without workers
each follows its answer in this process; with workers the answers of a seed are obtained first, and then its trainings run, several
at a time. The results are the same to the bit.
"""

from __future__ import annotations

import itertools
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from evaluator.errors import ConfigurationError, DeviceError, KitError
from evaluator.history.store import Store
from evaluator.machine import versions
from evaluator.records import CellResult, CellSpec
from evaluator.runner.answers import Answers
from evaluator.runner.cluster import ClusterWorkers
from evaluator.runner.workers import Failure, Judging, Workers
from evaluator.sandbox.scratch import remove_leftovers
from evaluator.track import CellInputs, Judged, Track, computed_by

Progress = Callable[[CellSpec, str, float], None]
"""Called with the cell, what is done, and the share of it, 0 to 1."""
Inputs = Callable[[CellSpec], CellInputs]
"""What the hashes of a spec stand for."""


@dataclass(frozen=True)
class Finished:
    """One cell that is done: its result, whether it was taken from the store, and whether at least its answer was."""

    spec: CellSpec
    result: CellResult
    cached: bool
    reused: bool


def run_cells(
    track: Track,
    cells: Iterable[CellSpec],
    inputs: Inputs,
    store: Store,
    run: Path,
    *,
    fresh: bool = False,
    mixed_versions: bool = False,
    progress: Progress = lambda spec, what, share: None,
    workers: Workers | ClusterWorkers | None = None,
    log: Callable[[CellSpec], str] | None = None,
) -> Iterator[Finished]:
    """Run or fetch every cell. A cell that fails is a result like any other; it never ends the run.

    Cells that share an answer (several pipelines) come one after the other and are judged on the same one: where it was obtained
    anew, stored cells of the older one are judged again. Only scored cells are taken from the store: one that failed is tried
    again, since its reason may have been mended. What an evaluator that was killed left on the machine is removed first.

    Args:
        cells: with workers, those of one seed one after the other.
        mixed_versions: what other versions of Python or of the libraries computed is taken from the store, too.
        workers: where trainings are done; None does them in this process.
        log: name of the log of a cell's answer; ``log_name`` where None.

    Yields:
        The cells in order; with workers those of a seed as they end.

    Raises:
        KitError: what no cell of this run could do without (weights that cannot be had, a results folder that is full).
    """
    remove_leftovers()
    store.forget_old_partials()
    answers = Answers(track, store, fresh=fresh, mixed_versions=mixed_versions)
    runner = _Runner(track, inputs, store, run, answers, progress, log or log_name, mixed_versions)
    if workers is None:
        with Workers(1) as spare:  # without a process until one is needed
            for step in runner.answered(cells, fresh):
                yield step if isinstance(step, Finished) else runner.train(step, spare)
        return
    for _, of_seed in itertools.groupby(cells, lambda spec: spec.seed):
        batch, waiting = list(of_seed), []
        if isinstance(workers, ClusterWorkers):
            runner.obtain_there(batch, workers, fresh)
        for step in runner.answered(batch, fresh):
            if isinstance(step, Finished):
                yield step
            elif not step.spec.trains or not step.answer.scorable(step.spec):
                yield runner.train_here(step)  # there is nothing to train, only a result to write
            else:
                waiting.append(step)
        yield from runner.train_there(waiting, workers)


@dataclass(frozen=True, eq=False)
class _Runner:
    track: Track
    inputs: Inputs
    store: Store
    run: Path
    answers: Answers
    progress: Progress
    log: Callable[[CellSpec], str]
    mixed_versions: bool
    lost: dict[str, Failure] = field(default_factory=dict)
    """Answers that no node of a cluster could obtain."""
    spent: list[DeviceError] = field(default_factory=list)
    """How this process lost its device, if it did."""

    def answered(self, cells: Iterable[CellSpec], fresh: bool) -> Iterator[Finished | Judging]:
        """Every cell, as one that is finished or as one whose answer is there. Obtains answers only when it is asked to go on."""
        for _, group in itertools.groupby(cells, CellSpec.answer_digest):
            specs = list(group)
            stored = {} if fresh else self._finished_before(specs)
            for spec in specs:
                if spec.digest() in stored:
                    yield Finished(spec, stored[spec.digest()], cached=True, reused=True)
                else:
                    yield self._provide(spec)

    def _provide(self, spec: CellSpec) -> Finished | Judging:
        if (failure := self.lost.get(spec.answer_digest())) is not None:
            return self._failed(spec, failure, reused=False)
        try:
            inputs = self.inputs(spec)
            answer = self.answers.provide(spec, lambda: self.track.obtain(spec, inputs, self._moved(spec)))
            self.store.write_log(self.run, self.log(spec), answer.log)
            partial = self.store.partial_path(spec.digest(), answer.checksum)
            return Judging(self.track, spec, inputs.data, answer, partial, reused=not self.answers.made(spec))
        except KitError:
            raise
        except Exception as error:  # our own fault must not take the other cells with it
            return self._failed(spec, _failure(error), reused=False)

    def train(self, task: Judging, spare: Workers) -> Finished:
        """Train in this process until its device fails; that cell and those after it in one of their own."""
        if not self.spent:
            try:
                return self.train_here(task)
            except DeviceError as error:
                print(f"warning: {error}; this cell and those after it are trained in a new process", file=sys.stderr)
                self.spent.append(error)
        (finished,) = self.train_there([task], spare)
        return finished

    def train_here(self, task: Judging) -> Finished:
        """Train in this process, and store the cell.

        Raises:
            DeviceError: the device failed; nothing is stored.
        """
        spec = task.spec
        try:
            judged = self.track.judge(spec, task.data, task.answer, self._moved(spec), checkpoint=task.checkpoint)
        except (KitError, DeviceError):
            raise
        except Exception as error:  # as above
            return self._failed(spec, _failure(error), task.reused)
        return Finished(spec, self.store.write_cell(judged), cached=False, reused=task.reused)

    def obtain_there(self, cells: list[CellSpec], workers: ClusterWorkers, fresh: bool) -> None:
        """Obtain the answers that are missing on the nodes of a cluster."""
        missing = {}
        for digest, group in itertools.groupby(cells, CellSpec.answer_digest):
            specs = list(group)
            stored = {} if fresh else self._finished_before(specs)
            if len(stored) < len(specs) and self.answers.find(specs[0]) is None:
                missing[digest] = specs[0]
        wanted = [(spec, self.inputs(spec)) for spec in missing.values()]
        for spec, _ in wanted:
            self.progress(spec, "answer", 0.0)
        for spec, outcome in workers.obtain(self.track, wanted):
            if isinstance(outcome, Failure):
                self.lost[spec.answer_digest()] = outcome
            else:
                self.answers.put(spec, outcome)

    def train_there(self, tasks: list[Judging], workers: Workers | ClusterWorkers) -> Iterator[Finished]:
        """Train in the workers, and store the cells as they come."""
        for task, outcome in workers.train(tasks, lambda task: self.progress(task.spec, "training", 0.0)):
            if isinstance(outcome, Failure):
                yield self._failed(task.spec, outcome, task.reused)
                continue
            yield Finished(task.spec, self.store.write_cell(outcome), cached=False, reused=task.reused)

    def _failed(self, spec: CellSpec, failure: Failure, reused: bool) -> Finished:
        result = self.track.broken(spec, failure.reason, failure.trace)
        name = f"{self.log(spec)}-{plain(spec.pipeline.name)}-evaluator"
        self.store.write_log(self.run, name, failure.trace or failure.reason)
        return Finished(spec, self.store.write_cell(Judged(result)), cached=False, reused=reused)

    def _moved(self, spec: CellSpec) -> Callable[[str, float], None]:
        return lambda what, share: self.progress(spec, what, share)

    def _finished_before(self, specs: list[CellSpec]) -> dict[str, CellResult]:
        """The scored cells among ``specs``, which share an answer, that were judged on the answer that counts."""
        found = {spec.digest(): self._read(spec) for spec in specs}
        scored = {digest: cell for digest, cell in found.items() if cell is not None and cell.scored}
        answer = self.answers.find(specs[0])
        checksums = {digest: cell.answer.checksum for digest, cell in scored.items()}
        still = counting(checksums, len(specs), None if answer is None else answer.checksum)
        return {digest: cell for digest, cell in scored.items() if digest in still}

    def _read(self, spec: CellSpec) -> CellResult | None:
        stored = self.store.read_cell(spec.digest())
        if stored is None or not (self.mixed_versions or computed_by(stored["versions"]) == computed_by(versions())):
            return None
        try:
            return self.track.result(stored)
        except ConfigurationError as error:
            print(f"warning: {self.store.cell_path(spec.digest())}: {error}; it is run again", file=sys.stderr)
            return None


def counting(scored: dict[str, str | None], of: int, answer: str | None) -> set[str]:
    """Which stored cells of one answer count: those that were judged on the one that is stored, or where there is none (any more)
    on the one that all cells agree on.

    Args:
        scored: for every scored cell the checksum of the answer it was judged on.
        of: cells of that answer in all.
        answer: checksum of the stored answer; None where there is none.
    """
    checksums = set(scored.values()) if answer is None else {answer}
    if answer is None and (len(scored) < of or len(checksums) > 1):
        return set()
    return {digest for digest, checksum in scored.items() if checksum in checksums}


def log_name(spec: CellSpec) -> str:
    """File name of an answer's log within its run."""
    return f"{plain(spec.task.replace(':', 'x'))}-seed{spec.seed}"


def plain(name: str) -> str:
    """A name as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_.@-]+", "-", name)


def _failure(error: Exception) -> Failure:
    return Failure(f"the evaluator failed: {type(error).__name__}: {error}", traceback.format_exc())
