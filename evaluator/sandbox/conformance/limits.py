"""Checks of limits: what breaks one is ended or refused, and reported with the figure that broke it."""

from __future__ import annotations

import os
import resource

from evaluator.sandbox.conformance.check import Check, check
from evaluator.sandbox.conformance.stage import Outcome, Stage, need
from evaluator.sandbox.limits import Limits

CHECKS: list[Check] = []
# What breaks a limit here goes a little beyond it and no further: a tier without limits must not cost the machine its memory.
TIGHT = Limits(memory=256 << 20, processes=40, disk=16 << 20, files=500)


def _broken(stage: Stage, code: str, *limits: str) -> str:
    """Play until one of ``limits`` ends it, and see it reported with its figure."""
    outcome = stage.play(code, limits=TIGHT)
    breach = outcome.ended.breach
    need(outcome.how == "ended", f"the program {outcome.how}, with {outcome.told}")
    need(breach is not None, f"the worker's end is reported as {outcome.ended}, without a limit")
    assert breach is not None
    need(breach.limit in limits, f"reported as {breach}")
    need(breach.seen >= breach.allowed == getattr(TIGHT, breach.limit), f"the figure is {breach.seen} of {breach.allowed}")
    need(not outcome.left, f"{len(outcome.left)} processes outlived the limit")
    return str(breach)


def _refused_or_broken(stage: Stage, code: str, limit: str, most: int) -> str:
    """The limit may be held by ending the worker, or by refusing what is over it; ``code`` tells how much it got, as it goes."""
    outcome = stage.play(code, limits=TIGHT)
    breach = outcome.ended.breach
    need(outcome.how in ("ended", "done"), f"the program {outcome.how}: {outcome.message}")
    if outcome.how == "ended":
        need(breach is not None and breach.limit == limit, f"the worker's end is reported as {outcome.ended}")
        assert breach is not None
        need(breach.seen >= breach.allowed == getattr(TIGHT, limit), f"the figure is {breach.seen} of {breach.allowed}")
        return str(breach)
    got = max((value for value in outcome.told if isinstance(value, int)), default=0)
    need(got <= most, f"the worker got {got} of at most {most}")
    return f"refused after {got}"


def _held_by(outcome: Outcome) -> None:
    need(outcome.how == "done", f"the program {outcome.how}: {outcome.message} {outcome.ended}")


@check(CHECKS)
def memory_of_its_own_is_limited(stage: Stage) -> str:
    """A worker that fills more memory than it may is ended, with the figure."""
    return _broken(stage, "kept = []\nfor _ in range(160):\n    kept.append(b'x' * (4 << 20))\n    time.sleep(0.005)\n", "memory")


@check(CHECKS)
def memory_of_the_whole_tree_is_limited(stage: Stage) -> str:
    """Children that stay below the limit one by one, and together do not, are ended with the worker."""
    code = """
    for _ in range(5):
        if os.fork() == 0:
            os.setsid()
            kept = []
            while len(kept) < 25:
                kept.append(b"x" * (4 << 20))
                time.sleep(0.02)
            time.sleep(600)
    for _ in range(5):
        pid, status = os.wait()
    os.kill(os.getpid(), signal.SIGKILL)
    """
    return _broken(stage, code, "memory")


@check(CHECKS)
def shared_memory_is_limited(stage: Stage) -> str:
    """Memory that is shared between processes, and belongs to none, counts too."""
    code = """
    import mmap
    kept = []
    for _ in range(160):
        block = mmap.mmap(-1, 4 << 20)
        block.write(b"x" * (4 << 20))
        kept.append(block)
        time.sleep(0.005)
    """
    return _broken(stage, code, "memory")


