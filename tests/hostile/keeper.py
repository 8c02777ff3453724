"""Runs one attack: plays the evaluator in a child, and looks from outside at what is left of the attack.

Run as a script, with a plan as JSON on standard input and the copy of the kit that the plan names; writes a report as JSON to
standard output. It is the sub-reaper of everything below it, so that whatever outlives a session becomes its child and is seen.
Started by root, an evaluator of the plan's user is an ordinary user: an attack may then do what that user may, and no more.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import functools
import hashlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

PR_SET_CHILD_SUBREAPER = 36
KEYCTL = {"x86_64": (250, 248), "aarch64": (219, 217)}
"""Numbers of keyctl and add_key, which the C library does not wrap."""
PLACES_OF_TRACES = ("/dev/shm", "/tmp", "/var/tmp", "/run", "/run/lock")


class Listeners:
    """Whoever connects, or sends, to one of these has reached the network or the host's sockets."""

    def __init__(self, house: Path, mark: str) -> None:
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.dns.bind(("127.0.0.1", 0))
        self.unix = socket.socket(socket.AF_UNIX)
        self.unix.bind(str(house / "sockets" / "unix"))
        os.chmod(house / "sockets" / "unix", 0o777)
        self.unix.listen()
        self.abstract = socket.socket(socket.AF_UNIX)
        self.abstract.bind("\0" + mark)
        self.abstract.listen()
        self.all = {name: getattr(self, name) for name in ("tcp", "udp", "dns", "unix", "abstract")}

    def addresses(self, house: Path, mark: str) -> dict[str, Any]:
        """What an attacker knows of them."""
        ports = {name: self.all[name].getsockname()[1] for name in ("tcp", "udp", "dns")}
        return ports | {"unix": str(house / "sockets" / "unix"), "abstract": mark}

    def contacts(self) -> list[str]:
        """Which of them something came in at."""
        ready = select.select(list(self.all.values()), [], [], 0)[0]
        return [name for name, listener in self.all.items() if listener in ready]


def descendants(root: int) -> list[int]:
    """Living processes below ``root``, by the parents that /proc names."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
            if fields[0] != b"Z":
                parents[int(name)] = int(fields[1])
    found, front = [], {root}
    while front:
        front = {pid for pid, parent in parents.items() if parent in front}
        found += front
    return found


def fingerprint(house: Path, ignored: frozenset[str]) -> dict[str, str]:
    """Every file of the house: a hash of its content, its mode and owner; and every folder."""
    found, front = {}, [str(house)]
    while front:
        place = front.pop()
        # What lies deeper than a path can name shows by the folders above it.
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                short = os.path.relpath(entry.path, house)
                if short in ignored:
                    continue
                state = entry.stat(follow_symlinks=False)
                found[short] = f"{state.st_mode:o} {state.st_uid}"
                if entry.is_symlink():
                    found[short] += " " + os.readlink(entry.path)
                elif entry.is_file():
                    found[short] += " " + hashlib.sha256(Path(entry.path).read_bytes()).hexdigest()
                elif entry.is_dir():
                    front.append(entry.path)
    return found


def traces(mark: str, key: int) -> list[str]:
    """What bears the attack's mark in places that everybody may write: files, and System V shared memory."""
    found = []
    for place in PLACES_OF_TRACES:
        with contextlib.suppress(OSError):
            found += [os.path.join(place, name) for name in os.listdir(place) if mark in name]
    with contextlib.suppress(OSError), open("/proc/sysvipc/shm") as file:
        found += [f"System V shared memory {key}" for line in list(file)[1:] if int(line.split()[0]) == key]
    return found


def remove_traces(found: list[str], key: int) -> None:
    """Leave the machine as it was."""
    for path in found:
        with contextlib.suppress(OSError):
            os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
    libc = ctypes.CDLL(None)
    segment = libc.shmget(key, 0, 0)
    if segment >= 0:
        libc.shmctl(segment, 0, None)


