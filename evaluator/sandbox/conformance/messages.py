"""Checks of what passes between the two halves: the channel's frames, and the output."""

from __future__ import annotations

import os
import time

from evaluator.sandbox.channel import ChannelEnded, ChannelTimeout
from evaluator.sandbox.conformance.check import Check, check
from evaluator.sandbox.conformance.stage import Stage, marked, need
from evaluator.sandbox.logs import HEAD_CAP, TAIL_CAP

CHECKS: list[Check] = []
CHANNEL = """
import socket
CHANNEL = next(int(n) for n in os.listdir("/proc/self/fd") if n not in ("0", "1", "2") and attempt(
    lambda: os.readlink("/proc/self/fd/" + n)).startswith("socket"))
"""


@check(CHECKS)
def a_worker_starts_and_answers(stage: Stage) -> str:
    """A worker starts, imports what it is told to, answers, and is ended; how long the start takes is stated."""
    stage.play("pass")
    times = []
    for _ in range(3):
        before = time.perf_counter()
        with stage.cast("tell(1)") as actor:
            times.append(time.perf_counter() - before)
            need(actor.answer() == "done", "the worker did not answer")
            need(actor.end().told == [1], "what it printed is lost")
    return f"ready in {1000 * sorted(times)[1]:.0f} ms (median of 3; limits held by {actor.worker.limited_by})"


@check(CHECKS)
def an_error_of_the_import_is_told(stage: Stage) -> None:
    """An exception in the submission's import comes back with its type and message, and so does SystemExit."""
    for code, text in (("raise ValueError('a bad day')", "a bad day"), ("sys.exit('leaving')", "leaving")):
        outcome = stage.play(code)
        need(outcome.how == "failed" and text in outcome.message, f"it is reported as {outcome.how}: {outcome.message}")


@check(CHECKS)
def a_closed_channel_is_told(stage: Stage) -> None:
    """A worker that closes its channel and lives on is reported as an ended channel, and is ended."""
    outcome = stage.play(CHANNEL + "os.close(CHANNEL)\ntime.sleep(600)\n", seconds=30)
    need(outcome.how == "ended", f"the program {outcome.how}: {outcome.message}")
    need(outcome.ended.killed and not outcome.left, f"its end is reported as {outcome.ended}")


@check(CHECKS)
def a_frame_of_four_gigabytes_is_refused(stage: Stage) -> None:
    """A length beyond the cap is refused at once, before its bytes are waited for."""
    outcome = stage.play(CHANNEL + "os.write(CHANNEL, b'\\xff' * 8)\ntime.sleep(600)\n", seconds=30)
    need(outcome.how == "refused", f"the program {outcome.how}: {outcome.message}")


@check(CHECKS)
def a_frame_that_is_no_message_is_refused(stage: Stage) -> None:
    """JSON that does not parse, and a message of no known kind, are refused."""
    for header in (b"{]", b'{"t":"bonus"}', b'{"t":"done","extra":1}', b"[1]"):
        frame = len(header).to_bytes(4, "big") + bytes(4) + header
        outcome = stage.play(CHANNEL + f"os.write(CHANNEL, {frame!r})\ntime.sleep(600)\n", seconds=30)
        need(outcome.how == "refused", f"{header!r}: the program {outcome.how}: {outcome.message}")


@check(CHECKS)
def half_a_frame_is_waited_for_until_the_deadline(stage: Stage) -> None:
    """Half a frame and then silence is a timeout, not a hang; half a frame and then death is a death."""
    half = (8).to_bytes(4, "big") + bytes(4) + b'{"t"'
    outcome = stage.play(CHANNEL + f"os.write(CHANNEL, {half!r})\ntime.sleep(600)\n", seconds=0.5)
    need(outcome.how == "timeout", f"then silence: the program {outcome.how}: {outcome.message}")
    outcome = stage.play(CHANNEL + f"os.write(CHANNEL, {half!r})\nos.kill(os.getpid(), 9)\n")
    need(outcome.how == "ended", f"then death: the program {outcome.how}: {outcome.message}")


