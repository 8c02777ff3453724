"""Runs cells on this machine, one after the other, and never runs one that is finished.

One at a time, because the clock is part of the rules: a cell that shares its cores with another has less time than it was given.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluator.errors import KitError, Verdict
from evaluator.purchase.cell import CellInputs, CellSpec, run_cell
from evaluator.sandbox.leftovers import remove_leftovers
from evaluator.store import Store


@dataclass(frozen=True)
class Finished:
    """One cell that is done: its result, and whether it was taken from the store."""

    spec: CellSpec
    result: dict[str, Any]
    cached: bool


def run_cells(
    cells: Iterable[CellSpec],
    inputs: CellInputs,
    store: Store,
    run: Path,
    *,
    fresh: bool = False,
    progress: Callable[[CellSpec, str, float], None] = lambda spec, what, share: None,
) -> Iterator[Finished]:
    """Run or fetch every cell, in order. A cell that fails is a result like any other; it never ends the run.

    Only scored cells are taken from the store: one that failed is tried again, since its reason may have been mended. What an
    evaluator that was killed left on the machine is removed first.

    Raises:
        KitError: what no cell of this run could do without (weights that cannot be had, a results folder that is full).
    """
    remove_leftovers()
    for spec in cells:
        stored = None if fresh else store.read_cell(spec.digest())
        if stored is not None and stored["scored"]:
            yield Finished(spec, stored, cached=True)
            continue
        try:
            result, log = run_cell(spec, inputs, lambda what, share, spec=spec: progress(spec, what, share))
        except KitError:
            raise
        except Exception as error:  # our own fault must not take the other cells with it
            result, log = broken_cell(spec, error), traceback.format_exc()
        store.write_log(run, log_name(spec), log)
        store.write_cell(result)
        yield Finished(spec, result, cached=False)


def log_name(spec: CellSpec) -> str:
    """File name of a cell's log within its run."""
    return f"{spec.pair.name.replace(':', 'x')}-seed{spec.seed}"


def broken_cell(spec: CellSpec, error: Exception) -> dict[str, Any]:
    """The result of a cell that the evaluator itself failed at."""
    return {
        "schema": spec.as_dict()["schema"],
        "cell": spec.digest(),
        "spec": spec.as_dict(),
        "verdict": str(Verdict.INFRASTRUCTURE),
        "reason": f"the evaluator failed: {type(error).__name__}: {error}",
        "scored": False,
        "fit_to_submit": False,
        "metrics": None,
        "fingerprint": None,
        "training": None,
        "purchase": {
            "budget": spec.profile.budget(spec.pair),
            "bought": 0,
            "seconds": 0.0,
            "seconds_allowed": spec.profile.seconds(spec.pair),
            "disagreement": None,
            "clock_was_read": None,
            "class": None,
            "trace": traceback.format_exc(),
        },
        "phases": [],
        "ledger": [],
        "data": {},
        "isolation": {"tier": spec.tier, "guarded": False, "limited_by": ""},
        "versions": {},
    }
