"""The quick look before a tier is used: one worker, asked about everything that the tier promises. Well below a second."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from evaluator.sandbox.conformance.stage import Broken, Outcome, Stage, Unseen, need
from evaluator.sandbox.scratch import scratch_folder
from evaluator.sandbox.tier import PROMISES, Sandbox

QUESTIONS = """
import socket
def read(path):
    with open(path) as file:
        return file.read()
def append(path):
    open(path, "ab").close()
import run
status = dict(line.split(":\\t", 1) for line in read("/proc/self/status").splitlines() if ":\\t" in line) if os.path.exists(
    "/proc/self/status") else {}
tell({
    "environment": sorted(os.environ),
    "images": attempt(lambda: os.path.getsize(IMAGES)),
    "secret": attempt(lambda: read(SECRET)),
    "kit": attempt(lambda: append(run.__file__)),
    "pid namespace": attempt(lambda: os.readlink("/proc/self/ns/pid")),
    "interfaces": attempt(lambda: [name for _, name in socket.if_nameindex()]),
    "user": os.getuid(),
    "capabilities": int(status.get("CapEff", "0"), 16),
})
daemon()
time.sleep(600)
"""


@dataclass(frozen=True)
class SelfCheck:
    """What the quick look saw: ``reason`` is empty where the tier works; ``start_up`` in seconds, with the worker's answer.

    ``way``: what to do, where the cause is known; empty for the general advice of ``tiers.WAYS``.
    """

    reason: str
    limited_by: str = ""
    start_up: float = 0.0
    way: str = ""


def self_check(sandbox: Sandbox) -> SelfCheck:
    """Start one worker and see that it is given what it needs, cannot do what the tier promises, and is gone when it is ended."""
    started = time.perf_counter()
    try:
        with scratch_folder() as folder:
            stage = Stage(sandbox, folder)
            with stage.cast(QUESTIONS) as actor:
                start_up = time.perf_counter() - started
                limited_by = actor.worker.limited_by
                try:
                    actor.await_processes(2)
                except Unseen:
                    actor.answer(0.5)  # the processes of this machine cannot be listed; its program needs a moment to tell
                outcome = actor.end()
            _judge(outcome, getattr(sandbox, "promises", PROMISES), stage)
    except (Broken, OSError) as error:
        return SelfCheck(str(error) or type(error).__name__)
    return SelfCheck("", limited_by, start_up)


def _judge(outcome: Outcome, promises: frozenset[str] | dict[str, str], stage: Stage) -> None:
    seen = outcome.only()
    need(seen["images"] == stage.images.stat().st_size, f"the worker cannot read its images: {seen['images']}")
    foreign = set(os.environ) & set(seen["environment"]) & {"SSH_AUTH_SOCK", "PYTHONPATH", "LD_PRELOAD", "MAKEFLAGS"}
    need(not foreign, f"the worker was given the evaluator's variables {sorted(foreign)}")
    need(not outcome.left, f"{len(outcome.left)} of its processes outlived the worker")
    if {"files", "contents"} & set(promises):
        need("hunter2" not in str(seen["secret"]), "the worker can read the evaluator's files")
        need(seen["kit"] is not None, "the worker can write the kit's files")
    if "processes" in promises:
        need(seen["pid namespace"] != os.readlink("/proc/self/ns/pid"), "the worker shares this machine's processes")
    if "network" in promises:
        # Tunnels of the kernel's own are in every new namespace, and lead nowhere.
        need(
            "lo" in seen["interfaces"] and not any(n.startswith(("e", "w")) for n in seen["interfaces"] if n != "erspan0"),
            f"the worker has the network interfaces {seen['interfaces']}",
        )
    if "privileges" in promises:
        need(
            seen["user"] != 0 and not seen["capabilities"],
            f"the worker is user {seen['user']}, capabilities {seen['capabilities']:x}",
        )
