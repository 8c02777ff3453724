"""Runs cells on this machine, one after the other, and never runs one that is finished.

One at a time, because the clock is part of the rules: a cell that shares its cores with another has less time than it was given.
"""

from __future__ import annotations

import itertools
import re
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluator.errors import KitError, Verdict
from evaluator.purchase.cell import run_cell
from evaluator.purchase.purchased import CellInputs, buy
from evaluator.purchase.spec import CellSpec
from evaluator.sandbox.leftovers import remove_leftovers
from evaluator.store import Store
from evaluator.sweep.shelf import Shelf

Progress = Callable[[CellSpec, str, float], None]
"""Called with the cell, what is done, and the share of it, 0 to 1."""


@dataclass(frozen=True)
class Finished:
    """One cell that is done: its result, whether it was taken from the store, and whether at least its purchase was."""

    spec: CellSpec
    result: dict[str, Any]
    cached: bool
    reused: bool


def run_cells(
    cells: Iterable[CellSpec],
    inputs: CellInputs,
    store: Store,
    run: Path,
    *,
    fresh: bool = False,
    progress: Progress = lambda spec, what, share: None,
) -> Iterator[Finished]:
    """Run or fetch every cell, in order. A cell that fails is a result like any other; it never ends the run.

    Cells that share a purchase (several pipelines) come one after the other and are trained on the same one: where it was made
    anew, stored cells of the older one are trained again. Only scored cells are taken from the store: one that failed is tried
    again, since its reason may have been mended. What an evaluator that was killed left on the machine is removed first.

    Raises:
        KitError: what no cell of this run could do without (weights that cannot be had, a results folder that is full).
    """
    remove_leftovers()
    store.forget_old_partials()
    shelf = Shelf(store, fresh=fresh)
    for _, group in itertools.groupby(cells, CellSpec.purchase_digest):
        specs = list(group)
        stored = {} if fresh else _finished_before(specs, store, shelf)
        for spec in specs:
            if spec.digest() in stored:
                yield Finished(spec, stored[spec.digest()], cached=True, reused=True)
            else:
                yield _run(spec, inputs, store, run, shelf, progress)


def _finished_before(specs: list[CellSpec], store: Store, shelf: Shelf) -> dict[str, dict[str, Any]]:
    """The scored cells among ``specs``, which share a purchase, that were trained on the purchase that counts: the stored one, or
    where there is none (any more) the one that all of them agree on."""
    found = {spec.digest(): store.read_cell(spec.digest()) for spec in specs}
    scored = {digest: cell for digest, cell in found.items() if cell is not None and cell["scored"]}
    purchase = shelf.find(specs[0])
    checksums = {cell["purchase"].get("checksum") for cell in scored.values()}
    if purchase is not None:
        checksums = {purchase.checksum}
    elif len(scored) < len(specs) or len(checksums) > 1:
        return {}
    return {digest: cell for digest, cell in scored.items() if cell["purchase"].get("checksum") in checksums}


def _run(spec: CellSpec, inputs: CellInputs, store: Store, run: Path, shelf: Shelf, progress: Progress) -> Finished:
    def moved(what: str, share: float) -> None:
        progress(spec, what, share)

    reused = False
    try:
        purchased = shelf.provide(spec, lambda: buy(spec, inputs, moved))
        reused = not shelf.made(spec)
        store.write_log(run, log_name(spec), purchased.session.log)
        partial = store.partial_path(spec.digest(), purchased.checksum)
        result, _ = run_cell(spec, inputs, moved, purchased=purchased, checkpoint=partial)
    except KitError:
        raise
    except Exception as error:  # our own fault must not take the other cells with it
        result = broken_cell(spec, error)
        store.write_log(run, f"{log_name(spec)}-{_plain(spec.pipeline.name)}-evaluator", traceback.format_exc())
    store.write_cell(result)
    return Finished(spec, result, cached=False, reused=reused)


def log_name(spec: CellSpec) -> str:
    """File name of a purchase's log within its run."""
    return f"{spec.pair.name.replace(':', 'x')}-seed{spec.seed}"


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.@-]+", "-", name)


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
            "file": spec.purchase_digest(),
            "checksum": None,
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
