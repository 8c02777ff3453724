"""What isolation costs, tier by tier: start-up, a purchase, memory beside a pool that every worker maps.

    python -m benchmarks.harness isolation [--tiers process bubblewrap docker] [--repeats 30] [--images 10000] [--start-docker]

Start-up lasts from the call to the worker's greeting, before it imports anything of the participant. The tiers take turns, so that
other work on the machine disturbs them alike, and the first turn is not counted. Round trips are timed by the submission, label by
label, on a pool of 10,000 random images of 64 px. Memory is the proportional set size of the worker processes (a page that n
processes map counts as an n-th in each) when a submission that uses numpy only has read every byte of a pool of random images of
224 px: of one worker, and of four at a time. ``--start-docker`` starts a Docker engine for the measurement. A tier that does not
work on this machine is named with its reason.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.docker_engine import NoEngine, running_engine
from benchmarks.harness.worker import BUYER, summary
from benchmarks.pages import write_json
from benchmarks.stopwatch.machine import described
from evaluator.cli.parsing import Prose
from evaluator.data.cache import CachedImages
from evaluator.errors import Verdict
from evaluator.purchase.session import run_session
from evaluator.purchase.session_spec import SessionSpec
from evaluator.sandbox.tier import Sandbox, WorkerSpec
from evaluator.sandbox.tiers import SANDBOXES, state
from evaluator.seeds import generator

RESULT = Path(__file__).resolve().parents[1] / "results" / "isolation.json"
MIB = 1 << 20
TOUCHER = """
from run import ZEWDPCBaseRun
class Toucher(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset, register_progress):
        total = 0
        for item in unlabelled_dataset:
            total += int(item["image"].sum())
        print("TOUCHED", total)
        register_progress(0.5)
        unlabelled_dataset.purchase_label(0)  # is answered when the memory of all workers has been read
"""


def start_up(tiers: dict[str, Sandbox], repeats: int) -> dict[str, list[float]]:
    """Seconds from the call to the worker's greeting, by tier."""
    found: dict[str, list[float]] = {name: [] for name in tiers}
    with tempfile.TemporaryDirectory() as empty:
        for turn in range(repeats + 1):
            for name, sandbox in tiers.items():
                started = time.perf_counter()
                worker = sandbox.start(WorkerSpec(submission=Path(empty)))
                try:
                    worker.channel.receive(time.monotonic() + 60)
                    if turn:
                        found[name].append(time.perf_counter() - started)
                finally:
                    worker.end()
    return found


def session(folder: Path, code: str, images: CachedImages) -> SessionSpec:
    """A session whose pool is ``images``, all of whose labels may be bought."""
    submission = folder / "submission.py"
    submission.write_text(code)
    n = len(images)
    labels = generator(1, "benchmark", "labels").integers(0, 2, (n, 6)).astype(np.uint8)
    few = CachedImages(images.path, images.rows[:4], images.size)
    order = np.arange(n)
    return SessionSpec(
        submission=submission,
        classes=tuple("abcdef"),
        training=few,
        training_labels=labels[:4],
        pool=images,
        order=order,
        prediction=few,
        sold=labels,
        budget=n,
        seconds=600,
        prediction_seconds=60,
        load_seconds=120,
        seed=1,
    )


def pool(path: Path, n: int, size: int) -> CachedImages:
    """A file of ``n`` random images in the format of the image cache."""
    draw = generator(1, "benchmark", "pool", n, size)
    file = np.lib.format.open_memmap(path, "w+", np.uint8, (n, size, size, 3), version=(1, 0))
    for start in range(0, n, 500):
        file[start : start + 500] = np.frombuffer(draw.bytes(file[start : start + 500].size), np.uint8).reshape(-1, size, size, 3)
    file.flush()
    path.chmod(0o444)
    return CachedImages(path, np.arange(n), size)


def round_trips(sandbox: Sandbox, images: CachedImages, folder: Path) -> dict[str, list[float]]:
    """Seconds per purchase as the submission sees it: ``single``, ``repeated``, and ``batch`` of 2,000."""
    result = run_session(session(folder, BUYER, images), sandbox)
    line = next((line for line in result.log.splitlines() if line.startswith("FIGURES ")), None)
    if line is None:
        raise SystemExit(f"the submission that buys failed: {result.verdict} {result.reason}\n{result.trace}")
    return json.loads(line[8:])


def memory(sandbox: Sandbox, images: CachedImages, folder: Path, workers: int) -> list[dict[str, int]]:
    """Bytes of each of ``workers`` workers that have mapped and read the whole pool: ``pss``, ``anonymous``, ``private``."""
    touched, measured = threading.Semaphore(0), threading.Event()
    results = []

    def halfway(what: str, share: float) -> None:
        if what == "purchase_phase" and share == 0.5:
            touched.release()
            measured.wait()

    def run(number: int) -> None:
        place = folder / f"{workers}-{number}"
        place.mkdir()
        try:
            results.append(run_session(session(place, TOUCHER, images), sandbox, halfway))
        finally:
            touched.release()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(workers)]
    for thread in threads:
        thread.start()
    for _ in threads:
        touched.acquire()
    found = [_memory_of(pid) for pid in _mapping(images.path)]
    measured.set()
    for thread in threads:
        thread.join()
    failed = [r for r in results if r.verdict is not Verdict.OK]
    if failed or len(found) != workers:
        raise SystemExit(f"{len(found)} of {workers} workers were seen; {failed[0].reason if failed else ''}")
    return found


