"""Kills an evaluation with SIGKILL at random moments, starts it again, and reports what was left and what came out.

    python tests/killed.py FOLDER DATA TIER KILLS SEED

A program of its own: it imports the evaluator once and forks per run and per training process, so that kills hit the work and not
imports; gathers what a dead evaluator leaves (it is the sub-reaper of everything it starts); and has shared memory of its own where
it may. Prints one JSON object.
"""

import contextlib
import ctypes
import json
import multiprocessing
import os
import select
import signal
import sys
import tempfile
import time
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from conftest import SUBMISSIONS, TINY  # noqa: E402

import local_evaluation  # noqa: E402
from evaluator.purchase import profiles  # noqa: E402
from evaluator.purchase.rounds import ROUND2  # noqa: E402
from evaluator.runner import workers  # noqa: E402
from evaluator.sandbox import cgroup  # noqa: E402
from evaluator.sandbox.guard import become_reaper, descendants  # noqa: E402
from evaluator.seeds import generator  # noqa: E402
from evaluator.training.recipes import PIPELINES  # noqa: E402

# As long as the sessions before it, so that kills meet both.
PIPELINES["longer"] = replace(PIPELINES["milliseconds"], name="longer", epochs=100)
FIVE = replace(TINY, name="five", pairs=ROUND2.pairs, pipeline="longer")
VOLATILE = {"seconds", "timings", "cached", "reused", "checksum", "busy", "warnings", "time"}
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 1 << 18


def arguments(folder: Path, data: Path, tier: str) -> list[str]:
    """The options of one five-pair evaluation."""
    options = {"--submission": SUBMISSIONS / "random_buyer.py", "--profile": "five", "--data": data, "--out": folder / "results"}
    options |= {"--sandbox": tier, "--threads": 1, "--device": "cpu"}
    # Each run has a folder of its own, and with a secret of its own it would end otherwise than the undisturbed run.
    return ["--public-seeds", *(str(part) for pair in options.items() for part in pair)]


def own_shared_memory() -> bool:
    """Give this process a /dev/shm of its own, so that what is left in it was left by us."""
    libc = ctypes.CDLL(None, use_errno=True)
    return (
        libc.unshare(CLONE_NEWNS) == 0
        and libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == 0
        and libc.mount(b"tmpfs", b"/dev/shm", b"tmpfs", 0, None) == 0
    )


def fork_workers() -> None:
    """Let trainings be done in forks of this process: starting a new one takes most of a run as short as these."""
    fork = multiprocessing.get_context("fork")
    workers.multiprocessing = types.SimpleNamespace(get_context=lambda _: fork, parent_process=multiprocessing.parent_process)


