"""A job: the submission is run and judged by a sweep in a process of its own, while its lease is kept.

Where images are built for submissions, the job's image is built before, in another such process (``images``).

The process does what a person's own sweep does, by the same command; so a judge adds nothing to a score, and a crash of it takes no
judge along. It ends with the judge that started it, whatever happens to that. Where several jobs run on a machine, their sweeps
take turns (``runner.turns``): a submission's clock is alone.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from evaluator.bounded import read_json, read_toml
from evaluator.errors import ConfigurationError, KitError, Verdict
from evaluator.judging import feedback
from evaluator.judging.image_records import enter
from evaluator.judging.images import Builder, Outcome, files_of, hidden_names, log_end, note_failure, outcome_of
from evaluator.judging.inbox import fault_of_ours, unpack_again, write_feedback
from evaluator.judging.jobs import Job, Lost
from evaluator.judging.place import Place
from evaluator.judging.queue import Queue
from evaluator.judging.resources import memory_of
from evaluator.judging.shortages import shortage
from evaluator.places import ROOT
from evaluator.runner.turns import environment
from evaluator.submission.image import ImageError, needs_of
from evaluator.text import one_line, say

LEASE = 120.0
"""Seconds for which a job is kept without a sign of life."""
POLL = 0.5
"""Seconds between two looks at the process."""
TERM = 20.0
"""Seconds that a process has to end before it is killed."""
MEASURED = 5.0
"""Seconds between two measurements of a job's memory."""
GROWN = 64 << 20
"""Bytes by which it has grown when others are told before the lease is renewed."""
_PR_SET_PDEATHSIG = 1
_NOT_OURS = frozenset(Verdict) - {Verdict.INFRASTRUCTURE}


class OurFault(Exception):
    """The judge failed, and not the submission. The message says how."""


@dataclass(frozen=True)
class Judged:
    """What became of a job. ``verdict``: ``OK``, the first other verdict of a cell, or ``INFRASTRUCTURE``; empty if it was lost."""

    job: Job
    verdict: str
    why: str = ""


More = Callable[[Job, Path, Mapping[str, Any]], dict[str, Any]]
"""Gives what a job's result holds for the board beside its scores, from the job, the folder of the submission, and the summary."""


@dataclass(frozen=True)
class Form:
    """In which form results are kept and go back.

    Attributes:
        word: what the track calls a task; ``metrics``: names of its metrics; ``more``: see there.
    """

    word: str
    metrics: tuple[str, ...] = ()
    more: More = lambda job, folder, summary: {}