@check(CHECKS, "files")
def files_in_memory_are_limited(stage: Stage) -> str:
    """Files in /dev/shm, which are memory that no process maps, are refused, or end the worker by its memory limit."""
    code = """
    with open("/dev/shm/fill", "wb") as file:
        for block in range(512):
            if isinstance(attempt(lambda: file.write(b"x" * (1 << 20)) and file.flush()), str):
                break
            tell(block)
            time.sleep(0.002)
    """
    return _refused_or_broken(stage, code, "memory", TIGHT.memory >> 20)


@check(CHECKS)
def the_mapped_cache_is_not_counted(stage: Stage) -> str:
    """Reading all of a mapped image file that is larger than the memory limit is no breach: the cache is shared, not owned."""
    big = stage.folder / "pool.npy"
    with open(big, "wb") as file:
        file.write(b"\x93NUMPY".ljust(4096, b"x"))
        for _ in range(TIGHT.memory * 3 // 2 >> 20):
            file.write(b"x" * (1 << 20))
    code = """
    import mmap
    with mmap.mmap(int(os.path.basename(IMAGES)), 0, prot=mmap.PROT_READ) as mapped:
        tell(sum(mapped[i + 4095] == 120 for i in range(0, len(mapped), 4096)))
    time.sleep(0.5)
    """
    outcome = stage.play(code, limits=TIGHT, images=big)
    _held_by(outcome)
    need(outcome.only() == big.stat().st_size // 4096, "the file was not read whole")
    return f"{big.stat().st_size >> 20} MiB read, {TIGHT.memory >> 20} MiB allowed"


@check(CHECKS)
def processes_are_limited(stage: Stage) -> str:
    """More processes than allowed are refused, or end the worker."""
    code = """
    for number in range(120):
        pid = attempt(os.fork)
        if pid == 0:
            time.sleep(600)
        if isinstance(pid, str):
            break
        tell(number + 1)
        time.sleep(0.01)
    time.sleep(0.5)
    """
    outcome = stage.play(code, limits=TIGHT)
    return _number_held(outcome)


@check(CHECKS)
def threads_are_limited(stage: Stage) -> str:
    """Threads count as processes do."""
    code = """
    import threading
    for number in range(120):
        if attempt(threading.Thread(target=time.sleep, args=(600,), daemon=True).start) is not None:
            break
        tell(number + 1)
        time.sleep(0.01)
    time.sleep(0.5)
    """
    outcome = stage.play(code, limits=TIGHT)
    return _number_held(outcome)


def _number_held(outcome: Outcome) -> str:
    breach = outcome.ended.breach
    got = max(outcome.told, default=0)
    # A watch looks twenty times a second, less often on a busy machine; a kernel's own limit lets nothing through.
    need(breach is not None or outcome.how == "done", f"the program {outcome.how}: {outcome.message} {outcome.ended}")
    need(got < 120, f"120 were started where {TIGHT.processes} are allowed")
    need(breach is None or breach.limit == "processes", f"reported as {breach}")
    need(breach is None or breach.seen > breach.allowed == TIGHT.processes, f"the figure is {breach}")
    return f"{breach}" if breach is not None else f"refused after {got}"


@check(CHECKS)
def a_fork_bomb_is_ended(stage: Stage) -> str:
    """Processes that all fork neither hold this machine up nor outlive the run."""
    # Ten doublings: enough to break any limit, and to be survived where a tier holds none.
    code = """
    if os.fork() == 0:
        for _ in range(10):
            attempt(os.fork)
    time.sleep(600)
    """
    outcome = stage.play(code, seconds=2, limits=TIGHT)
    need(not outcome.left, f"{len(outcome.left)} processes outlived the end of the run")
    return f"gone {1000 * outcome.end_seconds:.0f} ms after the order"


_FILL = """
    with open(os.path.join({folder}, "fill"), "wb") as file:
        for block in range(64):
            if isinstance(attempt(lambda: file.write(b"x" * (1 << 20)) and file.flush()), str):
                break
            tell(block)
            time.sleep(0.05)
    """


@check(CHECKS)
def the_disk_is_limited(stage: Stage) -> str:
    """More bytes in the scratch folder than allowed are refused, or end the worker."""
    code = _FILL.format(folder='os.path.expanduser("~")')
    return _refused_or_broken(stage, code, "disk", TIGHT.disk >> 20)


@check(CHECKS)
def the_checkpoint_folder_is_limited(stage: Stage) -> str:
    """The folder for checkpoints, which outlives a worker within its run, counts as scratch does."""
    code = """
    place = os.path.join(os.path.expanduser("~"), "checkpoint")
    os.makedirs(place, exist_ok=True)
    """
    return _refused_or_broken(stage, code + _FILL.format(folder="place"), "disk", TIGHT.disk >> 20)


@check(CHECKS)
def the_number_of_files_is_limited(stage: Stage) -> str:
    """More files and folders than allowed, empty ones too, are refused, or end the worker."""
    code = """
    home = os.path.expanduser("~")
    for number in range(1500):
        if isinstance(attempt(lambda: os.mkdir(os.path.join(home, str(number)))), str):
            break
        if number % 100 == 0:
            tell(number)
        time.sleep(0.001)
    """
    return _refused_or_broken(stage, code, "files", TIGHT.files)


@check(CHECKS)
def what_is_below_every_limit_is_left_alone(stage: Stage) -> str:
    """Three quarters of every limit are no breach, and cost no worker its life."""
    code = """
    import threading
    home = os.path.expanduser("~")
    kept = [b"x" * (4 << 20) for _ in range(32)]
    for _ in range(25):
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    with open(os.path.join(home, "file"), "wb") as file:
        file.write(b"x" * (12 << 20))
    for number in range(375):
        os.mkdir(os.path.join(home, str(number)))
    time.sleep(0.6)
    tell("alive")
    """
    outcome = stage.play(code, limits=TIGHT)
    _held_by(outcome)
    need(outcome.ended.breach is None, f"reported as {outcome.ended.breach}")
    return "alive"


@check(CHECKS)
def a_reserved_address_space_is_no_memory(stage: Stage) -> None:
    """Address space that is reserved and not used, as numerical libraries and CUDA do, is not limited."""
    code = "import mmap\nkept = mmap.mmap(-1, 1 << 34, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)\ntell(len(kept))\n"
    need(stage.play(code, limits=TIGHT).only() == 1 << 34, "16 GiB could not be reserved")


@check(CHECKS)
def no_core_is_left(stage: Stage) -> None:
    """A crash writes no core file."""
    seen = stage.play("import resource\ntell(resource.getrlimit(resource.RLIMIT_CORE)[0])\n").only()
    # 1 byte is no core either, and the kernel's sign that no program is to be started for it.
    need(seen <= 1, f"a core file of {seen} bytes may be written")


@check(CHECKS)
def a_worker_may_open_half_as_many_files_as_the_evaluator(stage: Stage) -> None:
    """The kernel counts descriptors that wait in sockets per user: what it leaves there must not keep files from other workers."""
    soft, hard = stage.play("import resource\ntell(list(resource.getrlimit(resource.RLIMIT_NOFILE)))\n").only()
    ours = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    need(0 < soft <= 1024 and soft <= hard, f"{soft} and at most {hard} files may be open; expected 1,024 or fewer at first")
    need(ours == resource.RLIM_INFINITY or hard <= ours // 2, f"{hard} files may be open, and the evaluator may open {ours}")


@check(CHECKS)
def the_evaluators_own_limits_stay(stage: Stage) -> None:
    """What a tier limits in its workers does not stay with the evaluator."""
    kinds = [getattr(resource, name) for name in ("RLIMIT_NPROC", "RLIMIT_NOFILE", "RLIMIT_CORE") if hasattr(resource, name)]
    before = [resource.getrlimit(kind) for kind in kinds], os.nice(0)
    stage.play("pass", limits=TIGHT)
    need(before == ([resource.getrlimit(kind) for kind in kinds], os.nice(0)), "the evaluator's limits have changed")
