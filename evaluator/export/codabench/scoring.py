"""The scoring program of a bundle, as it runs inside of the image: one submission, judged in a sandbox of its own.

Codabench gives it ``/app/input/res`` (what the participant sent), ``/app/input/ref`` (the hidden data of this run), and
``/app/output``. Everything there belongs to the user that the submission runs as, so before a worker starts

- the hidden data are read into the memory of this process, which from then on can neither be traced nor read by its user, and are
  removed from ``/app/input/ref``;
- what this process prints goes to a file without a name, because participants see the output of a scoring program;

and after the last worker has ended, every other process of the container is killed, ``/app/output`` is emptied, and the scores and
the page of the submission are written: what a submission wrote there is gone.

It ends with 0 where there is a row for the board, with 3 where the judge failed, and with 4 where the submission was refused before
it ran. Codabench counts a run against a participant's quota only if it ends with 0. A submission that ran and failed gets the
lowest row and counts: otherwise it could be run as often as somebody likes, and each run tells something.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from evaluator import __version__
from evaluator.bounded import BoundsError, parse_json, read_bytes
from evaluator.errors import ConfigurationError, SubmissionError, Verdict
from evaluator.export.codabench.details import details
from evaluator.export.codabench.order import FILE, OPTIONS, TIERS, Order
from evaluator.files import remove_tree, write_text
from evaluator.judging import feedback
from evaluator.sandbox.scratch import scratch_folder
from evaluator.sandbox.tier import Sandbox
from evaluator.sandbox.tiers import choose
from evaluator.submission.package import FILE as MANIFEST
from evaluator.submission.package import LIMITS, Package, PackageError
from evaluator.text import one_line
from evaluator.track import Track

SCORED, OURS, REFUSED = 0, 3, 4
"""Exit statuses."""
LOG = "organiser.log"
"""In ``/app/shared``, which Codabench shows to nobody: everything that the kit printed."""
MARGIN = 30
"""Seconds before the end of the step at which the program gives up."""
PARSING = 20.0
"""Largest duration of parsing the sources of a submission, in seconds."""
PLATFORM = ("metadata", "metadata.yaml", "metadata.yml")
"""Files that Codabench's worker writes into what it hands on, or would take for a command: no part of a submission."""
_PR_SET_DUMPABLE = 4


class Ours(Exception):
    """The judge failed. The message is for participants and says nothing of hidden data."""


class Refused(Exception):
    """The submission was refused before anything of it ran. The message says why."""


@dataclass(frozen=True)
class Judged:
    """The row for the board, the page, and whether the row is the floor."""

    scores: dict[str, float]
    page: str
    failed: bool


def main(app: Path | str, named: Callable[[str], Track]) -> int:
    """Judge what lies in ``app`` (the folder that Codabench mounts), and write ``output``. Returns the exit status.

    Args:
        named: gives the track of a name.
    """
    app = Path(app)
    with _kept_output() as log:
        status, said = _judged(app, named)
        _copy_log(log, app / "shared" / LOG)
    print(said, file=sys.stdout if status == SCORED else sys.stderr, flush=True)
    return status


def _judged(app: Path, named: Callable[[str], Track]) -> tuple[int, str]:
    """The exit status, and what participants may read."""
    _undumpable()
    try:
        order = Order.read(app / "program" / FILE)
        if order.kit != __version__:
            raise Ours(f"the bundle was written by version {order.kit} of the kit, and the image holds {__version__}")
        with _watchdog(order.seconds - MARGIN):
            found = judge(app, order, named(order.track))
        _end_others()
        _empty(app / "output")
        write_text(app / "output" / "detailed_results.html", found.page)
        write_text(app / "output" / "scores.json", json.dumps(found.scores))
        return SCORED, "judged; the submission failed, see the detailed results" if found.failed else "judged"
    except Refused as refused:
        return REFUSED, f"refused before it ran, and not counted:\n{feedback.shown(str(refused))}"
    except Exception as error:
        traceback.print_exc()  # into the log
        # Messages of data errors name rows and values of hidden files.
        why = str(error) if isinstance(error, (Ours, ConfigurationError)) else ""
        told = f"the judge failed ({type(error).__name__}), and nothing is counted"
        return OURS, f"{told}:\n{feedback.shown(why)}" if why else told


def judge(app: Path, order: Order, track: Track) -> Judged:
    """Run and judge the submission of ``app``; nothing is written to its output.

    Raises:
        Refused, Ours, KitError: there is no row.
    """
    submission = submitted(app / "input" / "res")
    checked, answer = track.examined(submission, PARSING), track.source(submission).answer
    if answer and not order.answers:
        raise Refused("it is an answer, and this competition judges code. Send code, or ask the organiser")
    if checked.errors:
        raise Refused(checked.errors[0].line)
    with scratch_folder() as scratch:
        summary = _swept(app / "input" / "ref", submission, scratch, order, track)
    bad = [cell for cell in summary["cells"] if cell["verdict"] in (None, Verdict.INFRASTRUCTURE)]
    if bad:
        raise Ours(f"{len(bad)} of {len(summary['cells'])} cells ended by a fault of the judge")
    if order.part == "public":
        told = feedback.public(summary, order.word, str(submission), order.version, [metric.name for metric in track.metrics])
        if not order.texts:
            told["faults"] = [fault | {"reason": "", "traceback": "", "printed": ""} for fault in told["faults"]]
            told["warnings"] = []
    else:
        told = feedback.private(order.version)
    (row,) = summary["rows"][:1]
    scores = order.scores(row)
    failed = row["score"] is None
    return Judged(scores, details(told, order.word, failed, "" if answer else summary["isolation"]), failed)