def log_in(mark: str, secret: str) -> None:
    """A session keyring of our own, with a secret key in it, as somebody has who has logged in."""
    machine = os.uname().machine
    if machine in KEYCTL:
        keyctl, add_key = KEYCTL[machine]
        libc = ctypes.CDLL(None)
        libc.syscall(keyctl, 1, None)
        libc.syscall(add_key, b"user", mark.encode(), secret.encode(), len(secret), -3)


def memory(field: str) -> int:
    """A figure of this process's memory, in bytes."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field))


# -- the evaluator -------------------------------------------------------------------------------------------------------------


def evaluate(plan: dict[str, Any], addresses: dict[str, Any]) -> dict[str, Any]:
    """Plant the secrets that lie in a process, run the cells, and tell what came of them."""
    import numpy as np

    from evaluator.data.cache import CachedImages
    from evaluator.purchase import session
    from evaluator.purchase.session_spec import SessionSpec
    from evaluator.sandbox.limits import Limits

    # The kit's own allowance is longer than a test wants to wait for.
    session.Terms = functools.partial(session.Terms, free_import_seconds=plan["free_seconds"])  # type: ignore[misc, assignment]
    house = Path(plan["house"])
    secrets = plan["secrets"]
    held = bytearray(secrets["memory"].encode())

    n, classes = plan["pool"], tuple("abcdefgh")
    truth = np.unpackbits(np.frombuffer(secrets["pool"].encode(), np.uint8)).reshape(n, len(classes))
    order = np.random.default_rng(plan["order"]).permutation(n)
    images = CachedImages(house / "cache" / "images.npy", np.arange(n), 8)
    few = CachedImages(house / "cache" / "images.npy", np.arange(16), 8)
    last = CachedImages(house / "cache" / "prediction.npy", np.arange(16), 8)
    cells = []
    trusted = (time.time, time.monotonic, json.loads, np.frombuffer, np.unique)
    before = memory("VmRSS")
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak is counted from here
    for cell in range(1, plan["cells"] + 1):
        aim = {
            "evaluator": os.getpid(),
            "house": str(house),
            "kit": plan["kit"],
            "labels": str(house / "data" / "labels.csv"),
            "cache": str(house / "cache"),
            "results": str(house / "results"),
            "victim": str(house / "victim"),
            "mark": plan["mark"],
            "key": plan["key"],
            "cell": cell,
            "pool": n,
            "late_pixel": plan["late_pixel"],
            "classes": len(classes),
            "budget": plan["budget"],
            "seconds": plan["seconds"],
            "free_seconds": plan["free_seconds"],
            **addresses,
        }
        if cell == 1:
            aim["carry"] = plan["carry"]
        (house / "submission" / "aim.json").write_text(json.dumps(aim))
        spec = SessionSpec(
            submission=house / "submission",
            classes=classes,
            training=few,
            training_labels=np.zeros((16, len(classes)), np.uint8),
            pool=images,
            order=order,
            prediction=last,
            sold=truth,
            budget=plan["budget"],
            seconds=plan["seconds"],
            prediction_seconds=plan["seconds"],
            load_seconds=plan["load_seconds"],
            seed=1,
            restart=plan["restart"],
            limits=Limits(**plan["limits"]),
        )
        result = session.run_session(spec, sandbox(plan))
        rows = result.ledger.as_rows()
        wrong = [row for row in rows if row["label"] != truth[order[row["index"]]].tolist()]
        text = {name: getattr(result, name) for name in ("reason", "trace", "log", "class_name", "disagreement")}
        text["phases"] = [dataclasses.asdict(phase) | {"verdict": str(phase.verdict)} for phase in result.phases]
        cells.append(
            {
                "verdict": str(result.verdict),
                "text": text,
                "bought": len(rows),
                "different": len({row["index"] for row in rows}),
                "wrong": len(wrong),
                "seconds": result.seconds,
                "predicted": result.predictions is not None,
                "guarded": result.guarded,
                "limited_by": result.limited_by,
            }
        )
    return {
        "cells": cells,
        "growth": memory("VmHWM") - before,
        "patched": trusted != (time.time, time.monotonic, json.loads, np.frombuffer, np.unique),
        "held": bytes(held).decode() == secrets["memory"],
        "order": order.tolist(),
    }


def sandbox(plan: dict[str, Any]) -> Any:
    """The tier of the plan, or one of the weakened ones that prove the suite."""
    from evaluator.sandbox import tiers

    if plan.get("weakened"):
        import weakened

        return weakened.make(plan["weakened"], plan)
    return tiers.SANDBOXES[plan["tier"]](False)


def evaluator() -> None:
    """The evaluator's process: the plan and the listeners' addresses on standard input, the report on standard output."""
    plan, addresses = json.load(sys.stdin)
    sys.path[:0] = [plan["kit"], str(Path(__file__).parent)]
    try:
        report = evaluate(plan, addresses)
    except BaseException:  # whatever it is, the suite wants to see it
        report = {"error": traceback.format_exc()}
    json.dump(report, sys.stdout)


def main() -> None:
    """Run the plan on standard input."""
    plan = json.load(sys.stdin)
    house = Path(plan["house"])
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    log_in(plan["mark"], plan["secrets"]["keyring"])
    listeners = Listeners(house, plan["mark"])
    ignored = frozenset({"submission/aim.json", "sockets/unix"})
    roots = {"": house, "kit": Path(plan["kit"])}
    before = {name: fingerprint(root, ignored) for name, root in roots.items()}
    started = time.monotonic()
    # An ordinary user for some tiers: an attack may then do what that user may, and no more.
    user = {} if plan["user"] is None else {"user": plan["user"], "group": plan["user"], "extra_groups": []}
    # A file that has no name any more, held open by the evaluator and, as careless as can be, inheritable.
    hidden = os.open(house / "open", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(hidden, plan["secrets"]["descriptor"].encode())
    os.unlink(house / "open")
    if plan["user"] is not None:
        os.fchown(hidden, plan["user"], plan["user"])
    # The evaluator is told only the secrets that lie in its memory.
    told = plan | {"secrets": {name: plan["secrets"][name] for name in ("memory", "pool")}}
    child = subprocess.Popen(
        [plan["python"], "-s", __file__, "evaluator"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=(hidden,),
        start_new_session=True,
        **user,
    )
    text, hung = "", False
    try:
        text, _ = child.communicate(json.dumps([told, listeners.addresses(house, plan["mark"])]), timeout=plan["patience"])
    except subprocess.TimeoutExpired:
        hung = True
        child.kill()
        child.wait()
    try:
        report = json.loads(text)
    except ValueError:
        report = {"error": "the evaluator said nothing"}

    # A guard whose evaluator is dead needs a moment to see it; what is meant to stay stays longer.
    end = time.monotonic() + 2
    while time.monotonic() < end and descendants(os.getpid()):
        time.sleep(0.02)
    survivors = []
    for process in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            survivors.append(Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:200])
    while left_over := descendants(os.getpid()):
        for process in left_over:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
    changed = []
    for name, root in roots.items():
        after = fingerprint(root, ignored)
        differ = {path for path in before[name].keys() | after.keys() if before[name].get(path) != after.get(path)}
        changed += sorted(f"{name}/{path}".lstrip("/") for path in differ)
    found = traces(plan["mark"], plan["key"])
    remove_traces(found, plan["key"])
    report |= {
        "status": child.returncode,
        "hung": hung,
        "wall": time.monotonic() - started,
        "survivors": survivors,
        "changed": changed,
        "traces": found,
        "contacts": listeners.contacts(),
    }
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    evaluator() if sys.argv[1:] == ["evaluator"] else main()
