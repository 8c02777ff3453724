"""Runs cells on this machine, and never runs one that is finished.

Purchases are made one at a time, and nothing else of the run works meanwhile, because the clock is part of the rules: a submission
that shares its cores with another, or with a training, has less time than it was given. Trainings have no clock. Without slots each
follows its purchase in this process; with slots the purchases of a seed are made first, and then its trainings, several at a time.
The results are the same to the bit.
"""

from __future__ import annotations

import itertools
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluator.errors import DeviceError, KitError, Verdict
from evaluator.history.store import Store
from evaluator.purchase.cell import run_cell
from evaluator.purchase.purchased import CellInputs, buy
from evaluator.purchase.spec import CellSpec
from evaluator.runner.answers import Shelf
from evaluator.runner.cluster import ClusterSlots
from evaluator.runner.workers import Failure, Slots, Training
from evaluator.sandbox.scratch import remove_leftovers

Progress = Callable[[CellSpec, str, float], None]
"""Called with the cell, what is done, and the share of it, 0 to 1."""
Inputs = Callable[[CellSpec], CellInputs]
"""What the hashes of a spec stand for."""


@dataclass(frozen=True)
class Finished:
    """One cell that is done: its result, whether it was taken from the store, and whether at least its purchase was."""

    spec: CellSpec
    result: dict[str, Any]
    cached: bool
    reused: bool


def run_cells(
    cells: Iterable[CellSpec],
    inputs: Inputs,
    store: Store,
    run: Path,
    *,
    fresh: bool = False,
    progress: Progress = lambda spec, what, share: None,
    slots: Slots | ClusterSlots | None = None,
    log: Callable[[CellSpec], str] | None = None,
) -> Iterator[Finished]:
    """Run or fetch every cell. A cell that fails is a result like any other; it never ends the run.

    Cells that share a purchase (several pipelines) come one after the other and are trained on the same one: where it was made
    anew, stored cells of the older one are trained again. Only scored cells are taken from the store: one that failed is tried
    again, since its reason may have been mended. What an evaluator that was killed left on the machine is removed first.

    Args:
        cells: with slots, those of one seed one after the other.
        slots: where trainings are done; None does them in this process.
        log: name of the log of a cell's purchase; ``log_name`` where None.

    Yields:
        The cells in order; with slots those of a seed as they end.

    Raises:
        KitError: what no cell of this run could do without (weights that cannot be had, a results folder that is full).
    """
    remove_leftovers()
    store.forget_old_partials()
    runner = _Runner(inputs, store, run, Shelf(store, fresh=fresh), progress, log or log_name)
    if slots is None:
        with Slots(1) as spare:  # without a process until one is needed
            for step in runner.purchases(cells, fresh):
                yield step if isinstance(step, Finished) else runner.train(step, spare)
        return
    for _, batch in itertools.groupby(cells, lambda spec: spec.seed):
        waiting = []
        if isinstance(slots, ClusterSlots):
            batch = list(batch)
            runner.buy_there(batch, slots, fresh)
        for step in runner.purchases(batch, fresh):
            if isinstance(step, Finished):
                yield step
            elif not step.spec.trains or not step.purchased.scorable(step.spec.on_timeout):
                yield runner.train_here(step)  # there is nothing to train, only a result to write
            else:
                waiting.append(step)
        yield from runner.train_there(waiting, slots)