class Run:
    """A job that runs. It is looked at from time to time (``step``), so that one judge runs several in one thread.

    Args:
        builder: builds images; None where submissions run with the kit's packages.
        clock: that the hours of a run are taken by. It never jumps, as the time of day may; tests give another.

    Attributes:
        memory: bytes that its processes had when that was looked at last.
    """

    def __init__(
        self,
        place: Place,
        queue: Queue,
        job: Job,
        form: Form,
        now: float,
        builder: Builder | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.job, self.memory = job, 0
        self._place, self._queue, self._form, self._builder = place, queue, form, builder
        self._clock, self._end = clock, clock() + 3600 * place.rules.hours
        self._kept, self._looked = now, now
        self._said = 0
        self._stem = place.runs / f"{job.id}-{job.attempt}"
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = place.root
        self._fault = ""
        self._builds = False
        self._image: Outcome | None = None
        try:
            self._folder = unpack_again(place, job.sha256)
            Path(f"{self._stem}.log").write_bytes(b"")
            if builder is not None and builder.wanted(job, self._folder):
                self._build(builder, now)
            else:
                self._sweep()
        except ImageError as error:  # a list that can never be installed
            self._builds = True
            self._fault = note_failure(str(self._stem), error)
        except (KitError, OSError) as error:
            self._fault = str(error)
        except Exception as error:  # whatever lies in a submission, it ends its own job and no judge
            self._fault = fault_of_ours(error)

    def _build(self, builder: Builder, now: float) -> None:
        """Begin to build the image of the submission."""
        enter(self._place.images, needs_of(self._folder), self.job.sha256, now)
        file, said = files_of(str(self._stem))
        with open(file, "wb") as out, open(f"{self._stem}.log", "ab") as log:
            self._process = started(builder.command(self._folder, said), out, log, builder.environment())
        self._builds = True

    def _sweep(self) -> None:
        """Begin the run itself."""
        given = environment(self._place.rules.resources.clocks)
        if self._builder is not None:
            given |= self._builder.run_in(self._image)
        with open(f"{self._stem}.json", "wb") as out, open(f"{self._stem}.log", "ab") as log:
            self._process = started(sweep_command(self._place, self.job, self._folder), out, log, given)
        self._builds = False

    def step(self, now: float) -> Judged | None:
        """Look at it: None while it runs. At its end what goes back is written, and the queue knows."""
        try:
            return self._step(now)
        except Lost:
            self.end()
            return Judged(self.job, "", "it was given to another judge meanwhile")
        except sqlite3.Error:  # of the queue, and so of all jobs
            raise
        except Exception as error:  # of this job alone: the others go on, and this one is tried again
            try:
                return self._ours(now, fault_of_ours(error))
            except Lost:  # it had ended already; what goes back of it is owed
                return Judged(self.job, str(Verdict.INFRASTRUCTURE), fault_of_ours(error))

    def _step(self, now: float) -> Judged | None:
        if self._fault:
            return self._ours(now, self._fault)
        if self._process is None:
            return self._built(now, 1)
        if self._process.poll() is None:
            if self._clock() > self._end:
                return self._ours(now, f"the run took more than {self._place.rules.hours:g} hours")
            if self._builds and self._builder is not None and (why := self._builder.full()):
                return self._ours(now, f"its image was not built to the end: {why}")
            self._keep(now, self._process.pid)
            return None
        return self._built(now, self._process.returncode) if self._builds else self._judged(now)

    def _keep(self, now: float, process: int) -> None:
        """Measure memory, and renew the lease."""
        if not 0 <= now - self._looked < MEASURED:
            self.memory, self._looked = memory_of(process), now
        if not 0 <= now - self._kept <= LEASE / 4 or self.memory > self._said + GROWN:
            self._queue.renew(self.job, now, LEASE, self.memory)
            self._kept, self._said = now, self.memory

    def terminate(self) -> None:
        """Ask its process to end, and do not wait for it."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """End its process at once, and do not wait for it."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    def end(self) -> None:
        """End its process, if that runs, and wait for it."""
        if self._process is not None:
            ended(self._process)

    def _built(self, now: float, status: int) -> Judged | None:
        """Its image is there, and the run begins; or it cannot be made."""
        outcome = outcome_of(str(self._stem), status)
        if outcome.theirs:
            result = {"unbuilt": True, "rows": [], "cells": []}
            self._queue.finish(self.job, now, outcome.verdict, result, {"image": "not built"})
            _tell(self._place, self._queue, self.job, _unbuilt(self._place, self.job, outcome))
            return Judged(self.job, outcome.verdict, one_line(outcome.reason, 500))
        if not outcome.image:
            return self._ours(now, outcome.reason)
        try:
            enter(self._place.images, needs_of(self._folder), self.job.sha256, now, outcome.image, outcome.bytes)
            self._image = outcome
            self._sweep()
        except (KitError, OSError) as error:
            return self._ours(now, str(error))
        return None

    def _judged(self, now: float) -> Judged:
        job, place, form = self.job, self._place, self._form
        try:
            summary = self._summary()
            verdict = _verdict(summary)
            told = _form(job, summary, self._folder, form)
            result, how = _result(summary, form.word) | form.more(job, self._folder, summary), _how(summary)
            if self._image is not None:
                how |= {"image": self._image.image}
        except (OurFault, KitError, OSError) as error:
            return self._ours(now, str(error))
        except Exception as error:  # what a run left may be anything
            return self._ours(now, f"{self._stem}.json was not understood: {error!r}")
        self._queue.finish(job, now, verdict, result, how)
        _tell(place, self._queue, job, told)
        return Judged(job, verdict)

    def _summary(self) -> dict[str, Any]:
        """The content of ``sweep.json``.

        Raises:
            OurFault: the process failed, or left no summary.
        """
        assert self._process is not None
        if self._process.returncode not in (0, 1):
            raise OurFault(f"the run ended with status {self._process.returncode}; {self._stem}.log has its messages")
        try:
            summary = read_json(Path(f"{self._stem}.json"))
        except ConfigurationError as error:
            raise OurFault(str(error)) from None
        if not isinstance(summary, dict) or not summary.get("cells"):
            raise OurFault(f"{self._stem}.json holds no summary of a sweep")
        return summary

    def _ours(self, now: float, why: str) -> Judged:
        self.end()
        why = self._fault = one_line(why, 500)  # kept for the next look, should the queue not take it now
        job = self.job
        if self._queue.give_back(job, now, why) == "failed":
            _tell(self._place, self._queue, job, feedback.ours(job.version, job.attempt))
        return Judged(job, str(Verdict.INFRASTRUCTURE), why)


def work(
    place: Place,
    queue: Queue,
    job: Job,
    form: Form | str,
    now: Callable[[], float] = time.time,
    builder: Builder | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Judged:
    """Judge what was claimed, and wait for it. ``form``: or the track's word for a task alone; the others: as of ``Run``."""
    run = Run(place, queue, job, Form(form) if isinstance(form, str) else form, now(), builder, clock)
    try:
        while (done := run.step(now())) is None:
            time.sleep(POLL)
        return done
    finally:
        run.end()


def tell_what_is_owed(place: Place, queue: Queue, form: Form) -> int:
    """Write what goes back of jobs that ended while their judge was killed. Returns how many there were."""
    owed = queue.untold()
    for job, state in owed:
        if state == "failed":
            _tell(place, queue, job, feedback.ours(job.version, job.attempt))
            continue
        try:
            if (outcome := outcome_of(str(place.runs / f"{job.id}-{job.attempt}"))).theirs:
                _tell(place, queue, job, _unbuilt(place, job, outcome))
                continue
            summary = read_json(place.runs / f"{job.id}-{job.attempt}.json")
            _tell(place, queue, job, _form(job, summary, unpack_again(place, job.sha256), form))
        except sqlite3.Error:
            raise
        except Exception as error:  # of this job alone, and it would come again at every start
            say(f"warning: job {job.id} was judged, and what goes back of it is lost ({error}); judge rescore makes it anew")
            queue.told(job.id)
    return len(owed)


def _form(job: Job, summary: dict[str, Any], folder: Path, form: Form) -> dict[str, Any]:
    if job.part == "private":
        return feedback.private(job.version)
    return feedback.public(summary, form.word, str(folder), job.version, form.metrics)


def _unbuilt(place: Place, job: Job, outcome: Outcome) -> dict[str, Any]:
    if job.part == "private":
        return feedback.private(job.version)
    log = log_end(str(place.runs / f"{job.id}-{job.attempt}"))
    return feedback.unbuilt(job.version, outcome.verdict, outcome.reason, log, hidden_names(place))


def _tell(place: Place, queue: Queue, job: Job, told: dict[str, Any]) -> None:
    try:
        write_feedback(place, job.participant, feedback_name(job), told)
    except OSError as error:  # it stays owed (``tell_what_is_owed``); the others' jobs go on
        say(f"warning: job {job.id}: {error}. Its participant has no answer until the judge may write there")
        return
    try:
        queue.told(job.id)
    except sqlite3.OperationalError as error:  # it stays owed as well, and the job itself is counted
        if not shortage(error):
            raise


def feedback_name(job: Job) -> str:
    """The name of the file in the outbox that tells of a job."""
    return f"{job.sha256[:16]}-{job.part}-v{job.version}"


def sweep_command(place: Place, job: Job, folder: Path) -> list[str]:
    """The command that runs and judges a submission, and prints the summary."""
    return [
        *(sys.executable, "-m", "evaluator", "sweep", "--file", str(place.sweep(job.part)), "--track", place.rules.track),
        *("--submissions", str(folder), "--label", f"{job.participant} {job.submission}"),
        *("--out", str(place.results(job.part)), "--sandbox", place.rules.sandbox, "--json", "--no-pictures"),
        *_workers(place, job),
    ]


def _workers(place: Place, job: Job) -> list[str]:
    """How many trainings a job runs at a time, so that all jobs together run as many as the machine gives."""
    options = read_toml(place.sweep(job.part))
    if "ray" in options:  # the cluster decides
        return []
    threads = options.get("threads", 1)
    count = place.rules.resources.workers(threads if isinstance(threads, int) else 1)
    return [] if count is None else ["--workers", str(count)]


def started(
    command: list[str], out: IO | int | None, log: IO | int | None, more: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    parent = os.getpid()

    def with_us() -> None:  # in the child: ended when the judge ends, however that happens
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    given = {**os.environ, **(more or {})}
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, cwd=ROOT, preexec_fn=with_us, env=given)


def ended(process: subprocess.Popen[bytes]) -> None:
    """End a process, and wait for it."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(TERM)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _verdict(summary: dict[str, Any]) -> str:
    """The verdict of a run: ``OK``, or that of its first cell that is not.

    Raises:
        OurFault: a cell has no verdict, or one that is ours.
    """
    verdicts = [cell["verdict"] for cell in summary["cells"]]
    bad = [cell for cell in summary["cells"] if cell["verdict"] not in _NOT_OURS]
    if bad:
        raise OurFault(f"{bad[0]['verdict'] or 'no verdict'}: {bad[0]['reason'] or 'the cell was not run'}")
    return next((verdict for verdict in verdicts if verdict != Verdict.OK), str(Verdict.OK))


def _result(summary: dict[str, Any], word: str) -> dict[str, Any]:
    """What boards are made of: the score of every cell, and what decides it."""
    return {
        "metric": summary["primary_metric"],
        "rows": [
            {name: row[name] for name in ("pipeline", "score_split", "score", "verdicts", "collapsed")} for row in summary["rows"]
        ],
        "cells": [
            {name: cell[name] for name in ("cell", word, "seed", "pipeline", "score_split", "verdict", "score", "collapsed")}
            for cell in summary["cells"]
        ],
        "known": sorted(feedback.tasks(summary, word)[0]),
        "data": summary["data"],
        "seeds": summary["seeds"],
        "secret": summary["secret"],
        "seconds": summary["seconds"],
    }


def _how(summary: dict[str, Any]) -> dict[str, Any]:
    """How the cells came about, for the trail: of how many the result was stored already, and of how many it is new."""
    stored = sum(bool(cell.get("cached")) for cell in summary["cells"])
    return {"stored": stored, "new": len(summary["cells"]) - stored}
