"""Sweeps in tests: run with any work in the place of training, and what they leave. The fixture ``ready`` prepares them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import slot_works

import evaluator.sweep.run
from evaluator.history.store import Store
from evaluator.purchase.track import PURCHASE
from evaluator.runner.cells import Finished, run_cells
from evaluator.runner.workers import Work, Workers
from evaluator.sweep.experiment import Experiment
from evaluator.sweep.forecast import forecast
from evaluator.sweep.table import summarise_sweep

VOLATILE = {"seconds", "timings", "checksum", "busy"}
"""Members of results that differ from run to run."""


def run(
    experiment: Experiment, work: Work = slot_works.instant, count: int = 2, **options: Any
) -> tuple[Path, dict[str, Any], bool]:
    """Run what is missing with another work than training: as ``conducted``."""
    return conducted(experiment, workers=Workers(count, work=work), **options)


def conducted(experiment: Experiment, **options: Any) -> tuple[Path, dict[str, Any], bool]:
    """Run what is missing: folder of the run, content of its ``sweep.json``, and whether it was interrupted.

    Args:
        options: of ``evaluator.sweep.run.run``.
    """
    store = Store(experiment.settings.out)
    expected = forecast(experiment, experiment.index())
    summary: dict[str, Any] = {}

    def finish(outcome: evaluator.sweep.run.Outcome) -> None:
        summary.update(summarise_sweep(experiment, outcome.rows, outcome.before, expected, outcome.seconds))
        store.write_run(outcome.folder, summary, "sweep")

    outcome = evaluator.sweep.run.run(experiment, store, "sweep", finish, **options)
    return outcome.folder, summary, outcome.interrupted


def serial(experiment: Experiment, name: str) -> list[Finished]:
    """Run every cell in this process: the cells as they ended. ``name``: of the run."""
    store = Store(experiment.settings.out)
    return list(run_cells(PURCHASE, experiment.cells, experiment.inputs, store, store.new_run(name)))


def lasting(value: Any) -> Any:
    """A result without what differs from run to run."""
    if isinstance(value, dict):
        return {name: lasting(member) for name, member in value.items() if name not in VOLATILE}
    return [lasting(member) for member in value] if isinstance(value, list) else value


def cells(root: Path) -> dict[str, dict[str, Any]]:
    """Every stored cell of a folder of results, as its file holds it, by digest."""
    return {path.stem: json.loads(path.read_text()) for path in (root / "cells").glob("*.json")}
