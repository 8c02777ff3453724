"""What the report of a run costs: `report.html` of one submission on the five pairs of the profile `quick`, from stored files.

    python -m benchmarks.harness report [--repeats 5] [--json FILE] [--page FILE]
    python -m benchmarks.harness report --stored FILE --page FILE

The data set is that of `quick` (a pool of 1,000 images, 300 scored images, 64 px), made and decoded before; the purchases (62, 62,
189, 189 and 132 labels) and the probabilities are fabricated, and nothing is trained. *The command* is `python -m evaluator report
RUN` in a fresh process, the start of Python and all imports included. *After a run* is the page alone, made in a process that has
made one before, with the data read anew. Each is repeated, by the clock and in processor time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import fabricated
from benchmarks.pages import Region, write_json, write_text
from benchmarks.stopwatch.machine import described
from benchmarks.stopwatch.processor import processor_seconds
from evaluator.cli.parsing import Prose
from evaluator.history.store import Store
from evaluator.places import ROOT
from evaluator.purchase.track import PURCHASE
from evaluator.report.format import markdown_rows
from evaluator.report.html.run import run_report
from evaluator.runner.cells import Finished
from evaluator.sweep.experiment import prepare
from evaluator.sweep.settings import Settings
from evaluator.sweep.summary import summarise
from evaluator.tables import Block
from evaluator.track import Tracks

COMMAND = "python -m benchmarks.harness report"
FIGURES, PAGE = "benchmarks/results/report.json", "docs/benchmarks.md"
"""Committed files, below the root of the repository."""
AGAIN = f"{COMMAND} --stored {FIGURES} --page {PAGE}"
"""Writes the part of the page, from the committed figures."""
REGION = Region("report", COMMAND)
BUYER = "from run import ZEWDPCBaseRun\n\n\nclass Buyer(ZEWDPCBaseRun):\n    def purchase_phase(self):\n        pass\n"
GOAL = 3.0
"""Seconds of a report of five pairs."""
TRACKS = Tracks({PURCHASE.name: PURCHASE})


def stored_run(folder: Path, profile: str = "quick") -> Path:
    """The folder of a run of fabricated purchases on the data of a profile, which are made in ``folder``, too."""
    (folder / "buyer.py").write_text(BUYER)
    options = {name: option.default for name, option in PURCHASE.options.items()}
    settings = Settings(
        submissions=(folder / "buyer.py",),
        options=options,
        pipelines=("milliseconds",),
        profile=profile,
        public_seeds=True,
        sandbox="process",
        device="cpu",
        out=folder / "results",
    )
    whole = prepare(PURCHASE, settings, folder=folder / "data")
    store, cells = Store(folder / "results"), []
    for spec in whole.cells:
        made = fabricated.purchase(spec, fabricated.ledger_of(spec.profile.budget(spec.pair)))
        store.write_answer(made)
        cells.append(Finished(spec, store.write_cell(fabricated.judged(spec, made)), cached=False, reused=False))
    run = store.new_run("buyer")
    store.write_run(run, summarise(whole, cells, 1.0))
    return run


def timed(work: Callable[[], Any], repeats: int) -> dict[str, Any]:
    """Seconds of every repetition, by the clock and in processor time, after one that is not counted."""
    work()
    clock, used = [], []
    for _ in range(repeats):
        before, began = processor_seconds(), time.perf_counter()
        work()
        clock.append(round(time.perf_counter() - began, 4))
        used.append(round(processor_seconds() - before, 4))
    return {"clock": clock, "processor": used}


def measure(repeats: int, profile: str = "quick") -> dict[str, Any]:
    """All figures.

    Raises:
        CalledProcessError: the command failed, or its page lacks something.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = stored_run(folder, profile)
        command = [sys.executable, "-m", "evaluator", "report", str(run), "--cache", str(folder / "data")]
        found = {
            "pairs": len(json.loads((run / "result.json").read_text(encoding="utf-8"))["pairs"]),
            "command": timed(lambda: subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL), repeats),
            "page": timed(lambda: run_report(run, TRACKS, places=folder / "data"), repeats),
        }
        return found | {"bytes": (run / "report.html").stat().st_size, "repeats": repeats}


def page_text(stored: Mapping[str, Any]) -> str:
    """The part of the page with figures: command, hardware, and a table."""
    where, n = stored["machine"], stored["repeats"]
    head = (
        f"`{where['command']}`; figures in `{FIGURES}`. {where['cores']} cores, {where['processor']}, {where['memory_gib']} GiB; "
    )
    head += f"{where['system']}, Python {where['python']}, numpy {where['numpy']}, pillow {where['pillow']}; "
    head += f"load average {where['load'][0]} at the end. Medians, n = {n}."
    named = {"command": "`python -m evaluator report RUN`, a fresh process", "page": "the page alone, after a run"}
    rows = [
        (text, *(f"{statistics.median(stored[name][kind]):.2f} s" for kind in ("clock", "processor")), goal)
        for (name, text), goal in zip(named.items(), (f"{GOAL:g} s", ""), strict=True)
    ]
    rows.append((f"size of the page of {stored['pairs']} pairs", f"{stored['bytes'] / 1e3:.0f} kB", "", "3 MB"))
    return "\n".join([head, "", *markdown_rows(Block("", ("", "clock", "processor", "goal"), tuple(rows))), ""])


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and store."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__, formatter_class=Prose)
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each (default: %(default)s)")
    parser.add_argument("--profile", default="quick", help="profile of the run (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="store the figures there")
    parser.add_argument("--stored", type=Path, metavar="FILE", help="measure nothing: take figures that were stored")
    parser.add_argument("--page", type=Path, metavar="FILE", help=f"write the part of {PAGE} that stands between the marks")
    args = parser.parse_args(arguments)
    if args.stored:
        figures = json.loads(args.stored.read_text(encoding="utf-8"))
    else:
        figures = measure(args.repeats, args.profile)
        figures |= {"machine": described("numpy", "pillow")}
    print(json.dumps(figures, indent=1))
    if args.json:
        write_json(args.json, figures)
    if args.page:
        write_text(args.page, REGION.replaced(args.page.read_text(encoding="utf-8"), page_text(figures)))


if __name__ == "__main__":
    main()