def submitted(res: Path) -> Path:
    """The folder of the submission in what the participant sent: that of a package of the kit, or all of it.

    Raises:
        Refused: there is nothing, or the package is not what its manifest says.
    """
    for name in PLATFORM:
        with contextlib.suppress(FileNotFoundError):
            (res / name).unlink()
    names = sorted(os.listdir(res)) if res.is_dir() else []
    if not names:
        text = "nothing arrived. Codabench passes nothing on where a file metadata or metadata.yaml lies at the top. Remove it"
        raise Refused(text)
    if MANIFEST not in names:
        return res
    try:
        package = Package.from_dict(parse_json(read_bytes(res / MANIFEST, LIMITS.size), MANIFEST, LIMITS), "the package")
        for member in package.files:
            content = (res / member.path).resolve()
            if not content.is_relative_to(res.resolve()) or not content.is_file():
                raise Refused(f"{member.path}: the manifest names it, and it is not there. Pack it anew")
            with open(content, "rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != member.sha256:
                    raise Refused(f"{member.path}: its bytes are not those of the manifest. Pack it anew")
        folder = res / package.name
        held = {str(path.relative_to(res)) for path in folder.rglob("*") if path.is_file()}
    except (PackageError, BoundsError) as error:
        raise Refused(str(error)) from None
    if Path(package.name).name != package.name or held - {member.path for member in package.files}:
        raise Refused(f"{package.name}: it holds files that the manifest does not name. Pack it anew")
    return folder


def tier_of(weakest: str) -> Sandbox:
    """The strongest tier that works here, and is not weaker than ``weakest``.

    Raises:
        Ours: none works.
    """
    why = []
    for name in TIERS[: TIERS.index(weakest) + 1]:
        try:
            return choose(name)
        except ConfigurationError as error:
            why.append(one_line(str(error), 300))
    raise Ours("this compute worker offers no isolation that the organiser asked for: " + "; ".join(why))


def _swept(ref: Path, submission: Path, scratch: Path, order: Order, track: Track) -> dict[str, Any]:
    """The content of ``sweep.json``. ``ref`` is gone when the first worker starts."""
    from evaluator.history.store import Store
    from evaluator.sweep.experiment import prepare
    from evaluator.sweep.faults import Faults, Remarks
    from evaluator.sweep.forecast import forecast
    from evaluator.sweep.run import Outcome, run, stored_cells
    from evaluator.sweep.settings import read_settings
    from evaluator.sweep.table import summarise_sweep

    box = tier_of(order.sandbox)
    given = {"submissions": (submission,), "cache": scratch / "cache", "out": scratch / "results", "sandbox": box.name}
    settings, _ = read_settings(given, track, ref / OPTIONS)
    store = Store(settings.out)
    try:
        experiment = prepare(track, settings, sandbox=box)
    except SubmissionError as error:
        raise (Refused if error.verdict != Verdict.INFRASTRUCTURE else Ours)(str(error)) from None
    for data in {id(found): found for found in map(experiment.plan.data_of, experiment.cells)}.values():
        track.hold(data, experiment.cells)
    remove_tree(ref)
    if os.path.lexists(ref):
        raise Ours("the hidden data of this run cannot be removed before a worker starts")
    expected = forecast(experiment, experiment.index())
    remarks = Remarks(experiment)
    summary: dict[str, Any] = {}

    def finish(outcome: Outcome) -> None:
        faults = Faults(experiment)
        for cell in stored_cells(experiment, store, outcome, lambda row: not row["fit"], 1_000):
            faults.add(cell)
        said = faults.rows(outcome.folder), remarks.said()
        summary.update(summarise_sweep(experiment, outcome.rows, outcome.before, expected, outcome.seconds, *said))

    run(experiment, store, "codabench", finish, finished=remarks.add, here=True)
    return summary


# -- the process and its container


def _undumpable() -> None:
    """From now on no process of our user can read our memory, our environment or our open files, or trace us."""
    if sys.platform.startswith("linux") and ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise Ours("this process cannot be closed to others of its user")


@contextlib.contextmanager
def _kept_output() -> Iterator[IO[bytes]]:
    """What this process and its children print goes to a file without a name, until the block ends."""
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as log, open(os.dup(log.fileno()), "w", buffering=1) as text:
        kept = [os.dup(1), os.dup(2)]
        try:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
                yield log
        finally:
            for number, descriptor in enumerate(kept, 1):
                os.dup2(descriptor, number)
                os.close(descriptor)


def _copy_log(log: IO[bytes], place: Path) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.flush()
        log.seek(0)
        with open(place, "wb") as file:
            shutil.copyfileobj(log, file)


@contextlib.contextmanager
def _watchdog(seconds: float) -> Iterator[None]:
    """End this process by itself before Codabench does, which leaves containers running that it gives up."""
    began = time.monotonic()
    told = os.dup(2)

    def give_up() -> None:
        os.write(told, f"the judge failed: it needed more than {time.monotonic() - began:.0f} seconds\n".encode())
        os._exit(OURS)

    timer = threading.Timer(max(seconds, 1.0), give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        os.close(told)


def _end_others() -> None:
    """Kill whatever else lives in the container. Only as its first process: elsewhere the processes are not ours."""
    if os.getpid() == 1:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(-1, signal.SIGKILL)


def _empty(folder: Path) -> None:
    """Remove everything in a folder that is not ours to remove itself: Codabench mounts it."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            remove_tree(Path(entry.path))
        else:
            os.unlink(entry.path)
    if left := os.listdir(folder):
        raise Ours(f"{len(left)} files in the output cannot be removed")