def _mapping(path: Path) -> list[int]:
    """Other processes that have a file mapped, found by its inode: what a worker is given by descriptor has no path there."""
    inode = f" {path.stat().st_ino} "
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # the process has ended meanwhile
            lines = Path(f"/proc/{name}/maps").read_text().splitlines()
            if int(name) != os.getpid() and any(inode in line for line in lines):
                found.append(int(name))
    return found


def _memory_of(pid: int) -> dict[str, int]:
    rows = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    kilobytes = {row[0].rstrip(":"): int(row[1]) for row in rows}
    private = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
    return {"pss": 1024 * kilobytes["Pss"], "anonymous": 1024 * kilobytes["Pss_Anon"], "private": 1024 * private}


@contextlib.contextmanager
def chosen(names: list[str], start_docker: bool) -> Iterator[tuple[dict[str, Sandbox], dict[str, str]]]:
    """The tiers that work on this machine, and why the others do not."""
    tiers: dict[str, Sandbox] = {}
    reasons: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        for name in names:
            if name == "docker" and start_docker:
                from evaluator.sandbox.docker import DockerSandbox

                try:
                    running = stack.enter_context(running_engine())
                except NoEngine as error:
                    reasons[name] = str(error)
                else:
                    tiers[name] = DockerSandbox(image=running.image, engine=running.engine)
            elif reason := state(name).reason:
                reasons[name] = reason
            else:
                tiers[name] = SANDBOXES[name](False)
        yield tiers, reasons


def _version(*command: str) -> str:
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return ""


def _table(rows: dict[str, dict[str, Any]], unit: str, scale: float, show: Callable[[float], str] = "{:.2f}".format) -> None:
    print(f"\n{unit:34}{'n':>7}{'median':>12}{'p95':>12}{'max':>12}")
    for name, row in rows.items():
        print(f"{name:34}{row['n']:7}" + "".join(f"{show(scale * row[key]):>12}" for key in ("median", "p95", "max")))


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and store."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.harness isolation", description=__doc__, formatter_class=Prose)
    parser.add_argument("--tiers", nargs="+", default=["process", "bubblewrap", "docker"], choices=sorted(SANDBOXES))
    parser.add_argument("--repeats", type=int, default=30, help="starts per tier (default: %(default)s)")
    parser.add_argument("--images", type=int, default=10_000, help="of the pool that is read (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=4, help="at a time, for memory (default: %(default)s)")
    parser.add_argument("--start-docker", action="store_true", help="start a Docker engine for the measurement")
    parser.add_argument("--json", type=Path, default=RESULT, metavar="FILE", help="of the figures (default: %(default)s)")
    args = parser.parse_args(arguments)
    with chosen(args.tiers, args.start_docker) as (tiers, reasons), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # an unprivileged worker passes through it to the pool
        for tier, reason in reasons.items():
            print(f"{tier}: not measured, {reason}")
        started = start_up(tiers, args.repeats)
        small = pool(folder / "small.npy", 10_000, 64)
        trips = {tier: round_trips(sandbox, small, folder) for tier, sandbox in tiers.items()}
        large = pool(folder / "pool.npy", args.images, 224)
        held = {}
        for tier, sandbox in tiers.items():
            place = folder / tier
            place.mkdir()
            held[tier] = {count: memory(sandbox, large, place, count) for count in (1, args.workers)}
        size = large.path.stat().st_size
    figures: dict[str, Any] = {"start-up": {tier: summary(values) for tier, values in started.items()}}
    figures["round trip"] = {tier: {kind: summary(values) for kind, values in kinds.items()} for tier, kinds in trips.items()}
    figures["memory"] = {
        tier: {
            "one": found[1][0],
            f"{args.workers}": found[args.workers],
            "pss of all": sum(row["pss"] for row in found[args.workers]),
            "ratio": sum(row["pss"] for row in found[args.workers]) / found[1][0]["pss"],
        }
        for tier, found in held.items()
    }
    if "process" in started:
        # Turn by turn, so that a moment when the machine was busy counts for both.
        figures["start-up added"] = {
            tier: statistics.median(np.subtract(values, started["process"]).tolist())
            for tier, values in started.items()
            if tier != "process"
        }
    _table(figures["start-up"], "start-up, milliseconds", 1e3)
    for tier, added in figures.get("start-up added", {}).items():
        print(f"{tier} adds {1e3 * added:.1f} ms (median over the turns)")
    _table({f"{t}, {k}": row for t, kinds in figures["round trip"].items() for k, row in kinds.items()}, "round trip, µs", 1e6)
    print(f"\nproportional set size, MiB; the pool is {size / MIB:.0f}")
    for tier, row in figures["memory"].items():
        rest = ", ".join(f"{worker['anonymous'] / MIB:.0f}" for worker in row[f"{args.workers}"])
        print(
            f"{tier:12} one worker {row['one']['pss'] / MIB:.0f}, {args.workers} together {row['pss of all'] / MIB:.0f}: "
            f"{row['ratio']:.2f} times as much (anonymous memory of each: {rest})"
        )
    machine = described("numpy")
    machine |= {"bubblewrap": _version("bwrap", "--version"), "docker": _version("dockerd", "--version")}
    write_json(args.json, {"machine": machine, "pool bytes": size, "not measured": reasons, **figures})


if __name__ == "__main__":
    main()