def start(folder: Path, data: Path, tier: str) -> int:
    """Fork an evaluation whose files all lie below ``folder``; its process number."""
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        log = os.open(folder / "said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder / "tmp")
        local_evaluation.DATA = folder / "data"
        status = local_evaluation.main(arguments(folder, data, tier))
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def alone(patience: float) -> list[str]:
    """Wait until everything that was started has ended; what has not, by its command line."""
    end = time.monotonic() + patience
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        left = descendants(os.getpid())
        if not left or time.monotonic() > end:
            return [Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode() for pid in left]
        time.sleep(0.005)


def cells(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every finished cell: the inode of its file, and its bytes."""
    return {p.name: (p.stat().st_ino, p.read_bytes()) for p in (folder / "results" / "cells").glob("*.json")}


def steady(value: object) -> object:
    """A result without what differs between two runs: times, load of the machine, and whether a cell or its purchase was taken from
    the store."""
    if isinstance(value, dict):
        return {name: steady(inner) for name, inner in value.items() if name not in VOLATILE}
    return [steady(inner) for inner in value] if isinstance(value, list) else value


def outcome(folder: Path) -> dict[str, object]:
    """What an evaluation that ended has produced, and what it has left."""
    last = last_summary(folder)
    summary = json.loads(last.read_text())
    bought = [row.split(",") for row in (last.parent / "purchases.csv").read_text().splitlines()]
    column = bought[0].index("seconds")
    return {
        "result": steady(summary),
        "ledgers": [row[:column] + row[column + 1 :] for row in bought],
        "cells": {name: steady(json.loads(raw)) for name, (_, raw) in cells(folder).items()},
    }


def taken(folder: Path) -> int:
    """How many cells of the last evaluation were taken from the store."""
    return sum(cell["cached"] for cell in json.loads(last_summary(folder).read_text())["cells"])


def last_summary(folder: Path) -> Path:
    """``result.json`` of the last evaluation that ended."""
    return max((folder / "results").glob("*/result.json"), key=lambda p: (p.stat().st_mtime_ns, p.name))


def left(folder: Path) -> dict[str, list[str]]:
    """What lies about."""
    roots = (cgroup.ROOT, *(cgroup.ROOT / kind for kind in ("memory", "pids")))
    return {
        # torch makes itself a folder when it likes, and uses it again.
        "scratch": sorted(p.name for p in (folder / "tmp").iterdir() if not p.name.startswith("torchinductor_")),
        "groups": sorted({p.name for root in roots for p in root.glob(f"{cgroup.PREFIX}*")}),
        "temporary": sorted(p.name for p in (folder / "results").rglob(".*")) if (folder / "results").exists() else [],
        "sockets": sorted(str(p) for p in folder.rglob("*") if p.is_socket()),
    }


def killed_run(folder: Path, data: Path, tier: str, moments: Iterator[float]) -> dict[str, object]:
    """Start one evaluation again and again, each time killed after the next moment, until it ends before that."""
    kills = []
    while True:
        before = cells(folder)
        moment = next(moments)
        pid = start(folder, data, tier)
        ended = wait(pid, moment)
        if ended is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        processes, now = alone(10), cells(folder)
        kept = all(now.get(name) == cell for name, cell in before.items())
        if ended is not None:
            break
        kills.append({"moment": moment, "processes": processes, "left": left(folder), "finished": len(now), "kept": kept})
    return {
        "kills": kills,
        "status": ended,
        "said": (folder / "said").read_text()[-2000:],
        "kept": kept,
        "cells before": len(before),
        "cells taken from the store": taken(folder) if ended == 0 else None,
        "processes": processes,
        "left": left(folder),
        "outcome": outcome(folder) if ended == 0 else None,
    }


def wait(pid: int, seconds: float) -> int | None:
    """The exit status of a child, or None where it still runs after ``seconds``."""
    descriptor = os.pidfd_open(pid)
    try:
        if not select.select([descriptor], [], [], seconds)[0]:
            return None
    finally:
        os.close(descriptor)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main() -> None:
    """Run, and print the report."""
    root, data, tier = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    profiles.PROFILES[FIVE.name] = FIVE
    own = own_shared_memory()
    become_reaper()
    cgroup.PREFIX += f"{os.getpid()}-"
    import torch

    from evaluator.sandbox.tiers import choose
    from evaluator.training import loop, predict  # noqa: F401

    torch.set_num_threads(1)
    fork_workers()
    shared = set(os.listdir("/dev/shm")) if own else set()
    choose(tier)  # known to every fork, so that the kills hit the evaluation and not the check before it
    start_time = time.monotonic()
    _, status = os.waitpid(start(root / "undisturbed", data, tier), 0)
    length = time.monotonic() - start_time
    report = {"status": status, "said": (root / "undisturbed" / "said").read_text()[-2000:], "seconds": length, "runs": []}
    if status == 0:
        report["undisturbed"] = outcome(root / "undisturbed")
        draws = generator(int(sys.argv[5]), "kills", tier)
        moments = iter(lambda: float(draws.uniform(0, length)), None)
        while sum(len(run["kills"]) for run in report["runs"]) < int(sys.argv[4]):
            report["runs"].append(killed_run(root / str(len(report["runs"])), data, tier, moments))
    report["shared memory"] = sorted(set(os.listdir("/dev/shm")) - shared) if own else []
    report["total seconds"] = time.monotonic() - start_time
    print(json.dumps(report))


if __name__ == "__main__":
    main()
