"""Runs cells on this machine. A cell that is finished is not run again.

Submissions run one at a time, and the run does no other work at that time, because the clock is part of the rules: a submission
that shared its cores with another submission or with a training would have less time than it was given. Trainings have no clock.
Without workers, each cell is trained in this process right after its answer. With workers, the answers of a seed are obtained
first, and then its trainings run, several at a time; seeds without any clock follow as one, so that the trainings of a single
submission run side by side, too. Both ways give the same results, to the bit.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from evaluator.errors import ConfigurationError, DeviceError, KitError, SubmissionError
from evaluator.history.predictions import lacks_predictions, read_predictions
from evaluator.history.store import Store
from evaluator.machine import computed_by, versions
from evaluator.records import Answer, CellResult
from evaluator.runner import turns
from evaluator.runner.answers import Answers
from evaluator.runner.cluster import ClusterWorkers
from evaluator.runner.workers import Failure, Judging, Workers
from evaluator.sandbox.scratch import remove_leftovers
from evaluator.specs import CellSpec
from evaluator.text import say
from evaluator.track import CellInputs, Judged, Track

Progress = Callable[[CellSpec, str, float], None]
"""Called with the cell, a word for the work that is being done, and the share of it that is finished, 0 to 1."""
OBTAINED = "answer obtained"
"""The word for an answer that a node of a cluster has obtained; on this machine the next cell says as much."""
Inputs = Callable[[CellSpec], CellInputs]
"""Gives the files and objects behind a spec. Raises ``SubmissionError`` if the submission cannot be read; its cells fail."""


@dataclass(frozen=True)
class Finished:
    """A finished cell.

    Attributes:
        result: its result.
        cached: whether the result was read from the store.
        reused: whether the answer is of an earlier run; True for cached cells.
    """

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
    """Run every cell, or read it from the store. A cell that fails has a result like any other cell and does not end the run.

    Cells that share an answer (several pipelines) are judged on the same answer. If the answer was obtained again, stored cells of
    the older answer are judged again. Only scored cells are read from the store: a failed cell is tried again, because the fault
    may have been mended. First of all, processes and files of evaluators that were killed are removed from the machine.

    Args:
        cells: cells with the same answer follow each other; with workers, cells of the same seed do, too.
        mixed_versions: also use stored cells and answers that other versions of Python or of the libraries computed.
        workers: where trainings run; None trains in this process.
        log: gives the name of the log of a cell's answer; None for ``log_name``.

    Yields:
        The cells in order; with workers, the cells of one seed (of all seeds, where no clock runs) in the order in which they end.

    Raises:
        KitError: an error that every other cell would meet, too (weights that cannot be loaded, a full disk).
    """
    remove_leftovers()
    store.forget_old_partials()
    answers = Answers(track, store, fresh=fresh, mixed_versions=mixed_versions)
    runner = _Runner(track, inputs, store, run, answers, progress, log or log_name, mixed_versions)
    if workers is None:
        with Workers(1) as spare:  # it starts no process until a device fails
            for step in runner.answered(cells, fresh):
                yield step if isinstance(step, Finished) else runner.from_predictions(step) or runner.train(step, spare)
        return
    for batch in _batches(cells):
        waiting = []
        if isinstance(workers, ClusterWorkers):
            runner.obtain_there(batch, workers, fresh)
        for step in runner.answered(batch, fresh):
            if isinstance(step, Finished):
                yield step
            elif not step.spec.trains or not step.answer.scorable(step.spec):
                yield runner.train_here(step)  # nothing is trained: only a result is written
            elif (rescored := runner.from_predictions(step)) is not None:
                yield rescored
            else:
                waiting.append(step)
        # The longest first, so that no worker is left alone with a long training at the end. Cells of one answer stay neighbours.
        waiting.sort(key=lambda task: -task.answer.size)
        yield from runner.train_there(waiting, workers)


def _batches(cells: Iterable[CellSpec]) -> Iterator[list[CellSpec]]:
    """Cells whose answers are obtained before their trainings run: those of a seed, joined by the next seed where no clock runs."""
    batch: list[CellSpec] = []
    for _, of_seed in itertools.groupby(cells, lambda spec: spec.seed):
        following = list(of_seed)
        if batch and any(spec.seconds_allowed > 0 for spec in (*batch, *following)):
            yield batch
            batch = []
        batch += following
    if batch:
        yield batch


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
    """Answers that could not be obtained for a cluster."""
    spent: list[DeviceError] = field(default_factory=list)
    """The error by which this process lost its device, if it did."""

    def answered(self, cells: Iterable[CellSpec], fresh: bool) -> Iterator[Finished | Judging]:
        """Every cell in order: ``Finished`` if it is stored or failed, else ``Judging`` with its answer.

        It is a generator: the next answer is obtained only when the caller asks for the next cell.
        """
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
            live = replace(inputs, printed=self.store.live_log(self.run, self.log(spec)))
            answer = self.answers.provide(spec, lambda: self._obtained(spec, live))
            self.store.write_log(self.run, self.log(spec), answer.log)
            partial = self.store.partial_path(spec.digest(), answer.checksum)
            return Judging(self.track, spec, inputs.data, answer, partial, reused=not self.answers.made(spec))
        except SubmissionError as error:  # of this submission alone
            return self._failed(spec, _unread(error), reused=False)
        except KitError:
            raise
        except Exception as error:  # a fault of the evaluator in one cell must not end the others
            return self._failed(spec, _failure(error), reused=False)

    def _obtained(self, spec: CellSpec, inputs: CellInputs) -> Answer:
        # What has no clock disturbs those of other runs like a training.
        with turns.clock() if spec.seconds_allowed > 0 else turns.training():
            return self.track.obtain(spec, inputs, self._moved(spec))

    def train(self, task: Judging, spare: Workers) -> Finished:
        """Train in this process. Once its device has failed, train that cell and all later cells in the process of ``spare``."""
        if not self.spent:
            try:
                with turns.training():
                    return self.train_here(task)
            except DeviceError as error:
                say(f"warning: {error}; this cell and all later cells are trained in a new process")
                self.spent.append(error)
        (finished,) = self.train_there([task], spare)
        return finished

    def from_predictions(self, task: Judging) -> Finished | None:
        """Score a cell by what an earlier version of the judging code predicted on the same answer; None where that is not kept."""
        spec = task.spec
        for digest in spec.earlier():
            stored = self.store.read_cell(digest)
            if stored is None or not stored["scored"] or stored["answer"]["checksum"] != task.answer.checksum:
                continue
            if not (self.mixed_versions or computed_by(stored["versions"]) == computed_by(versions())):
                continue
            try:
                kept = read_predictions(self.store.root, stored)
                as_now = {**stored, "spec": spec.as_dict(), "cell": spec.digest()}
                result = None if kept is None else self.track.rescored(spec, task.data, as_now, kept)
            except Exception as error:  # they are a short cut: without them the answer is judged
                say(f"warning: the predictions of cell {digest} cannot be scored anew ({error}); it is judged anew")
                continue
            if result is not None:
                return self._written(task, Judged(result, kept))
        return None

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
        except Exception as error:  # as in _provide
            return self._failed(spec, _failure(error), task.reused)
        return self._written(task, judged)

    def obtain_there(self, cells: list[CellSpec], workers: ClusterWorkers, fresh: bool) -> None:
        """Obtain the missing answers on the nodes of a cluster."""
        missing = {}
        for digest, group in itertools.groupby(cells, CellSpec.answer_digest):
            specs = list(group)
            stored = {} if fresh else self._finished_before(specs)
            if len(stored) < len(specs) and self.answers.find(specs[0]) is None:
                missing[digest] = specs[0]
        wanted = []
        for spec in missing.values():
            try:
                wanted.append((spec, self.inputs(spec)))
            except SubmissionError as error:
                self.lost[spec.answer_digest()] = _unread(error)
        workers.obtaining = lambda spec, moved: self.progress(spec, moved.what, moved.share)
        for spec, outcome in workers.obtain(self.track, wanted):
            self.progress(spec, OBTAINED, 1.0)
            if isinstance(outcome, Failure):
                self.lost[spec.answer_digest()] = outcome
            else:
                self.answers.put(spec, outcome)

    def train_there(self, tasks: list[Judging], workers: Workers | ClusterWorkers) -> Iterator[Finished]:
        """Train in the workers, and store every cell when its training ends."""
        workers.moved = lambda task, moved: self.progress(task.spec, moved.what, moved.share)
        # On a cluster, Ray gives a clock a whole node.
        quiet = turns.training() if tasks and isinstance(workers, Workers) else contextlib.nullcontext()
        with quiet:
            for task, outcome in workers.train(tasks, lambda task: self.progress(task.spec, "training", 0.0)):
                if isinstance(outcome, Failure):
                    yield self._failed(task.spec, outcome, task.reused)
                    continue
                yield self._written(task, outcome)

    def _written(self, task: Judging, judged: Judged) -> Finished:
        """Store a judged cell. If its metrics are not those that the track declares, it is a fault of the judge."""
        metrics = judged.result.metrics
        if metrics is not None and (why := self.track.metrics_fault(metrics)):
            return self._failed(task.spec, Failure(f"the evaluator failed: {why}", ""), task.reused)
        return Finished(task.spec, self.store.write_cell(judged), cached=False, reused=task.reused)

    def _failed(self, spec: CellSpec, failure: Failure, reused: bool) -> Finished:
        result = self.track.broken(spec, failure.reason, failure.trace, failure.verdict)
        name = f"{self.log(spec)}-{plain(spec.pipeline.name)}-evaluator"
        self.store.write_log(self.run, name, failure.trace or failure.reason)
        return Finished(spec, self.store.write_cell(Judged(result)), cached=False, reused=reused)

    def _moved(self, spec: CellSpec) -> Callable[[str, float], None]:
        return lambda what, share: self.progress(spec, what, share)

    def _finished_before(self, specs: list[CellSpec]) -> dict[str, CellResult]:
        """The stored cells of ``specs`` that need not be run again, by digest. All ``specs`` share one answer."""
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
        if why := self.track.fault(stored):
            self.store.set_damaged(self.store.cell_path(spec.digest()), why)
            return None
        if lacks_predictions(self.store.root, spec.digest(), (stored.get("predictions") or {}).get("shape")):
            name = self.store.cell_path(spec.digest()).with_suffix(".npy")
            say(f"warning: {name} is missing or was cut short: the predictions of a cell; the cell is run again")
            return None
        try:
            return self.track.result(stored)
        except ConfigurationError as error:
            self.store.set_damaged(self.store.cell_path(spec.digest()), str(error))
            return None


def counting(scored: dict[str, str | None], of: int, answer: str | None) -> set[str]:
    """The stored cells that are still valid, among cells of the same answer hash.

    A cell is valid if it was judged on the answer that is stored now. If no answer is stored (any more), cells are valid only if
    all of them are scored and were judged on the same answer.

    Args:
        scored: for every scored cell, by digest, the checksum of the answer that it was judged on.
        of: number of all cells of that answer hash.
        answer: checksum of the stored answer; None if none is stored.
    """
    checksums = set(scored.values()) if answer is None else {answer}
    if answer is None and (len(scored) < of or len(checksums) > 1):
        return set()
    return {digest for digest, checksum in scored.items() if checksum in checksums}


def log_name(spec: CellSpec) -> str:
    """File name of an answer's log within its run."""
    return f"{plain(spec.task.replace(':', 'x'))}-seed{spec.seed}"


def plain(name: str) -> str:
    """``name`` with every character replaced by ``-`` that does not belong into a file's name."""
    return re.sub(r"[^A-Za-z0-9_.@-]+", "-", name)


def _unread(error: SubmissionError) -> Failure:
    return Failure(str(error), "", verdict=error.verdict)


def _failure(error: Exception) -> Failure:
    return Failure(f"the evaluator failed: {type(error).__name__}: {error}", traceback.format_exc())
