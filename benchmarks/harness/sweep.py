"""What a sweep costs beside purchases and trainings: listing and summing up many finished cells, and the work around one cell.

    python -m benchmarks.harness sweep [--cells 10000] [--overhead 200] [--quick-cell 60] [--json FILE] [--page FILE]
    python -m benchmarks.harness sweep --stored FILE --page FILE

The cells are fabricated: each has the ledger of the largest purchase of the profile `quick` (189 labels) and the predictions of the
300 images that `quick` scores, and nothing is trained or bought. *Cold* is without an index: every file is read and its checksum
compared. *Warm* is with the index. *Again* is the whole work of a sweep whose cells are all finished: naming them, finding them,
the table, `sweep.json`. *Listed* is `python -m evaluator results list` without its table. The overhead per cell is the time of a
sweep whose purchases are stored and whose trainings return at once: reading the purchase, sending a task to another process and its
result back, writing the cell. `python -m benchmarks.harness worker` measures the start of a worker.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import fabricated
from benchmarks.pages import Region, write_json, write_text
from benchmarks.stopwatch.machine import described
from evaluator.cli.parsing import Prose
from evaluator.history.index import INDEX
from evaluator.history.inventory import inventory
from evaluator.history.store import Store
from evaluator.purchase.track import PURCHASE
from evaluator.report.format import markdown_rows
from evaluator.runner.workers import Judging, Workers
from evaluator.sweep.experiment import Experiment, prepare
from evaluator.sweep.forecast import forecast
from evaluator.sweep.run import Outcome, run
from evaluator.sweep.settings import Settings
from evaluator.sweep.table import summarise_sweep
from evaluator.tables import Block
from evaluator.track import Judged, Tracks

COMMAND = "python -m benchmarks.harness sweep"
FIGURES, PAGE = "benchmarks/results/sweep.json", "docs/benchmarks.md"
"""Committed files, below the root of the repository."""
AGAIN = f"{COMMAND} --stored {FIGURES} --page {PAGE}"
"""Writes the part of the page, from the committed figures."""
REGION = Region("sweep", COMMAND)
BUYER = "from run import ZEWDPCBaseRun\n\n\nclass Buyer{0}(ZEWDPCBaseRun):\n    def purchase_phase(self):\n        pass\n"
SUBMISSIONS, PAIRS, LABELS = 20, 5, 189
LISTING_GOAL, SHARE_GOAL = 5.0, 0.01
"""Seconds to list 10,000 cells without an index; the part of a cell of `quick` that the work around it may take."""


def instant(task: Judging) -> Judged:
    """In place of a training: a result at once."""
    return fabricated.judged(task.spec, task.answer)  # type: ignore[arg-type]


def experiment(folder: Path, cells: int) -> Experiment:
    """A sweep of ``cells`` cells (a multiple of 100) over submissions that are never run."""
    submissions = []
    for number in range(SUBMISSIONS):
        path = folder / f"buyer{number:02d}.py"
        path.write_text(BUYER.format(number))
        submissions.append(path)
    settings = Settings(
        submissions=tuple(submissions),
        options={name: option.default for name, option in PURCHASE.options.items()} | {"pairs": ("public",)},
        pipelines=("milliseconds",),
        profile="debug",
        seeds=max(1, cells // (SUBMISSIONS * PAIRS)),
        public_seeds=True,
        sandbox="process",
        device="cpu",
        out=folder / "results",
    )
    return prepare(PURCHASE, settings, folder=folder / "data")


def store_all(store: Store, specs: Iterable[Any], *, cells: bool) -> None:
    """Store a fabricated purchase for every cell, and with ``cells`` the cell itself, too."""
    for spec in specs:
        made = fabricated.purchase(spec, fabricated.ledger_of(LABELS))
        store.write_answer(made)
        if cells:
            store.write_cell(fabricated.judged(spec, made))


def seconds(work: Callable[[], Any]) -> float:
    """Duration of a call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def conduct(whole: Experiment, store: Store, workers: Workers | None = None) -> None:
    """What ``python -m evaluator sweep`` does once the data are read.

    Raises:
        RuntimeError: a cell is missing at the end, or was not scored.
    """
    expected = forecast(whole, whole.index())
    shown: list[dict[str, Any]] = []

    def finish(outcome: Outcome) -> None:
        shown.append(summarise_sweep(whole, outcome.rows, outcome.before, expected, outcome.seconds))
        store.write_run(outcome.folder, shown[0], "sweep")

    run(whole, store, "sweep", finish, workers=workers)
    scored = sum(cell["score"] is not None for cell in shown[0]["cells"])
    if scored != len(whole.cells):
        raise RuntimeError(f"{scored} of {len(whole.cells)} cells were scored; all were expected")


