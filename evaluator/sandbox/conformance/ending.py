"""Checks of the end: everything of a worker is gone, and how it went is reported as it was."""

from __future__ import annotations

import os
import signal
import threading
import time

from evaluator.sandbox.conformance.check import Check, check
from evaluator.sandbox.conformance.stage import SMALL, Outcome, Stage, need
from evaluator.sandbox.guard import children

CHECKS: list[Check] = []


def _killed_whole(stage: Stage, code: str, processes: int) -> str:
    """Play until ``processes`` run, let the time pass, and see that none is left."""
    with stage.cast(code) as actor:
        actor.await_processes(processes)
        need(actor.answer(0.2) == "timeout", "the program ended by itself")
        outcome = actor.end()
    need(not outcome.left, f"{len(outcome.left)} of {processes} processes outlived the end of the run")
    need(outcome.ended.killed and outcome.ended.signal is None, f"our own kill is reported as {outcome.ended}")
    return f"gone {1000 * outcome.end_seconds:.0f} ms after the order"


@check(CHECKS)
def a_timeout_kills_grandchildren(stage: Stage) -> str:
    """When a run is ended, the children of its children are gone too."""
    return _killed_whole(stage, "if os.fork() == 0:\n    os.fork()\ntime.sleep(600)\n", 3)


@check(CHECKS)
def a_timeout_kills_what_left_the_session(stage: Stage) -> str:
    """When a run is ended, a child with a session and a process group of its own is gone too."""
    return _killed_whole(stage, "if os.fork() == 0:\n    os.setsid()\n    os.fork()\ntime.sleep(600)\n", 3)


@check(CHECKS)
def a_timeout_kills_daemons(stage: Stage) -> str:
    """When a run is ended, processes that forked twice and have no parent any more are gone too."""
    return _killed_whole(stage, "daemon() or daemon() or daemon(session=False)\ntime.sleep(600)\n", 4)


@check(CHECKS)
def a_timeout_kills_what_ignores_signals(stage: Stage) -> str:
    """When a run is ended, a worker and a daemon that ignore every signal that can be ignored are gone."""
    code = """
    for number in range(1, 65):
        attempt(lambda: signal.signal(number, signal.SIG_IGN))
    daemon()
    while True:
        time.sleep(1)
    """
    return _killed_whole(stage, code, 2)


@check(CHECKS)
def a_timeout_kills_what_is_stopped(stage: Stage) -> str:
    """When a run is ended, stopped processes are gone too."""
    return _killed_whole(stage, "if daemon() or os.fork() == 0:\n    os.kill(os.getpid(), signal.SIGSTOP)\ntime.sleep(600)\n", 3)


@check(CHECKS)
def a_tree_that_keeps_forking_is_killed(stage: Stage) -> str:
    """A chain of processes in which each starts the next and ends does not outrun the kill."""
    code = """
    for _ in range(4):
        if daemon():
            while True:
                if os.fork():
                    os._exit(0)
                time.sleep(0.002)
    time.sleep(600)
    """
    with stage.cast(code, SMALL) as actor:
        actor.await_processes(2)
        actor.answer(0.5)
        outcome = actor.end()
    need(not outcome.left, f"{len(outcome.left)} processes outlived the end of the run")
    return f"gone {1000 * outcome.end_seconds:.0f} ms after the order"


@check(CHECKS)
def a_worker_that_exits_leaves_no_daemon(stage: Stage) -> None:
    """When the worker exits by itself, what it started is gone when its end has been reported."""
    with stage.cast("if daemon():\n    time.sleep(600)\ntime.sleep(0.3)\nos._exit(0)\n") as actor:
        need(actor.answer() == "ended", "the channel is not reported as ended")
        outcome = actor.end()
    need(not outcome.left, f"{len(outcome.left)} processes outlived the worker")
    need(outcome.ended.code == 0, f"an exit with 0 is reported as {outcome.ended}")


@check(CHECKS)
def a_daemon_that_holds_channel_and_output_holds_nothing_up(stage: Stage) -> str:
    """A daemon that keeps the worker's channel and output open neither delays the end nor survives it."""
    with stage.cast("if daemon():\n    time.sleep(600)\nos._exit(3)\n") as actor:
        actor.answer(0.5)
        outcome = actor.end()
    need(not outcome.left, f"{len(outcome.left)} processes outlived the worker")
    need(outcome.ended.code == 3, f"an exit with 3 is reported as {outcome.ended}")
    return f"gone {1000 * outcome.end_seconds:.0f} ms after the order"


def _death(stage: Stage, code: str) -> Outcome:
    with stage.cast(code) as actor:
        need(actor.answer() == "ended", "the death of the worker is not reported by its channel")
        time.sleep(0.1)  # the channel ends a moment before the process does
        return actor.end()


@check(CHECKS)
def a_fast_death_by_signal_is_no_timeout(stage: Stage) -> None:
    """A worker that a signal ends at once is reported with that signal, not as killed by us."""
    ended = _death(stage, "os.kill(os.getpid(), signal.SIGKILL)\n").ended
    need(ended.signal == signal.SIGKILL and not ended.killed and ended.code is None, f"SIGKILL by itself is reported as {ended}")


@check(CHECKS)
def a_crash_is_told_with_its_signal(stage: Stage) -> None:
    """A segmentation fault is signal 11 and no exit status."""
    ended = _death(stage, "ctypes.string_at(0)\n").ended
    need(ended.signal == signal.SIGSEGV and ended.code is None and not ended.killed, f"a segmentation fault is reported as {ended}")


