"""What the sealed process costs: start-up, one purchase, two thousand purchases, the kill at the deadline.

    python -m benchmarks.worker [--repeats 15] [--json FILE]

Start-up runs from the call to the worker's greeting, before any import of the participant. Round trips are measured by the
submission itself, on the worker's side, label by label over the first 1,000 images of a pool of 10,000, after 100 that are not
counted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

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
    """Seconds from the call to the worker's greeting."""
    found = []
    for _ in range(repeats + 1):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            worker = ProcessSandbox().start(WorkerSpec(submission=Path(folder), scratch=Path(folder)))
            worker.channel.receive(time.monotonic() + 30)
            found.append(time.perf_counter() - start)
            worker.end()
    return found[1:]


def purchases(repeats: int) -> dict[str, list[float]]:
    """Seconds per purchase, all repeats together."""
    found: dict[str, list[float]] = {}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            result = run_session(_session(Path(folder), BUYER, 60), ProcessSandbox())
        line = next((line for line in result.log.splitlines() if line.startswith("FIGURES ")), None)
        if line is None:
            raise SystemExit(f"the buyer failed: {result.verdict} {result.reason}\n{result.trace}")
        for name, values in json.loads(line[8:]).items():
            found.setdefault(name, []).extend(values)
    return found


def overrun(repeats: int) -> list[float]:
    """Seconds from the limit until a sleeper with three daemons is gone."""
    found = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            spec = _session(Path(folder), SLEEPER, 1.0)
            result = run_session(spec, ProcessSandbox())
            found.append(result.seconds - 1.0)
    return found


def main() -> None:
    """Measure, print, and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    figures = {"start-up": start_up(args.repeats), "deadline to gone": overrun(min(args.repeats, 5)), **purchases(args.repeats)}
    rows = {
        name: {"n": len(v), "median": statistics.median(v), "p95": float(np.quantile(v, 0.95)), "max": max(v)}
        for name, v in figures.items()
    }
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version(), "numpy": np.__version__}
    print(f"{'':18}{'n':>7}{'median':>12}{'p95':>12}{'max':>12}   (microseconds)")
    for name, row in rows.items():
        print(f"{name:18}{row['n']:7}{1e6 * row['median']:12.0f}{1e6 * row['p95']:12.0f}{1e6 * row['max']:12.0f}")
    if args.json:
        args.json.write_text(json.dumps({"machine": machine, "seconds": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
