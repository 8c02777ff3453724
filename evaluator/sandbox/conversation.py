"""What is said between the evaluator and one worker after another: orders out, requests and progress in, until either side ends it.

A conversation owns the worker: it starts it, has the submission loaded, serves its requests by the track's handlers under a
deadline, and knows why a worker that is gone is gone. It knows no track: schema, handlers and advice are handed in.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluator.errors import Verdict
from evaluator.sandbox.channel import ChannelEnded, ChannelTimeout, Message, ProtocolError, Schema
from evaluator.sandbox.clock import Clock
from evaluator.sandbox.readonly import Content
from evaluator.sandbox.stacks import CRASH, TIMEOUT, own_stacks, split_stacks
from evaluator.sandbox.tier import Ended, Sandbox, Worker, WorkerSpec
from evaluator.text import visible_lines
from evaluator.words import number

PROGRESS_AT_ONCE, PROGRESS_PER_SECOND = 50, 20
"""How many progress messages are passed on: so many at once, and so many per second. Further messages are dropped."""

FREE_IMPORT_SECONDS = 10.0
"""Importing PyTorch takes 2 to 5 s. What goes beyond this allowance is the submission's own work, and charged to its clock."""

IMPORTING = "importing the submission"
"""What a worker is doing while it loads, in reasons and progress."""

LEAVING = "return from the hook instead of calling exit()"
"""What a submission should do that ended its process."""

LEAVING_EARLY = "a module that is imported must not call exit(); put such a call under `if __name__ == '__main__':`"
"""The same, for a submission that ended while it was imported."""

ANSWERS = Schema(optional={"done": {"class": str, "saves": bool, "loads": bool, "clock": bool}})
"""What a ``done`` may say in every track. After loading: the class's name, and which checkpoint hooks it has. After a phase:
whether the submission has read its clock."""

Order = tuple[dict[str, Any], bytes]
"""A message to the worker and its binary part. A ``Path`` or a ``Content`` in the message is a file that the worker is given with
it, and not before."""

Handler = Callable[[Message, str], Order]
"""Answers a worker's request: called with the request and with what the worker is doing (a phase or hook); gives the answer.

Raises ``ProtocolError`` for a request that no sound worker makes.
"""

Progress = Callable[[str, float], None]
"""Called with a phase's name and the share of it that is done, 0 to 1."""


class Stopped(Exception):
    """The conversation cannot go on; carries the verdict, its reason in words, and the participant's traceback if there is one.

    ``full_trace`` is the traceback with the frames of the worker, where ``trace`` leaves some out; else empty.
    """

    def __init__(self, verdict: Verdict, reason: str, trace: str = "", full_trace: str = "") -> None:
        super().__init__(reason)
        self.verdict, self.reason, self.trace, self.full_trace = verdict, reason, trace, full_trace


@dataclass(frozen=True)
class Terms:
    """What one track and one run lay down for their conversations.

    Attributes:
        track: the name under which the worker knows the track's hooks.
        worker: what a worker may see, use and write.
        load_seconds: limit of starting a worker and importing the submission.
        free_import_seconds: what importing may take without being charged to a clock.
        restart: the worker is restarted between phases, so the submission needs both checkpoint hooks.
        schema: the track's messages, beside those that every worker may send.
        handlers: per kind of request, what answers it.
        printed: called with what the worker prints, as it comes.
        advice: given a phase or hook, says what its time limit is and what a participant can do about it.
    """

    track: str
    worker: WorkerSpec
    load_seconds: float
    free_import_seconds: float = FREE_IMPORT_SECONDS
    restart: bool = False
    schema: Schema = field(default_factory=Schema)
    handlers: Mapping[str, Handler] = field(default_factory=dict)
    printed: Callable[[str], None] = lambda text: None
    advice: Callable[[str], str] = lambda what: "see the time limits of the round"