@check(CHECKS)
def a_worker_that_does_not_read_is_bounded(stage: Stage) -> None:
    """Sending to a worker that does not read ends at its deadline, and its memory is not the evaluator's."""
    with stage.cast("time.sleep(600)") as actor:
        before = time.monotonic()
        try:
            actor.worker.channel.send({"t": "load"}, bytes(16 << 20), deadline=before + 0.5)
        except ChannelTimeout:
            took = time.monotonic() - before
        else:
            need(False, "16 MiB were taken by a worker that does not read")
        need(took < 30, f"it took {took:.1f} s instead of 0.5")


@check(CHECKS)
def sending_to_a_dead_worker_is_told(stage: Stage) -> None:
    """Sending to a worker that is gone is reported as an ended channel; no signal reaches the evaluator."""
    with stage.cast("os.kill(os.getpid(), 9)") as actor:
        actor.answer()
        time.sleep(0.1)
        try:
            for _ in range(20):
                actor.worker.channel.send({"t": "load"}, bytes(1 << 20), deadline=time.monotonic() + 10)
        except ChannelEnded:
            return
    need(False, "20 MiB were sent to a dead worker")


@check(CHECKS)
def output_forges_no_message(stage: Stage) -> None:
    """Whole frames written to the two output streams are output; the answer is the channel's."""
    header = b'{"t":"failed","error":"x","message":"forged","trace":""}'
    frame = len(header).to_bytes(4, "big") + bytes(4) + header
    outcome = stage.play(f"os.write(1, {frame!r})\nos.write(2, {frame!r})\n")
    need(outcome.how == "done", f"the program {outcome.how}: {outcome.message}")
    need(outcome.log.count("forged") == 2, "the output is lost")


@check(CHECKS)
def output_is_capped_and_its_ends_are_kept(stage: Stage) -> str:
    """Of too much output the first and the last bytes are kept, and what fell out between them is counted."""
    size = 6 << 20
    code = f"""
    os.write(1, b"FIRST")
    for _ in range({size >> 16}):
        os.write(1, b"x" * (1 << 16))
    os.write(1, b"LAST")
    """
    outcome = stage.play(code)
    log = outcome.log
    dropped = size + 9 - HEAD_CAP - TAIL_CAP
    need(outcome.how == "done", f"the program {outcome.how}: {outcome.message}")
    need("FIRST" in log[:2000] and "LAST" in log[-2000:], "the first or the last bytes are lost")
    need(len(log) < HEAD_CAP + TAIL_CAP + 1000, f"{len(log)} characters are kept")
    counted = int(log[log.index("[... ") + 5 :].split()[0]) if "[... " in log else 0
    # A tier may have a few words of its own in the log.
    need(dropped <= counted < dropped + 10_000, f"{counted} bytes are said to be left out; it was {dropped}")
    return f"{counted} bytes left out, and said so"


@check(CHECKS)
def the_last_words_before_a_crash_are_kept(stage: Stage) -> None:
    """What was written right before a crash or an exit is in the log, from both streams."""
    for end in ("ctypes.string_at(0)", "os._exit(1)", "os.kill(os.getpid(), 9)"):
        log = stage.play(f"os.write(1, b'out-word')\nos.write(2, b'err-word')\n{end}\n").log
        need("out-word" in log and "err-word" in log, f"before {end} the log is {log[-200:]!r}")


@check(CHECKS)
def output_of_any_bytes_is_text(stage: Stage) -> None:
    """Bytes that are no text do not break the log."""
    log = stage.play("os.write(1, bytes(range(256)) * 4)\nos.write(1, b'after')\n").log
    need("after" in log, f"the log ends at {log[-50:]!r}")


@check(CHECKS)
def a_worker_that_is_killed_from_outside_is_told(stage: Stage) -> None:
    """The evaluator survives it that something else kills the worker, and learns the signal."""
    with stage.cast("time.sleep(600)") as actor:
        actor.await_processes(1)
        for pid in marked(actor.mark):
            os.kill(pid, 9)
        need(actor.answer() == "ended", "the death is not reported by the channel")
        time.sleep(0.1)
        ended = actor.end().ended
    need(ended.signal == 9 and not ended.killed, f"it is reported as {ended}")
