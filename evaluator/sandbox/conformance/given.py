"""Checks of what a worker is given: environment, descriptors, files, and a home of its own."""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import AbstractContextManager

from evaluator.sandbox.conformance.check import Check, check
from evaluator.sandbox.conformance.stage import Stage, need
from evaluator.sandbox.tier import Environment

CHECKS: list[Check] = []
SET_BY_PYTHON = {"LC_CTYPE"}  # where there is no locale


def _variables(**values: str) -> AbstractContextManager[object]:
    """The evaluator's own environment, with more in it."""
    from unittest.mock import patch  # takes 50 ms to import, and every choice of a tier imports this module

    return patch.dict(os.environ, values)


@check(CHECKS)
def the_environment_is_an_allow_list(stage: Stage) -> str:
    """The worker's environment holds the variables of the allow-list and nothing else of the evaluator's."""
    allowed = {*Environment().passed, *Environment().fixed, *SET_BY_PYTHON, "HOME", "TMPDIR", "PWD"}
    allowed |= {"PYTHONHASHSEED", "PYTHONUNBUFFERED", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"}
    with _variables(SECRET_TOKEN="hunter2", PYTHONSTARTUP="/nowhere.py", AWS_SECRET_ACCESS_KEY="hunter2"):
        seen = stage.play("tell(dict(os.environ))").only()
    need("hunter2" not in str(seen), "a variable of the evaluator has passed")
    need(set(seen) <= allowed, f"not on the list: {sorted(set(seen) - allowed)}")
    return f"{len(seen)} variables"


@check(CHECKS)
def no_secret_is_in_the_memory_that_the_worker_started_with(stage: Stage) -> None:
    """A secret of the evaluator's environment is not in the worker's memory of its start, nor in its guard's."""
    code = """
    def holds(pid, name):
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return b"hunter2-" + TAIL in file.read()
    TAIL = b"xyz"
    tell([attempt(lambda: holds(p, n)) for p in ("self", os.getppid()) for n in ("environ", "cmdline")])
    """
    with _variables(SECRET_TOKEN="hunter2-xyz"):
        seen = stage.play(code).only()
    need(True not in seen, f"it is in (environ, cmdline) of (itself, its parent): {seen}")


@check(CHECKS)
def only_the_streams_and_the_channel_are_open(stage: Stage) -> None:
    """The worker holds descriptors 0, 1 and 2, one socket and the file that came over it, whatever the evaluator had open."""
    code = """
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink("/proc/self/fd/" + name)
        except OSError:
            pass  # the descriptor of the listing itself
    tell(found)
    """
    secret = os.open(stage.secret, os.O_RDWR)
    reader, writer = os.pipe()
    try:
        for descriptor in (secret, reader, writer):
            os.set_inheritable(descriptor, True)
        seen = stage.play(code).only()
    finally:
        for descriptor in (secret, reader, writer):
            os.close(descriptor)
    others = [target for name, target in seen.items() if name not in ("0", "1", "2")]
    need({"0", "1", "2"} <= set(seen), f"a standard stream is missing: {seen}")
    sockets = [target for target in others if target.startswith("socket:")]
    need(len(others) == 2 and len(sockets) == 1, f"beside the standard streams: {others}")
    need(stage.secret.name not in str(others), f"the evaluator's file was inherited: {others}")


@check(CHECKS)
def standard_input_is_empty(stage: Stage) -> None:
    """Reading the standard input gives nothing, at once."""
    need(stage.play("tell(sys.stdin.read())", seconds=30).only() == "", "there was something to read")


@check(CHECKS)
def the_order_of_sets_repeats(stage: Stage) -> None:
    """Python's hash seed is fixed by the spec: the same seed gives the same order of sets, another one another."""
    seen = [stage.play("tell(hash('scratch'))", seed=seed).only() for seed in (3, 3, 4)]
    need(seen[0] == seen[1], "the same seed gave two orders")
    need(seen[0] != seen[2], "two seeds gave the same order")


@check(CHECKS)
def the_number_of_threads_is_told(stage: Stage) -> None:
    """Numerical libraries are told how many threads to use."""
    seen = stage.play("tell([os.environ.get(n) for n in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS')])", threads=3).only()
    need(seen == ["3", "3"], f"told {seen} instead of 3")


@check(CHECKS)
def home_is_an_empty_folder_that_can_be_written(stage: Stage) -> None:
    """Home, working folder and temporary folder are the scratch folder: it holds nothing that lasts, and can be written."""
    code = """
    import tempfile
    home = os.path.expanduser("~")
    listed = [n for n in os.listdir(home) if n != "checkpoint"]
    open(os.path.join(home, "mine"), "w").write("x" * 1000)
    tell([os.path.realpath(p) for p in (home, os.getcwd(), tempfile.gettempdir())])
    tell([listed, os.path.getsize(os.path.join(home, "mine"))])
    """
    told = stage.play(code).told
    need(len(told) == 2, "its folders cannot be written")
    need(len(set(told[0])) == 1, f"home, working folder and temporary folder are {told[0]}")
    need(told[1] == [[], 1000], f"it held {told[1]}")


@check(CHECKS)
def the_image_cache_can_be_mapped(stage: Stage) -> None:
    """The images are there under the name that the tier gives, and hold what the evaluator's file holds."""
    code = """
    import hashlib, mmap
    with mmap.mmap(int(os.path.basename(IMAGES)), 0, prot=mmap.PROT_READ) as mapped:
        tell(hashlib.sha256(mapped).hexdigest())
    """
    seen = stage.play(code).only()
    need(seen == hashlib.sha256(stage.images.read_bytes()).hexdigest(), "the images differ from the evaluator's")


@check(CHECKS)
def weights_are_shown_where_there_are_any(stage: Stage) -> None:
    """The folder of pretrained weights is TORCH_HOME where there is one, and TORCH_HOME is not set where there is none."""
    code = """
    home = os.environ.get("TORCH_HOME")
    tell([home is None, home and attempt(lambda: open(os.path.join(home, "b4.pth")).read())])
    """
    need(stage.play(code, weights=stage.weights).only() == [False, "weights"], "the weights cannot be read")
    need(stage.play(code).only() == [True, None], "TORCH_HOME is set though there are no weights")


@check(CHECKS)
def large_libraries_can_be_imported(stage: Stage) -> str:
    """numpy is there and computes in threads: the room holds what the interpreter needs."""
    code = """
    import numpy as np, threading, multiprocessing, sqlite3, ssl
    a = np.ones((200, 200))
    found = []
    threads = [threading.Thread(target=lambda: found.append(float((a @ a)[0, 0]))) for _ in range(3)]
    [t.start() for t in threads]; [t.join() for t in threads]
    tell([found, np.__version__])
    """
    found, version = stage.play(code).only()
    need(found == [200.0] * 3, f"three threads computed {found}")
    return f"numpy {version}"


@check(CHECKS)
def shared_memory_serves_loaders_with_workers(stage: Stage) -> None:
    """Processes that the worker forks exchange data through shared memory and pipes, as data loaders do."""
    code = """
    import multiprocessing as mp
    from multiprocessing import shared_memory
    block = shared_memory.SharedMemory(create=True, size=1 << 20)
    def fill():
        block.buf[:4] = b"done"
    child = mp.get_context("fork").Process(target=fill)
    child.start(); child.join(30)
    tell(bytes(block.buf[:4]).decode())
    block.close(); block.unlink()
    """
    need(stage.play(code).only() == "done", "a forked process could not fill shared memory")


@check(CHECKS)
def nothing_passes_from_one_run_to_the_next_through_home(stage: Stage) -> None:
    """A file that one run leaves in its home is not found by the next."""
    mark = secrets.token_hex(6)
    code = f"""
    home = os.path.expanduser("~")
    tell(attempt(lambda: os.path.exists(os.path.join(home, {mark!r}))))
    open(os.path.join(home, {mark!r}), "w").write("state")
    """
    seen = [stage.play(code).only() for _ in range(2)]
    need(seen == [False, False], "the second run found the first one's file")
