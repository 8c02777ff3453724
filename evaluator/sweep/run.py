"""Runs the missing cells of an experiment and stores the results. Every command that runs submissions uses this module."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluator.errors import ConfigurationError
from evaluator.history.entries import write_entries
from evaluator.history.index import Row
from evaluator.history.store import Store
from evaluator.runner.cells import Finished, Progress, run_cells
from evaluator.runner.cluster import ClusterWorkers
from evaluator.runner.workers import Workers
from evaluator.specs import CellSpec
from evaluator.sweep.experiment import Experiment
from evaluator.sweep.looks import Looks, decided
from evaluator.track import row_of


@dataclass(frozen=True, eq=False)
class Outcome:
    """The outcome of a run.

    Attributes:
        folder: of the run.
        rows: by digest, of every cell that has a result (scored or failed); ``before``: of the cells that were finished before.
        ran: digests of the cells that were run, in the order in which they ended; ``reused``: of those whose answer is of an
            earlier run.
        seconds: duration of the run.
        interrupted: whether Ctrl-C ended the run.
        looks: what was seen after every few seeds (``Looks.look``); empty without ``--until``.
    """

    folder: Path
    rows: Mapping[str, Row]
    before: Mapping[str, Row]
    ran: tuple[str, ...]
    reused: frozenset[str]
    seconds: float
    interrupted: bool
    looks: tuple[dict[str, Any], ...] = ()


def run(
    experiment: Experiment,
    store: Store,
    name: str,
    finish: Callable[[Outcome], None],
    progress: Progress = lambda spec, what, share: None,
    finished: Callable[[Finished], None] = lambda cell: None,
    workers: Workers | ClusterWorkers | None = None,
    log: Callable[[CellSpec], str] | None = None,
    begun: Callable[[Path], None] = lambda folder: None,
    looks: Looks | None = None,
    here: bool = False,
) -> Outcome:
    """Run the cells that are not finished.

    Args:
        name: part of the name of the run's folder.
        finish: called at the end, even if Ctrl-C or an error ends the run early; it writes the summary.
        finished: called with every cell that was run.
        workers: where trainings run; None: made here, and ended.
        log: gives the name of the log of a cell's answer; None for ``Experiment.log_name``.
        begun: called with the folder of the run before anything runs.
        looks: when to look at the findings; the run ends at the first look that decides every comparison. None: at the end only.
        here: train in this process, one cell after the other, and start no other process that is given data.

    Raises:
        KitError: as ``run_cells``.
    """
    started = time.perf_counter()
    with store.running(name) as folder:
        begun(folder)
        write_entries(store.root, experiment.entries)
        before = experiment.finished(experiment.index())
        rows = dict(before)
        pending = [spec for spec in experiment.cells if spec.digest() not in before]
        ran: list[str] = []
        reused: set[str] = set()
        interrupted = False
        seen: list[dict[str, Any]] = []

        def outcome() -> Outcome:
            seconds = time.perf_counter() - started
            return Outcome(folder, rows, before, tuple(ran), frozenset(reused), seconds, interrupted, tuple(seen))

        try:
            with nullcontext() if here else workers or places(experiment) as there:
                for seeds, part in [(0, pending)] if looks is None else looks.parts(pending):
                    for cell in run_cells(
                        experiment.track,
                        part,
                        experiment.inputs,
                        store,
                        folder,
                        fresh=experiment.settings.fresh,
                        mixed_versions=experiment.settings.mixed_versions,
                        progress=progress,
                        workers=there,
                        log=log or experiment.log_name,
                    ):
                        rows[cell.spec.digest()] = row_of(experiment.track, cell.result.as_dict())
                        ran.append(cell.spec.digest())
                        reused |= {cell.spec.digest()} if cell.reused else set()
                        finished(cell)
                    if looks is not None:
                        seen.append(looks.look(rows, seeds))
                        if decided(seen[-1]):
                            break
        except KeyboardInterrupt:
            interrupted = True
        finally:
            finish(outcome())
            experiment.index()  # so that the next reader finds the new cells in the index
        return outcome()


def places(experiment: Experiment) -> Workers | ClusterWorkers:
    """Workers for the trainings: on this machine, or on the cluster of ``--ray``."""
    address = experiment.settings.ray
    if address is None:
        return Workers(experiment.workers, experiment.devices, together=experiment.together)
    gpu = any(spec.device.startswith("cuda") for spec in experiment.cells)
    return ClusterWorkers(address, experiment.settings.threads, gpu)


def stored_cells(
    experiment: Experiment,
    store: Store,
    outcome: Outcome,
    wanted: Callable[[Row], bool] = lambda row: True,
    most: int | None = None,
) -> list[Finished]:
    """Cells that have a result, in the order of the experiment: cells of this run, and cells that were finished before.

    Args:
        wanted: given the row of a cell; whether it is read.
        most: largest number of cells that are read; None for all.
    """
    found: list[Finished] = []
    for spec in experiment.cells:
        digest = spec.digest()
        if most is not None and len(found) >= most:
            break
        if digest in outcome.rows and wanted(outcome.rows[digest]) and (stored := store.read_cell(digest)) is not None:
            cached = digest in outcome.before
            try:
                if why := experiment.track.fault(stored):
                    raise ConfigurationError(why)
                result = experiment.track.result(stored)
            except ConfigurationError as error:
                store.set_damaged(store.cell_path(digest), f"{error}; the same command runs it again")
                continue
            found.append(Finished(spec, result, cached=cached, reused=cached or digest in outcome.reused))
    return found
