"""One job at a time: the submission is run and judged by a sweep in a process of its own, while its lease is kept.

The process does what a person's own sweep does, by the same command; so a judge adds nothing to a score, and a crash of it takes no
judge along. It ends with the judge that started it, whatever happens to that. A submission's clock is alone on a machine: run one
judge on each.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from evaluator.bounded import read_json
from evaluator.errors import ConfigurationError, KitError, Verdict
from evaluator.judging import feedback
from evaluator.judging.inbox import unpack_again, write_feedback
from evaluator.judging.place import Place
from evaluator.judging.queue import Job, Lost, Queue
from evaluator.places import ROOT
from evaluator.text import one_line

LEASE = 120.0
"""Seconds for which a job is kept without a sign of life."""
POLL = 0.5
"""Seconds between two looks at the process."""
TERM = 20.0
"""Seconds that a process has to end before it is killed."""
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


def work(place: Place, queue: Queue, job: Job, word: str, now: Callable[[], float] = time.time) -> Judged:
    """Judge what was claimed, write what goes back, and say so in the queue. ``word``: what the track calls a task."""
    try:
        folder = unpack_again(place, job.sha256)
        summary = _swept(place, queue, job, folder, now)
        verdict = _verdict(summary)
    except Lost:
        return Judged(job, "", "it was given to another judge meanwhile")
    except (OurFault, KitError, OSError) as error:
        why = one_line(str(error), 500)
        try:
            state = queue.give_back(job, now(), why)
        except Lost:
            return Judged(job, "", "it was given to another judge meanwhile")
        if state == "failed":
            write_feedback(place, job.participant, _name(job), feedback.ours(job.version, job.attempt))
        return Judged(job, str(Verdict.INFRASTRUCTURE), why)
    told = feedback.public(summary, word, str(folder), job.version) if job.part == "public" else feedback.private(job.version)
    try:
        queue.finish(job, now(), verdict, _result(summary, word))
    except Lost:
        return Judged(job, "", "it was given to another judge meanwhile")
    write_feedback(place, job.participant, _name(job), told)
    return Judged(job, verdict)


def _name(job: Job) -> str:
    return f"{job.sha256[:16]}-{job.part}-v{job.version}"


def _swept(place: Place, queue: Queue, job: Job, folder: Path, now: Callable[[], float]) -> dict[str, Any]:
    """The content of ``sweep.json`` of a run of the submission.

    Raises:
        Lost: the job was given to another judge; the process was ended.
        OurFault: the process failed, took too long, or left no summary.
    """
    stem = place.runs / f"{job.id}-{job.attempt}"
    command = sweep_command(place, job, folder)
    end = now() + 3600 * place.rules.hours
    with open(f"{stem}.json", "wb") as out, open(f"{stem}.log", "wb") as log:
        process = _started(command, out, log)
        try:
            kept = now()
            while process.poll() is None:
                time.sleep(POLL)
                if now() > end:
                    raise OurFault(f"the run took more than {place.rules.hours:g} hours")
                if now() - kept > LEASE / 4:
                    queue.renew(job, now(), LEASE)
                    kept = now()
        finally:
            _ended(process)
    if process.returncode not in (0, 1):
        raise OurFault(f"the run ended with status {process.returncode}; {stem}.log has its messages")
    try:
        summary = read_json(Path(f"{stem}.json"))
    except ConfigurationError as error:
        raise OurFault(str(error)) from None
    if not isinstance(summary, dict) or not summary.get("cells"):
        raise OurFault(f"{stem}.json holds no summary of a sweep")
    return summary


def sweep_command(place: Place, job: Job, folder: Path) -> list[str]:
    """The command that runs and judges a submission, and prints the summary."""
    return [
        *(sys.executable, "-m", "evaluator", "sweep", "--file", str(place.sweep(job.part)), "--track", place.rules.track),
        *("--submissions", str(folder), "--label", f"{job.participant} {job.submission}"),
        *("--out", str(place.results(job.part)), "--sandbox", place.rules.sandbox, "--json", "--no-pictures"),
    ]


def _started(command: list[str], out: IO[bytes], log: IO[bytes]) -> subprocess.Popen[bytes]:
    parent = os.getpid()

    def with_us() -> None:  # in the child: ended when the judge ends, however that happens
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, cwd=ROOT, preexec_fn=with_us)


def _ended(process: subprocess.Popen[bytes]) -> None:
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
        "data": summary["data"],
        "seeds": summary["seeds"],
        "secret": summary["secret"],
        "seconds": summary["seconds"],
    }
