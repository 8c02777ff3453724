"""The stacks that a worker writes before a limit: they harm no thread that goes on meanwhile."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from evaluator.sandbox.stacks import TIMEOUT, split_stacks
from evaluator.worker.stacks import HEADER

BEGIN = """
    import os, sys, threading, time
    from evaluator.worker.stacks import stacks_before

    def deep(levels):
        a = b = c = d = e = f = g = h = levels
        return deep(levels - 1) if levels else 0
"""


def python(code: str) -> tuple[int, str, str]:
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(BEGIN) + textwrap.dedent(code)], capture_output=True, text=True, timeout=120
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.parametrize(
    "depth", [pytest.param(5, marks=pytest.mark.endurance), 100, pytest.param(300, marks=pytest.mark.endurance)]
)
def test_code_that_calls_deep_functions_goes_on_while_its_stacks_are_written(depth):
    """Python's own watchdog ends such a process with SIGSEGV after 1 to 40 times at 100 and 300 levels."""
    status, _, err = python(f"""
        for _ in range(200):
            # Long enough for the watchdog, which writes after 90 ms, not to come.
            with stacks_before(0.105, ahead=0.1):
                end = time.monotonic() + 0.02
                while time.monotonic() < end:
                    deep({depth})
    """)
    assert status == 0
    assert err.count(HEADER.decode()) > 20
    assert "in deep" in err


def test_nothing_is_written_where_the_block_ends_in_time_or_has_no_limit():
    assert python("""
        for limit in (0.0, 0.3, float("inf")):
            with stacks_before(limit, ahead=0.1):
                time.sleep(0.1)
        time.sleep(0.3)
    """) == (0, "", "")


def test_an_exception_that_a_submission_sends_to_its_own_thread_does_not_go_to_the_thread_that_writes():
    """A thread that was made and does not run yet is listed under the number of the thread that made it."""
    assert python("""
        import ctypes
        class Wake(Exception): pass
        me, came = threading.get_ident(), 0
        for _ in range(200):
            with stacks_before(60):
                try:
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(me), ctypes.py_object(Wake))
                    end = time.monotonic() + 0.1
                    while time.monotonic() < end:
                        pass
                except Wake:
                    came += 1
        print(came)
    """) == (0, "200\n", "")


def test_a_fork_leaves_the_thread_to_the_parent_alone():
    status, out, err = python("""
        with stacks_before(0.5, ahead=0.2):
            for _ in range(20):
                child = os.fork()
                if not child:
                    with stacks_before(0.2, ahead=0.1):
                        pass
                    if not os.fork():  # nothing of the parent's goes on here, and nothing waits for it
                        time.sleep(0.6)
                        os._exit(0)
                    os.wait()
                    os._exit(0)
            for _ in range(20):
                assert os.wait()[1] == 0
            print(threading.active_count())
    """)
    assert (status, out) == (0, "1\n")
    assert err.count(TIMEOUT) == 1


def test_a_limit_that_was_cleared_writes_nothing_in_the_middle_of_the_next():
    status, _, err = python("""
        for _ in range(300):
            with stacks_before(0.012, ahead=0.009):
                time.sleep(0.003)
        time.sleep(0.1)  # what was being written as the last block ended is written
        print("between", file=sys.stderr, flush=True)
        with stacks_before(0.3, ahead=0.2):
            time.sleep(0.25)
    """)
    assert status == 0
    assert err.partition("between")[2].count(TIMEOUT) == 1


def test_the_thread_that_writes_is_cut_out_of_the_stacks():
    _, _, err = python("""
        with stacks_before(0.3, ahead=0.2):
            time.sleep(0.25)
    """)
    assert "in _write" in err
    before, stacks = split_stacks("printed\n" + err, TIMEOUT)
    assert before == "printed\n"
    assert "in _write" not in stacks
    assert "in <module>" in stacks