def again(whole: Experiment, store: Store) -> None:
    """Everything that a sweep does when its cells are finished, but reading the data."""
    conduct(replace(whole, cells=tuple(replace(spec) for spec in whole.cells)), store)  # specs that have no digests yet


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
            "cold_seconds": seconds(whole.index),
            "warm_seconds": seconds(whole.index),
            "again_seconds": seconds(lambda: again(whole, store)),
            "listed_seconds": seconds(lambda: inventory(root, Tracks({PURCHASE.name: PURCHASE}))),
            "index_bytes": (root / INDEX).stat().st_size,
        }
        some = whole.cells[:overhead]
        part = replace(whole, cells=some, settings=replace(whole.settings, out=folder / "few"))
        few = Store(folder / "few")
        store_all(few, some, cells=False)
        with Workers(1, work=instant) as workers:
            # The first task starts the process, which happens once per sweep; it is not counted.
            conduct(replace(part, cells=some[:1]), few, _Kept(workers))
            taken = seconds(lambda: conduct(part, few, _Kept(workers)))
        per_cell = taken / (len(some) - 1)
        figures |= {"overhead_cells": len(some) - 1, "overhead_seconds_per_cell": per_cell, "quick_cell_seconds": quick_cell}
        figures["overhead_share"] = per_cell / quick_cell
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in figures.items()}


class _Kept(Workers):
    """Workers that stay when a sweep that uses them ends."""

    def __init__(self, workers: Workers) -> None:
        self.count, self._places = workers.count, workers._places

    def close(self) -> None:
        """Do nothing: the owner of the processes ends them."""


def page_text(stored: Mapping[str, Any]) -> str:
    """The part of the page with figures: command, hardware, and a table."""
    where, n = stored["machine"], f"{stored['cells']:,}"
    head = f"`{where['command']}`; figures in `{FIGURES}`. {where['cores']} cores, {where['processor']}, "
    head += f"{where['memory_gib']} GiB; {where['system']}, Python {where['python']}, numpy {where['numpy']}; "
    head += f"load average {where['load'][0]} at the end. n = 1."
    share = f"{stored['overhead_share']:.3%} of a cell of {stored['quick_cell_seconds']:g} s"
    rows = (
        (
            f"{n} cells, no index: every file read and its checksum compared",
            _spoken(stored["cold_seconds"]),
            f"{LISTING_GOAL:g} s",
        ),
        (f"{n} cells with the index", _spoken(stored["warm_seconds"]), ""),
        (
            f"a sweep of {n} finished cells again: cells named, found, summed up, `sweep.json` written",
            _spoken(stored["again_seconds"]),
            "",
        ),
        (
            f"`results list` of {n} cells and as many answers with the index, without its table",
            _spoken(stored["listed_seconds"]),
            "",
        ),
        (
            f"size of a cell, and of the index of {n}",
            f"{_amount(stored['bytes_per_cell'])}, {_amount(stored['index_bytes'])}",
            "",
        ),
        (
            f"work around one cell, mean of {stored['overhead_cells']}",
            f"{_spoken(stored['overhead_seconds_per_cell'])}, {share}",
            f"{SHARE_GOAL:.0%}",
        ),
    )
    return "\n".join([head, "", *markdown_rows(Block("", ("", "measured", "goal"), rows)), ""])


def _spoken(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{value * 1e3:.3g} ms"


def _amount(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and store."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__, formatter_class=Prose)
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
    parser.add_argument("--stored", type=Path, metavar="FILE", help="measure nothing: take figures that were stored")
    parser.add_argument("--page", type=Path, metavar="FILE", help=f"write the part of {PAGE} that stands between the marks")
    args = parser.parse_args(arguments)
    if args.stored:
        figures = json.loads(args.stored.read_text(encoding="utf-8"))
    else:
        figures = measure(args.cells, args.overhead, args.quick_cell)
        figures |= {"machine": described("numpy")}
    print(json.dumps(figures, indent=1))
    if args.json:
        write_json(args.json, figures)
    if args.page:
        write_text(args.page, REGION.replaced(args.page.read_text(encoding="utf-8"), page_text(figures)))


if __name__ == "__main__":
    main()