@dataclass(frozen=True, eq=False)
class _Runner:
    inputs: Inputs
    store: Store
    run: Path
    shelf: Shelf
    progress: Progress
    log: Callable[[CellSpec], str]
    lost: dict[str, Failure] = field(default_factory=dict)
    """Purchases that no node of a cluster could make."""
    spent: list[DeviceError] = field(default_factory=list)
    """How this process lost its device, if it did."""

    def purchases(self, cells: Iterable[CellSpec], fresh: bool) -> Iterator[Finished | Training]:
        """Every cell, as one that is finished or as one whose purchase is there. Makes purchases only when it is asked to go on."""
        for _, group in itertools.groupby(cells, CellSpec.purchase_digest):
            specs = list(group)
            stored = {} if fresh else _finished_before(specs, self.store, self.shelf)
            for spec in specs:
                if spec.digest() in stored:
                    yield Finished(spec, stored[spec.digest()], cached=True, reused=True)
                else:
                    yield self._provide(spec)

    def _provide(self, spec: CellSpec) -> Finished | Training:
        if (failure := self.lost.get(spec.purchase_digest())) is not None:
            return self._failed(spec, failure, reused=False)
        try:
            inputs = self.inputs(spec)
            purchased = self.shelf.provide(spec, lambda: buy(spec, inputs, self._moved(spec)))
            self.store.write_log(self.run, self.log(spec), purchased.session.log)
            partial = self.store.partial_path(spec.digest(), purchased.checksum)
            return Training(spec, inputs.sets, purchased, partial, reused=not self.shelf.made(spec))
        except KitError:
            raise
        except Exception as error:  # our own fault must not take the other cells with it
            return self._failed(spec, _failure(error), reused=False)

    def train(self, task: Training, spare: Slots) -> Finished:
        """Train in this process until its device fails; that cell and those after it in one of their own."""
        if not self.spent:
            try:
                return self.train_here(task)
            except DeviceError as error:
                print(f"warning: {error}; this cell and those after it are trained in a new process", file=sys.stderr)
                self.spent.append(error)
        (finished,) = self.train_there([task], spare)
        return finished

    def train_here(self, task: Training) -> Finished:
        """Train in this process, and store the cell.

        Raises:
            DeviceError: the device failed; nothing is stored.
        """
        spec = task.spec
        try:
            inputs, moved = self.inputs(spec), self._moved(spec)
            result, _ = run_cell(spec, inputs, moved, purchased=task.purchased, checkpoint=task.checkpoint)
        except (KitError, DeviceError):
            raise
        except Exception as error:  # as above
            return self._failed(spec, _failure(error), task.reused)
        self.store.write_cell(result)
        return Finished(spec, result, cached=False, reused=task.reused)

    def buy_there(self, cells: list[CellSpec], slots: ClusterSlots, fresh: bool) -> None:
        """Make the purchases that are missing on the nodes of a cluster, and put them on the shelf."""
        missing = {}
        for digest, group in itertools.groupby(cells, CellSpec.purchase_digest):
            specs = list(group)
            stored = {} if fresh else _finished_before(specs, self.store, self.shelf)
            if len(stored) < len(specs) and self.shelf.find(specs[0]) is None:
                missing[digest] = specs[0]
        wanted = [(spec, self.inputs(spec)) for spec in missing.values()]
        for spec, _ in wanted:
            self.progress(spec, "purchase", 0.0)
        for spec, outcome in slots.buy(wanted):
            if isinstance(outcome, Failure):
                self.lost[spec.purchase_digest()] = outcome
            else:
                self.shelf.put(spec, outcome)

    def train_there(self, tasks: list[Training], slots: Slots | ClusterSlots) -> Iterator[Finished]:
        """Train in the slots, and store the cells as they come."""
        for task, outcome in slots.train(tasks, lambda task: self.progress(task.spec, "training", 0.0)):
            if isinstance(outcome, Failure):
                yield self._failed(task.spec, outcome, task.reused)
                continue
            self.store.write_cell(outcome)
            yield Finished(task.spec, outcome, cached=False, reused=task.reused)

    def _failed(self, spec: CellSpec, failure: Failure, reused: bool) -> Finished:
        result = broken_cell(spec, failure)
        name = f"{self.log(spec)}-{plain(spec.pipeline.name)}-evaluator"
        self.store.write_log(self.run, name, failure.trace or failure.reason)
        self.store.write_cell(result)
        return Finished(spec, result, cached=False, reused=reused)

    def _moved(self, spec: CellSpec) -> Callable[[str, float], None]:
        return lambda what, share: self.progress(spec, what, share)


def _finished_before(specs: list[CellSpec], store: Store, shelf: Shelf) -> dict[str, dict[str, Any]]:
    """The scored cells among ``specs``, which share a purchase, that were trained on the purchase that counts."""
    found = {spec.digest(): store.read_cell(spec.digest()) for spec in specs}
    checksums = {d: cell["purchase"].get("checksum") for d, cell in found.items() if cell is not None and cell["scored"]}
    purchase = shelf.find(specs[0])
    still = counting(checksums, len(specs), None if purchase is None else purchase.checksum)
    return {digest: cell for digest, cell in found.items() if cell is not None and digest in still}


def counting(scored: dict[str, str | None], of: int, purchase: str | None) -> set[str]:
    """Which stored cells of one purchase count: those that were trained on the one that is stored, or where there is none (any
    more) on the one that all cells agree on.

    Args:
        scored: for every scored cell the checksum of the purchase it was trained on.
        of: cells of that purchase in all.
        purchase: checksum of the stored purchase; None where there is none.
    """
    checksums = set(scored.values()) if purchase is None else {purchase}
    if purchase is None and (len(scored) < of or len(checksums) > 1):
        return set()
    return {digest for digest, checksum in scored.items() if checksum in checksums}


def log_name(spec: CellSpec) -> str:
    """File name of a purchase's log within its run."""
    return f"{spec.pair.name.replace(':', 'x')}-seed{spec.seed}"


def plain(name: str) -> str:
    """A name as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_.@-]+", "-", name)


def _failure(error: Exception) -> Failure:
    return Failure(f"the evaluator failed: {type(error).__name__}: {error}", traceback.format_exc())


def broken_cell(spec: CellSpec, failure: Failure) -> dict[str, Any]:
    """The result of a cell that the evaluator itself failed at."""
    return {
        "schema": spec.as_dict()["schema"],
        "cell": spec.digest(),
        "spec": spec.as_dict(),
        "verdict": str(Verdict.INFRASTRUCTURE),
        "reason": failure.reason,
        "scored": False,
        "fit_to_submit": False,
        "metrics": None,
        "fingerprint": None,
        "training": None,
        "purchase": {
            "file": spec.purchase_digest(),
            "checksum": None,
            "budget": spec.profile.budget(spec.pair),
            "bought": 0,
            "seconds": 0.0,
            "seconds_allowed": spec.profile.seconds(spec.pair),
            "disagreement": None,
            "clock_was_read": None,
            "class": None,
            "trace": failure.trace,
        },
        "phases": [],
        "ledger": [],
        "data": {},
        "isolation": {"tier": spec.tier, "guarded": False, "limited_by": ""},
        "versions": {},
    }
