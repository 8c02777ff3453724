"""A judge at work: it takes packages in, runs as many jobs as its machine has room for, and says what it does.

Everything happens in one thread, a step at a time. A judge that is stopped (Ctrl-C, SIGTERM) ends what it runs and gives it back,
and that counts as no try; a judge that is killed loses its jobs to others, at once to those of its own machine.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from evaluator.errors import KitError
from evaluator.judging.images import Builder
from evaluator.judging.inbox import OF_THE_MACHINE, Taken, fault_of_ours, take_in
from evaluator.judging.jobs import Job, Part
from evaluator.judging.place import Place
from evaluator.judging.queue import Queue
from evaluator.judging.resources import FULL, admit, lack_of_disk
from evaluator.judging.shortages import shortage
from evaluator.judging.work import LEASE, POLL, Form, Run, tell_what_is_owed
from evaluator.judging.workers import Worker, arrive, bury, leave, sign
from evaluator.machine import free_memory
from evaluator.track import Track
from evaluator.words import counted

IDLE = 2.0
"""Seconds between two looks at an empty inbox."""
TAKING = 15.0
"""Seconds for which packages are taken in before what runs is looked at again: a job whose lease is not renewed is lost."""
SIGNED = 20.0
"""Seconds between two signs of life."""
LEAVING = 5.0
"""Seconds that a judge that ends waits for others that write to the queue."""


@dataclass(eq=False)
class Judge:
    """A judge of a folder.

    Args:
        form: in which results are kept and go back. ``told``: is given what happens, a line each. ``board``: writes the board.
        now: the time; tests give another. ``track``: that is judged; None takes code only. ``builder``: as of ``Run``.

    Attributes:
        failed: whether a job failed by our fault, nothing could be begun, something cannot leave the inbox, or there is no board.
    """

    place: Place
    queue: Queue
    form: Form
    told: Callable[[str], None]
    board: Callable[[], object]
    now: Callable[[], float] = time.time
    track: Track | None = None
    builder: Builder | None = None
    failed: bool = False
    _runs: list[Run] = field(default_factory=list)
    _stuck: set[Taken] = field(default_factory=set)
    _left: bool = False
    _held: str = ""
    _unwritten: str = ""
    _signed: float = 0.0
    _arrived: bool = False
    _changed: bool = True
    _lacks: str = ""
    _waits_for: str = ""

    def run(self, once: bool = False) -> bool:
        """Judge until the queue is drained; with ``once``, until nothing waits any more. Returns whether nothing failed."""
        me = Worker.this(self.now())
        self.queue.who = me.name
        try:
            while not self._tried(me, once):
                time.sleep(POLL if self._runs or self._left else IDLE)
        except BaseException:
            self._stop()
            raise
        finally:
            self._leave(me)
        return not self.failed

    def _tried(self, me: Worker, once: bool) -> bool:
        """A step. What the machine lacks for the moment is said, and waited for: nothing that runs is lost by it."""
        try:
            if not self._arrived:
                arrive(self.queue, me)
                self._arrived = True
                tell_what_is_owed(self.place, self.queue, self.form)
                self._write_board()
            done = self._step(me, once)
        except (sqlite3.Error, OSError) as error:
            if not (lack := shortage(error)):
                raise
            end = once and not self._runs
            if lack != self._lacks or end:  # once, and not at every look
                self._lacks = lack
                with contextlib.suppress(OSError):  # the output may lie on the same disk
                    self.told(f"{'it ends' if end else 'it waits'}: {lack} ({error})")
            self.failed = self.failed or end
            return end
        if self._lacks:
            self._lacks = ""
            self.told("it goes on: what was waited for is there again")
        return done

    def _step(self, me: Worker, once: bool) -> bool:
        """Everything that can be done now; whether the judge's work is done."""
        for name in bury(self.queue, self.now()):
            self.told(f"the judge {name} died; its jobs are given anew")
        full = lack_of_disk(self.place.root, self.place.rules.resources)
        if not full:
            full = self._take_in()
        for run in list(self._runs):
            self._look_at(run)
        held = full or (self.builder.lack(self.now()) if self.builder is not None else "") or self._begin(me)
        self._say(me, held)
        if self._changed:
            self._write_board()
        if self._runs:
            return False
        if self.queue.giving == "drain":
            self.told("drained: nothing runs, and no more jobs are given; `judge resume` gives them again")
            return True
        if once and held and not self.queue.counts().get("running"):
            self.failed = True
            return True
        if not once or self._left:
            return False
        self._say_what_is_waited_for()
        return not self._more()

    def _take_in(self) -> str:
        """Take packages in; why that failed by this machine, in words, or empty. What runs is looked after all the same."""
        try:
            self._take()
        except OSError as error:
            if not (lack := shortage(error)):
                raise
            return f"packages are not taken in: {lack} ({error})"
        return ""

    def _take(self) -> None:
        began, self._left = self.now(), False
        last = {(of.participant, of.package) for of in self._stuck}
        for taken in take_in(self.place, self.queue, self.now, self.track, last):
            if taken.stuck:
                self.failed = True
                if taken not in self._stuck:  # once, and not at every look
                    self.told(f"{taken.participant}: {taken.package}: it waits: {taken.stuck}")
                    self._stuck.add(taken)
            else:
                said = f"refused: {taken.refused}" if taken.refused else taken.said or f"submission {taken.submission}"
                self.told(f"{taken.participant}: {taken.package}: {said}")
            # Whatever lies in the inbox, it must not keep the judge from what it runs.
            if not 0 <= self.now() - began < TAKING:
                self._left = True
                break

    def _write_board(self) -> None:
        """Write the board. What one submission left in a result must not end the judging of the others."""
        try:
            self.board()
            why = ""
        except sqlite3.Error:
            raise
        except OSError as error:
            if error.errno in OF_THE_MACHINE:
                raise
            why = str(error)
        except Exception as error:
            why = str(error) if isinstance(error, KitError) else fault_of_ours(error)
        if why and why != self._unwritten:
            self.told(f"the board was not written: {why}")
        self.failed = self.failed or bool(why)
        self._unwritten, self._changed = why, False

    def _look_at(self, run: Run) -> None:
        done = run.step(self.now())
        if done is None:
            return
        self._runs.remove(run)
        self._changed = True
        self.failed = self.failed or done.verdict == "INFRASTRUCTURE"
        why = f" ({done.why})" if done.why else ""
        self.told(f"{about(done.job)}: {done.verdict or 'lost'}{why}")

    def _begin(self, me: Worker) -> str:
        """Claim and start jobs while there is room; why a job that waits is not begun, or empty."""
        room = self.place.rules.resources
        while len(self._runs) < room.jobs:
            job = self.queue.claim(me.name, self.now(), LEASE, me.node, admit(room, peaks(self.queue), free_memory()))
            if job is None:
                # That as many run as may is no news.
                return "" if self._runs or self.queue.held == FULL else self.queue.held
            # First of all: should the line not be written, on a full disk, the job has its run.
            self._runs.append(Run(self.place, self.queue, job, self.form, self.now(), self.builder))
            self.told(f"{about(job)}: attempt {job.attempt}")
        return ""

    def _say(self, me: Worker, held: str) -> None:
        now = self.now()
        if held != self._held:
            self.told(f"nothing is begun: {held}" if held else "there is room again: jobs are begun")
        if held != self._held or not 0 <= now - self._signed < SIGNED:
            sign(self.queue, me.name, now, held)
            tell_what_is_owed(self.place, self.queue, self.form)  # of judges that died meanwhile
            self._held, self._signed = held, now

    def _more(self) -> bool:
        """Whether a job waits for another try, or belongs to another judge."""
        counts = self.queue.counts()
        return not self.queue.paused and bool(counts.get("waiting", 0) or counts.get("running", 0))

    def _say_what_is_waited_for(self) -> None:
        """With ``once`` nothing else tells why the judge does not end."""
        now, counts = self.now(), self.queue.counts()
        said = ""
        if not self.queue.paused and (due := self.queue.next_due(now)) is not None and due > now:
            said = f"it waits: the next job is due at {datetime.fromtimestamp(due, UTC):%H:%M:%S} UTC, in {due - now:.0f} s"
        elif not self.queue.paused and not counts.get("waiting") and (others := counts.get("running")):
            said = f"it waits: {counted(others, 'job')} of other judges"
        for_what = said.partition(" UTC")[0]
        if said and for_what != self._waits_for:  # once for each
            self.told(said)
        self._waits_for = for_what

    def _stop(self) -> None:
        """End what runs. A further interrupt ends the waiting: what then still runs is killed."""
        for run in self._runs:
            run.terminate()  # all at once: each may take a while
        for run in self._runs:
            try:
                run.end()
            except KeyboardInterrupt:
                run.kill()

    def _leave(self, me: Worker) -> None:
        """Give back what is left, and say that this judge ended. Whatever the queue says to that, it must not hide why it ends."""
        self.queue.wait_at_most(LEAVING)
        try:
            try:
                leave(self.queue, me.name, self.now())
            except KeyboardInterrupt:  # a further one, while the first is obeyed
                leave(self.queue, me.name, self.now())
        except sqlite3.Error as error:
            with contextlib.suppress(OSError):
                self.told(f"the queue was not told that this judge ended ({error}); another judge gives its jobs anew")
        self._runs.clear()
        self._arrived = False


def about(job: Job) -> str:
    """A job for a person."""
    return f"{job.participant}, submission {job.submission}, {job.part} part"


def peaks(queue: Queue) -> dict[Part, int]:
    """Bytes of memory that the largest job of each part had so far."""
    return {row["part"]: row["most"] for row in queue.rows("SELECT part, max(peak) AS most FROM job GROUP BY part") if row["most"]}
