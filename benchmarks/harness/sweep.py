"""What a sweep costs beside purchases and trainings: listing and summing up many finished cells, and the work around one cell.

    python -m benchmarks.harness sweep [--cells 10000] [--overhead 200] [--quick-cell 60] [--json FILE]

The cells are fabricated: each has the ledger of the largest purchase of the profile `quick` (189 labels), and nothing is trained or
bought. *Cold* is without an index: every file is read and its checksum compared. *Warm* is with the index. *Again* is the whole
work of a sweep whose cells are all finished: naming them, finding them, the table, `sweep.json`. The overhead per cell is the time
of a sweep whose purchases are stored and whose trainings return at once: reading the purchase, sending a task to another process
and its result back, writing the cell. `python -m benchmarks.harness worker` measures the start of a worker.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.pages import write_json
from benchmarks.stopwatch.machine import described
from evaluator.errors import Verdict
from evaluator.history.index import INDEX, read_catalogue
from evaluator.history.store import Store
from evaluator.purchase.ledger import Ledger
from evaluator.purchase.purchased import Purchased
from evaluator.purchase.session_spec import PhaseReport, SessionResult
from evaluator.purchase.spec import CellSpec
from evaluator.runner.cells import broken_cell
from evaluator.runner.workers import Failure, Slots, Training
from evaluator.sweep.experiment import Experiment, prepare
from evaluator.sweep.forecast import forecast
from evaluator.sweep.run import conduct
from evaluator.sweep.settings import Settings

BUYER = "from run import ZEWDPCBaseRun\n\n\nclass Buyer{0}(ZEWDPCBaseRun):\n    def purchase_phase(self):\n        pass\n"
SUBMISSIONS, PAIRS, LABELS = 20, 5, 189


def purchase(spec: CellSpec) -> Purchased:
    """A purchase of 189 labels that was never made."""
    row = {"index": 0, "seconds": 1.234567, "label": [0, 1, 0, 0, 1, 0]}
    ledger = Ledger.from_rows([row | {"order": i, "index": i, "image": i} for i in range(LABELS)])
    phases = tuple(PhaseReport(name, Verdict.OK, "", 5.0, 51.0) for name in ("pre_training_phase", "purchase_phase"))
    session = SessionResult(
        verdict=Verdict.OK,
        reason="",
        ledger=ledger,
        phases=phases,
        seconds=10.0,
        predictions=None,
        disagreement=None,
        clock_was_read=False,
        class_name="Buyer",
        guarded=True,
        limited_by="watch",
        trace="",
        log="",
    )
    return Purchased(spec.purchase_digest(), spec.purchase_dict(), session)


def cell(spec: CellSpec, purchased: Purchased) -> dict[str, Any]:
    """A scored cell that was never trained; as large as a cell of `quick`."""
    value = (int(spec.digest()[:8], 16) % 1000) / 1000
    f1 = dict.fromkeys(spec.profile.round.classes, value)
    result = broken_cell(spec, Failure("", ""))
    history = [{"epoch": i, "loss": 0.5, "learning_rate": 1e-3, "gradient_norm": 1.0} for i in range(10)]
    return result | {
        "verdict": "OK",
        "scored": True,
        "metrics": {"macro_f1": value, "f1": f1, "accuracy": value, "hamming_loss": value, "n": 300, "best_constant_macro_f1": 0.2},
        "fingerprint": "0" * 64,
        "training": {"seconds": 60.0, "n_items": 100 + LABELS, "history": history},
        "purchase": result["purchase"] | {"checksum": purchased.checksum, "bought": LABELS, "seconds": 10.0},
        "ledger": purchased.session.ledger.as_rows(),
    }


def instant(task: Training) -> dict[str, Any]:
    """In place of a training: a result at once."""
    return cell(task.spec, task.purchased)


def experiment(folder: Path, cells: int) -> Experiment:
    """A sweep of ``cells`` cells (a multiple of 100) over submissions that are never run."""
    submissions = []
    for number in range(SUBMISSIONS):
        path = folder / f"buyer{number:02d}.py"
        path.write_text(BUYER.format(number))
        submissions.append(path)
    settings = Settings(
        submissions=tuple(submissions),
        pairs=("public",),
        pipelines=("milliseconds",),
        profile="debug",
        seeds=max(1, cells // (SUBMISSIONS * PAIRS)),
        sandbox="process",
        device="cpu",
        out=folder / "results",
    )
    return prepare(settings, data=folder / "data")


def store_all(store: Store, specs: Iterable[CellSpec], *, cells: bool) -> None:
    """Store a fabricated purchase for every cell, and with ``cells`` the cell itself, too."""
    for spec in specs:
        made = purchase(spec)
        store.write_purchase(made.as_dict())
        if cells:
            store.write_cell(cell(spec, made))


def seconds(work: Callable[[], Any]) -> float:
    """Duration of a call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def again(whole: Experiment, store: Store) -> None:
    """Everything that a sweep does when its cells are finished, but reading the data."""
    for plan in whole.plans:
        plan.cells(whole.sets[plan.score_split], ["none"])
    conduct(whole, forecast(whole, whole.catalogue()), store)


def measure(cells: int, overhead: int, quick_cell: float) -> dict[str, Any]:
    """All figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = experiment(folder, cells)
        store, root = Store(folder / "results"), folder / "results"
        store_all(store, whole.cells, cells=True)
        figures: dict[str, Any] = {
            "cells": len(whole.cells),
            "bytes_per_cell": store.cell_path(whole.cells[0].digest()).stat().st_size,
            "cold_seconds": seconds(lambda: read_catalogue(root)),
            "warm_seconds": seconds(lambda: read_catalogue(root)),
            "again_seconds": seconds(lambda: again(whole, store)),
            "index_bytes": (root / INDEX).stat().st_size,
        }
        some = tuple(spec for spec in whole.cells)[:overhead]
        part = replace(whole, cells=some, settings=replace(whole.settings, out=folder / "few"))
        few = Store(folder / "few")
        store_all(few, some, cells=False)
        with Slots(1, work=instant) as slots:
            # The first task starts the process, which happens once per sweep; it is not counted.
            first = replace(part, cells=some[:1])
            conduct(first, forecast(first, first.catalogue()), few, slots=_Kept(slots))
            expected = forecast(part, part.catalogue())
            taken = seconds(lambda: conduct(part, expected, few, slots=_Kept(slots)))
        per_cell = taken / (len(some) - 1)
        figures |= {"overhead_cells": len(some) - 1, "overhead_seconds_per_cell": per_cell, "quick_cell_seconds": quick_cell}
        figures["overhead_share"] = per_cell / quick_cell
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in figures.items()}


class _Kept(Slots):
    """Slots that stay open when a sweep that uses them ends."""

    def __init__(self, slots: Slots) -> None:
        self.count, self._slots = slots.count, slots._slots

    def close(self) -> None:
        """Do nothing: the owner of the processes closes them."""


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and store."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.harness sweep", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=10_000, help="finished cells, a multiple of 100 (default: %(default)s)")
    parser.add_argument("--overhead", type=int, default=200, help="cells of the measured sweep (default: %(default)s)")
    parser.add_argument(
        "--quick-cell",
        type=float,
        default=60.0,
        metavar="S",
        help="seconds of a cell of `quick` (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="store the figures there")
    args = parser.parse_args(arguments)
    figures = measure(args.cells, args.overhead, args.quick_cell)
    figures |= {"machine": described("numpy")}
    print(json.dumps(figures, indent=1))
    if args.json:
        write_json(args.json, figures)


if __name__ == "__main__":
    main()
