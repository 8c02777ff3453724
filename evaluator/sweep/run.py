"""Runs what is missing of an experiment, and sums it up."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evaluator.history.index import cell_row
from evaluator.history.store import Store
from evaluator.runner.cells import Finished, Progress, run_cells
from evaluator.runner.cluster import ClusterSlots
from evaluator.runner.workers import Slots
from evaluator.sweep.experiment import Experiment
from evaluator.sweep.forecast import Forecast
from evaluator.sweep.table import summarise_sweep


def conduct(
    experiment: Experiment,
    forecast: Forecast,
    store: Store,
    progress: Progress = lambda spec, what, share: None,
    finished: Callable[[Finished], None] = lambda cell: None,
    slots: Slots | ClusterSlots | None = None,
) -> tuple[Path, dict[str, Any], bool]:
    """Run the cells that are not finished, and write ``sweep.json``, also where Ctrl-C or an error ends it early.

    Args:
        forecast: made from what is stored now.
        finished: called with every cell that was run.
        slots: where trainings are done; made, and ended, here where None.

    Returns:
        (folder of the run, content of ``sweep.json``, whether Ctrl-C ended it).

    Raises:
        KitError: as ``run_cells``.
    """
    started = time.perf_counter()
    before = experiment.finished(experiment.catalogue())
    rows = dict(before)
    pending = [spec for spec in experiment.cells if spec.digest() not in before]
    run = store.new_run("sweep")
    summary: dict[str, Any] = {}
    interrupted = False
    try:
        with slots or _places(experiment) as places:
            for cell in run_cells(
                pending,
                experiment.inputs,
                store,
                run,
                fresh=experiment.settings.fresh,
                progress=progress,
                slots=places,
                log=experiment.log_name,
            ):
                rows[cell.spec.digest()] = cell_row(cell.result)
                finished(cell)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        summary = summarise_sweep(experiment, rows, before, forecast, time.perf_counter() - started)
        store.write_run(run, summary, "sweep")
        experiment.catalogue()  # the next reader finds the new cells in the index
    return run, summary, interrupted


def _places(experiment: Experiment) -> Slots | ClusterSlots:
    """Where trainings are done: on this machine, or on the cluster that was asked for."""
    address = experiment.settings.ray
    if address is None:
        return Slots(experiment.workers, experiment.devices)
    gpu = any(spec.device.startswith("cuda") for spec in experiment.cells)
    return ClusterSlots(address, experiment.settings.threads, gpu)