@check(CHECKS)
def an_exit_status_is_no_signal(stage: Stage) -> None:
    """An exit with status 139, which shells use for signal 11, stays an exit."""
    ended = _death(stage, "os._exit(139)\n").ended
    need(ended.code == 139 and ended.signal is None and not ended.killed, f"an exit with 139 is reported as {ended}")


@check(CHECKS)
def an_exit_with_zero_is_told(stage: Stage) -> None:
    """A worker that exits with 0 in the middle is reported as an exit with 0, not as success and not as killed."""
    ended = _death(stage, "os._exit(0)\n").ended
    need(ended.code == 0 and ended.signal is None and not ended.killed, f"an exit with 0 is reported as {ended}")


@check(CHECKS)
def ending_twice_is_ending_once(stage: Stage) -> None:
    """The end may be asked for again, and says the same."""
    with stage.cast("os._exit(7)\n") as actor:
        actor.answer()
        time.sleep(0.1)
        first, second = actor.worker.end(), actor.worker.end()
    need(first == second, f"first {first}, then {second}")
    need(first.code == 7, f"an exit with 7 is reported as {first}")


@check(CHECKS)
def a_stopped_guard_is_no_way_out(stage: Stage) -> str:
    """A worker that tries to stop its parent is ended all the same, whole."""
    code = "daemon()\nattempt(lambda: os.kill(os.getppid(), signal.SIGSTOP))\ntime.sleep(600)\n"
    with stage.cast(code) as actor:
        actor.await_processes(2)
        actor.answer(0.3)
        outcome = actor.end()
    need(not outcome.left, f"{len(outcome.left)} of 2 processes outlived the end of the run")
    return f"gone {1000 * outcome.end_seconds:.0f} ms after the order"


KILLS_ITS_GUARD = """
if not daemon():
    time.sleep(0.3)
    guard = os.getppid()
    attempt(lambda: os.kill(guard, signal.SIGKILL))
time.sleep(600)
"""


@check(CHECKS)
def a_killed_guard_is_noticed(stage: Stage) -> str:
    """Where a worker can kill its guard, the worker's session is gone, and if more may be left the end says so."""
    with stage.cast(KILLS_ITS_GUARD) as actor:
        actor.await_processes(1)
        actor.answer(2.0)
        outcome = actor.end()
    need(not (outcome.left and outcome.ended.guarded), f"{len(outcome.left)} processes live on, and the end is called guarded")
    need(len(outcome.left) <= 1, "the worker itself lives on")
    return "nothing left" if not outcome.left else "a daemon lives on, and the result says that the end is not vouched for"


@check(CHECKS, "outliving")
def a_killed_guard_frees_nothing(stage: Stage) -> None:
    """Whatever the worker kills, nothing of it outlives the run."""
    with stage.cast(KILLS_ITS_GUARD) as actor:
        actor.await_processes(1)
        actor.answer(2.0)
        outcome = actor.end()
    need(not outcome.left, f"{len(outcome.left)} processes live on")


@check(CHECKS)
def scratch_is_gone_whatever_its_rights(stage: Stage) -> None:
    """The worker's home is gone afterwards, also where the worker filled it and took all rights from its folders."""
    code = """
    home = os.path.expanduser("~")
    tell(home)
    for place in (home, os.path.join(home, "checkpoint")):
        deep = os.path.join(place, "a", "b", "c")
        attempt(lambda: os.makedirs(deep))
        attempt(lambda: open(os.path.join(deep, "file"), "w").write("x"))
        attempt(lambda: os.symlink("/", os.path.join(place, "link")))
        for folder in (deep, os.path.dirname(deep), os.path.dirname(os.path.dirname(deep))):
            attempt(lambda: os.chmod(folder, 0))
    attempt(lambda: os.chmod(home, 0))
    """
    outcome = stage.play(code)
    need(outcome.how == "done", f"the program {outcome.how}: {outcome.message}")
    home = outcome.only()
    need(not os.path.lexists(home), f"{home} is still there")


@check(CHECKS)
def nothing_of_ours_is_left(stage: Stage) -> None:
    """Six runs, ended in six ways, leave the evaluator with no more descriptors, threads and child processes than before."""
    stage.play("pass")  # what is opened once for all is no leak

    def ours() -> dict[str, int]:
        found = {"threads": threading.active_count(), "children": len(children(os.getpid()))}
        if os.path.exists("/proc/self/fd"):
            found["descriptors"] = len(os.listdir("/proc/self/fd"))
        return found

    before = ours()
    for code in ("pass", "os._exit(1)", "time.sleep(600)", "os.kill(os.getpid(), 9)", "raise ValueError", KILLS_ITS_GUARD):
        stage.play(code, seconds=1 if "sleep" in code else 60)
    after = ours()
    more = {name: f"{before[name]} -> {after[name]}" for name in before if after[name] > before[name]}
    need(not more, f"left behind: {more}")


@check(CHECKS)
def a_worker_that_cannot_start_leaves_nothing(stage: Stage) -> str:
    """A submission that is not there is an error of the start or of the import, never a hang, and leaves no process."""
    missing = stage.folder / "missing"
    try:
        with stage.cast("pass", weights=missing) as actor:
            how = actor.answer()
            actor.end()
    except OSError as error:
        return f"refused at the start: {str(error)[:80]}"
    need(how in ("done", "failed"), f"the worker answered with {how}")
    return "started without it"