class Conversation:
    """The worker of a run, or its workers one after another.

    Args:
        terms: of the track and the run.
        sandbox: starts workers.
        progress: told what the worker says of its progress.

    Attributes:
        facts: what the worker told of the submission's class when it was loaded: ``class``, ``saves``, ``loads``.
        logs: of the workers that have ended.
        guarded: whether a guard stood by to the end of every worker so far.
        limited_by: what holds the worker's limits; empty before the first start.
    """

    def __init__(self, terms: Terms, sandbox: Sandbox, progress: Progress = lambda what, share: None) -> None:
        self.terms, self.sandbox, self.progress = terms, sandbox, progress
        self.facts: dict[str, Any] = {}
        self.logs: list[str] = []
        self.guarded = True
        self.limited_by = ""
        self._worker: Worker | None = None

    def load(self, clock: Clock) -> None:
        """Start a worker and have it import the submission.

        Args:
            clock: charged with the seconds of the import beyond those that are free. Starting the worker is on no clock.

        Raises:
            Stopped: the worker cannot be started or greets wrongly, or the submission cannot be used.
        """
        deadline = time.monotonic() + self.terms.load_seconds
        try:
            self._worker = self.sandbox.start(self.terms.worker)
        except OSError as error:
            raise Stopped(Verdict.INFRASTRUCTURE, f"the worker could not be started: {error}") from error
        self.limited_by = self._worker.limited_by
        self._worker.follow(self.terms.printed)
        numbered = Schema(optional={kind: {"n": int} for kind in self.terms.handlers})
        self._worker.channel.allow(ANSWERS | numbered | self.terms.schema)
        try:
            hello = self._worker.channel.receive(deadline)
        except (ChannelTimeout, ChannelEnded, ProtocolError) as error:
            self.end()
            raise Stopped(Verdict.INFRASTRUCTURE, f"the worker did not answer: {error or 'no greeting in time'}") from None
        if hello.kind != "hello":
            raise Stopped(Verdict.PROTOCOL_ERROR, f"the worker greeted with a {hello.kind!r} message")
        order = {"t": "load", "submission": self._worker.seen(self.terms.worker.submission), "track": self.terms.track}
        free = self.terms.free_import_seconds
        with clock.running(free):
            self.facts = self.ask(order, b"", min(deadline, clock.deadline), IMPORTING).fields
        if self.terms.restart and not (self.facts.get("saves") and self.facts.get("loads")):
            raise Stopped(
                Verdict.RUNTIME_ERROR,
                "the run restarts the worker between phases, and the submission lacks save_checkpoint or load_checkpoint; "
                "write both, or run without restarts",
            )

    def end(self) -> Ended:
        """End the worker, if one runs, and keep its log."""
        if self._worker is None:
            return Ended()
        ended = self._worker.end()
        self.guarded &= ended.guarded
        self.logs.append(self._worker.log())
        self._worker = None
        return ended

    def stacks(self) -> tuple[str, str]:
        """Where the threads of the worker that has ended last were in their code, taken out of its log; empty if it did not say.

        Both without the frames of the worker, and with them (empty where they add nothing).
        """
        return self._taken(TIMEOUT)

    def _taken(self, beginning: str) -> tuple[str, str]:
        if not self.logs:
            return "", ""
        self.logs[-1], stacks = split_stacks(self.logs[-1], beginning)
        if not stacks:
            return "", ""
        own, full = (
            f"Where every thread was, the innermost call first:\n{visible_lines(text)}" for text in (own_stacks(stacks), stacks)
        )
        return own, full if full != own else ""

    def ask(
        self,
        order: dict[str, Any],
        blob: bytes,
        deadline: float,
        what: str,
        *,
        parts: Iterable[bytes] = (),
        take: Callable[[bytes], None] | None = None,
    ) -> Message:
        """Send an order and serve the worker's requests until it says ``done``.

        Args:
            order: an order of the worker's service loop; ``blob`` goes with it, and the files that it names.
            deadline: of ``time.monotonic``.
            what: the phase or hook, as a verdict's reason and the progress name it.
            parts: sent after the order, in messages of their own.
            take: called with every part that the worker sends; None where it has none to send.

        Raises:
            Stopped: the time is over, the worker is gone or breaks the protocol, or the participant's code failed.
        """
        assert self._worker is not None
        channel = self._worker.channel
        try:
            self._send(order, blob, deadline)
            for part in parts:
                channel.send({"t": "part"}, part, deadline=deadline)
            started, shown = time.monotonic(), 0
            while True:
                message = channel.receive(deadline)
                # Also where frames pile up faster than we answer: no request is served and no phase ends well after its deadline.
                if time.monotonic() >= deadline:
                    raise ChannelTimeout
                if message.kind in self.terms.handlers:
                    answer, payload = self.terms.handlers[message.kind](message, what)
                    # With the request's number, which tells an answer that the worker no longer waits for from the next.
                    number = {"n": message.fields["n"]} if "n" in message.fields else {}
                    channel.send(answer | number, payload, deadline=deadline)
                elif message.kind == "progress":
                    # Each message is drawn on a terminal; a flood of them would be work of ours beside the participant's clock.
                    if shown < PROGRESS_AT_ONCE + PROGRESS_PER_SECOND * (time.monotonic() - started):
                        shown += 1
                        self.progress(what, float(message.fields["fraction"]))
                elif message.kind == "part" and take is not None:
                    take(message.blob)
                elif message.kind == "failed":
                    error, text = message.fields["error"], message.fields["message"]
                    verdict = Verdict.INVALID_OUTPUT if error == "InvalidOutput" else Verdict.RUNTIME_ERROR
                    advice = f"; {_leaving(what)}" if error == "SystemExit" else ""
                    full = message.fields.get("full_trace", "")
                    raise Stopped(verdict, f"{error} in {what}: {text}{advice}", message.fields["trace"], full)
                elif message.kind == "done":
                    return message
                else:
                    raise ProtocolError(f"a {message.kind!r} message in the middle of {what}")
        except ChannelTimeout:
            # Whoever catches this ends the worker at once; ending it takes time of ours, which is on no clock.
            raise Stopped(Verdict.TIME_LIMIT, f"the time limit passed during {what}; {self._advice(what)}") from None
        except ProtocolError as error:
            raise Stopped(Verdict.PROTOCOL_ERROR, f"{error} (during {what})") from None
        except ChannelEnded:
            raise self._death(what) from None

    def _send(self, order: dict[str, Any], blob: bytes, deadline: float) -> None:
        """Send an order, with descriptors of the files that it names."""
        assert self._worker is not None
        files = {name: value for name, value in order.items() if isinstance(value, (Path, Content))}
        message = {name: value for name, value in order.items() if name not in files}
        # For the worker's stacks only. The limit is enforced here.
        message["limit"] = max(0.0, deadline - time.monotonic())
        descriptors: list[int] = []
        try:
            for file in files.values():
                descriptors.append(self.sandbox.opened(file))
            if files:
                message["files"] = list(files)
            self._worker.channel.send(message, blob, deadline=deadline, descriptors=descriptors)
        except OSError as error:
            raise Stopped(Verdict.INFRASTRUCTURE, f"a file cannot be given to the worker: {error}") from error
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _advice(self, what: str) -> str:
        if what == IMPORTING:
            return (
                f"starting and importing may take {number(self.terms.load_seconds)} s, of which "
                f"{number(self.terms.free_import_seconds)} s of importing are free and the rest is charged to the clock of the "
                "next phase: compute in the phases"
            )
        return self.terms.advice(what)

    def _death(self, what: str) -> Stopped:
        """The verdict over a worker that is gone before it answered."""
        # The channel closes a moment before the process is gone; without this wait a crash would be reported as our own kill.
        time.sleep(0.1)
        ended = self.end()
        if ended.breach is not None:
            verdict = Verdict.MEMORY_LIMIT if ended.breach.limit == "memory" else Verdict.RUNTIME_ERROR
            return Stopped(verdict, f"a limit was broken during {what}: {ended.breach}")
        if ended.signal is not None:
            reason = f"the worker was killed by signal {ended.signal} ({_signal_name(ended.signal)}) during {what}"
        elif ended.code is not None:
            reason = f"the worker exited with status {ended.code} during {what}; {_leaving(what)}"
        elif not ended.killed:  # no report came: the guard itself is gone
            reason = (
                f"the process that watches the worker was killed during {what}, and the worker with it. The kit did not do that; "
                "either the submission did, or the system (its log then names the reason, e.g. a lack of memory)"
            )
        else:
            reason = f"the worker closed its channel during {what}"
        return Stopped(Verdict.RUNTIME_ERROR, reason, *(self._taken(CRASH) if ended.signal is not None else ()))


def _leaving(what: str) -> str:
    return LEAVING_EARLY if what == IMPORTING else LEAVING


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
