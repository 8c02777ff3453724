"""What the worker process costs: start-up, one purchase, two thousand purchases, the kill at the deadline.

    python -m benchmarks.harness worker [--repeats 15] [--json FILE]

Tier ``process``, a pool of 10,000 blank images of 64 px. Start-up lasts from the call to the worker's greeting, before it imports
anything of the participant. Purchases are timed by the submission itself, in the worker: 1,000 single labels after 100 that are not
counted, the same 1,000 again, and four batches of 2,000.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.pages import write_json
from benchmarks.stopwatch.machine import described
from evaluator.cli.parsing import Prose
from evaluator.data.cache import CachedImages
from evaluator.purchase.session import run_session
from evaluator.purchase.session_spec import SessionSpec
from evaluator.sandbox.process import ProcessSandbox
from evaluator.sandbox.tier import WorkerSpec

BUYER = """
import json, time
from run import ZEWDPCBaseRun
class Buyer(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        market = unlabelled_dataset
        for i in range(100):
            market.purchase_label(i)
        single = []
        for i in range(100, 1100):
            start = time.perf_counter(); market.purchase_label(i); single.append(time.perf_counter() - start)
        repeated = []
        for i in range(1000):
            start = time.perf_counter(); market.purchase_label(i); repeated.append(time.perf_counter() - start)
        batches = []
        for k in range(4):
            many = list(range(2000 * (k + 1), 2000 * (k + 2)))
            start = time.perf_counter(); market.purchase_labels(many); batches.append(time.perf_counter() - start)
        print("FIGURES " + json.dumps({"single": single, "repeated": repeated, "batch": batches}))
"""

SLEEPER = """
import os, signal, time
from run import ZEWDPCBaseRun
class Sleeper(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for _ in range(3):
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    time.sleep(600)
                os._exit(0)
        time.sleep(600)
"""


def _session(folder: Path, code: str, seconds: float, n_pool: int = 10_000) -> SessionSpec:
    submission = folder / "submission.py"
    submission.write_text(code)
    path = folder / "images.npy"
    if not path.exists():
        np.save(path, np.zeros((n_pool, 64, 64, 3), np.uint8))
    labels = np.random.default_rng(0).integers(0, 2, (n_pool, 6)).astype(np.uint8)
    pool = CachedImages(path, np.arange(n_pool), 64)
    few = CachedImages(path, np.arange(100), 64)
    order = np.arange(n_pool)
    classes = tuple("abcdef")
    return SessionSpec(submission, classes, few, labels[:100], pool, order, few, labels, n_pool, seconds, 10, 60, seed=1)


def start_up(repeats: int) -> list[float]:
    """Seconds from the call to the worker's greeting, ``repeats`` times."""
    found = []
    for _ in range(repeats + 1):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            worker = ProcessSandbox().start(WorkerSpec(submission=Path(folder)))
            worker.channel.receive(time.monotonic() + 30)
            found.append(time.perf_counter() - start)
            worker.end()
    return found[1:]


def purchases(repeats: int) -> dict[str, list[float]]:
    """Seconds per purchase as the submission sees it, of all repeats together: ``single``, ``repeated``, ``batch``."""
    found: dict[str, list[float]] = {}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            result = run_session(_session(Path(folder), BUYER, 60), ProcessSandbox())
        line = next((line for line in result.log.splitlines() if line.startswith("FIGURES ")), None)
        if line is None:
            raise SystemExit(f"the submission that buys failed: {result.verdict} {result.reason}\n{result.trace}")
        for name, values in json.loads(line[8:]).items():
            found.setdefault(name, []).extend(values)
    return found


def overrun(repeats: int) -> list[float]:
    """Seconds from the time limit until a submission that sleeps, with three daemons of its own, is gone."""
    found = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            spec = _session(Path(folder), SLEEPER, 1.0)
            result = run_session(spec, ProcessSandbox())
            found.append(result.seconds - 1.0)
    return found


def summary(values: list[float]) -> dict[str, float]:
    """Number, median, 95th percentile and maximum."""
    return {"n": len(values), "median": statistics.median(values), "p95": float(np.quantile(values, 0.95)), "max": max(values)}


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and store."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.harness worker", description=__doc__, formatter_class=Prose)
    parser.add_argument("--repeats", type=int, default=15, help="sessions; the deadline is measured 5 times at most (default: 15)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="store the figures there")
    args = parser.parse_args(arguments)
    figures = {"start-up": start_up(args.repeats), "deadline to gone": overrun(min(args.repeats, 5)), **purchases(args.repeats)}
    rows = {name: summary(values) for name, values in figures.items()}
    print(f"{'':18}{'n':>7}{'median':>12}{'p95':>12}{'max':>12}   (microseconds)")
    for name, row in rows.items():
        print(f"{name:18}{row['n']:7}{1e6 * row['median']:12.0f}{1e6 * row['p95']:12.0f}{1e6 * row['max']:12.0f}")
    if args.json:
        write_json(args.json, {"machine": described("numpy"), "seconds": rows})


if __name__ == "__main__":
    main()
