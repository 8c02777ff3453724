"""What Codabench's compute worker does with a submission, done here: both steps, with their folders, programs and statuses.

Followed are ``prepare``, ``_run_program_directory``, ``start``, ``push_scores`` and ``push_output`` of its ``compute_worker.py``
(March 2026), and what the server does with the scores. In place of a container stands a room of bubblewrap with the same folders
mounted, without capabilities, with the network of the machine, in which the program is process 1; where bubblewrap does not work,
the program runs beside this process, with its folders named by ``DCK_APP``.
"""

from __future__ import annotations

import math
import os
import resource
import shlex
import shutil
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from evaluator.bounded import BoundsError, parse_json, read_bytes
from evaluator.errors import ConfigurationError
from evaluator.export.codabench.checks import FILE, TASK_FILES, check_bundle
from evaluator.export.codabench.reading import MOST_YAML, BundleError, opened, read_yaml
from evaluator.export.codabench.scoring import LOG
from evaluator.places import ROOT
from evaluator.sandbox.guard import become_reaper, descendants
from evaluator.sandbox.scratch import scratch_folder
from evaluator.text import one_line

MOST_PRINTED = 64 << 10
"""Bytes of what a program printed that are kept, at its end."""
MOST_SCORES = 1 << 20
MOST_FILE = 4 << 30
"""Bytes of a file that a program writes."""
MOST_SUBMISSION = 4 << 30
"""Unpacked bytes of a submission."""
_SUBSTITUTES = {
    "$input": "/app/input",
    "$output": "/app/output",
    "$program": "/app/program",
    "$hidden": "/app/input/ref",
    "$shared": "/app/shared",
    "$tmp": "/app/output",
}


class Failed(Exception):
    """What the worker would set the status Failed for. The message says why."""


@dataclass(frozen=True)
class Step:
    """A step as it went.

    Attributes:
        name: ``prediction`` or ``scoring``; ``code``: exit status of its program, None where none was run.
        out, err: what the program printed, as participants see it.
        files: of the output, with their sizes; ``left``: processes that outlived the program.
    """

    name: str
    code: int | None
    seconds: float
    out: str = ""
    err: str = ""
    files: Mapping[str, int] = field(default_factory=dict)
    left: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tried:
    """What came of a submission.

    Attributes:
        status: ``Finished`` or ``Failed``, as the platform shows it; ``why``: it failed.
        counts: against the participant's quota.
        row: what the board shows, by key of a column; None for no row.
        ignored: keys of ``scores.json`` that no column has.
        page: the detailed results; ``log``: what the kit printed, which the platform shows to nobody.
    """

    status: str
    why: str
    counts: bool
    row: Mapping[str, float] | None
    ignored: tuple[str, ...]
    steps: tuple[Step, ...]
    page: str = ""
    log: str = ""

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def try_bundle(bundle: Path, submission: Path, index: Any = None, seconds: float | None = None) -> Tried:
    """Send a submission, a folder or a zip file, through a task of a bundle.

    Args:
        index: of the task; None for the first.
        seconds: of a step; None for the bundle's own limit.

    Raises:
        ConfigurationError: the bundle has errors, there is no such task, or the submission is no folder and no zip file.
    """
    if wrong := [problem for problem in check_bundle(bundle) if problem.kind == "error"]:
        raise ConfigurationError(f"{bundle}: {wrong[0].place}: {wrong[0].text} (--check lists everything)")
    with scratch_folder() as folder:
        worker = _Worker(folder, bundle, index, seconds)
        return worker.run(submission)


class _Worker:
    def __init__(self, folder: Path, bundle: Path, index: Any, seconds: float | None) -> None:
        self._folder = folder
        self._steps: list[Step] = []
        with opened(bundle) as held:
            content = read_yaml(held.read(FILE, MOST_YAML), FILE)
            held.archive.extractall(folder / "bundle")
        tasks = {task["index"]: task for task in content["tasks"]}
        chosen = tasks.get(next(iter(tasks)) if index is None else index)
        if chosen is None or "key" in chosen:
            raise ConfigurationError(f"{bundle}: there is no task of index {index!r} with its files; known: {list(tasks)}")
        self._task: dict[str, Any] = chosen
        phase = next((phase for phase in content["phases"] if self._task["index"] in phase["tasks"]), content["phases"][0])
        self._seconds = seconds or float(phase.get("execution_time_limit") or 600)
        self._columns = [str(column["key"]) for column in content["leaderboards"][0]["columns"]]

    def run(self, submission: Path) -> Tried:
        row: dict[str, float] | None = None
        ignored: tuple[str, ...] = ()
        scoring = self._folder / "scoring"
        try:
            result = self._prediction(submission)
            self._scoring(scoring, result)
            row, ignored = self._push_scores(scoring / "output")
            self._push_output(scoring / "output")
            status, why = "Finished", ""
        except Failed as failed:
            status, why = "Failed", str(failed)
        page = _tail(scoring / "output" / "detailed_results.html", 1 << 20)
        log = _tail(scoring / "shared" / LOG, 1 << 20)
        return Tried(status, why, status != "Failed", row, ignored, tuple(self._steps), page, log)

    # -- the two steps

    def _prediction(self, submission: Path) -> Path:
        """Run the step, and pack its output as the worker does; the path of that archive."""
        root = self._folder / "prediction"
        _unpack_submission(submission, root / "program")
        during_scoring = bool(self._task.get("ingestion_only_during_scoring"))
        if not during_scoring:
            self._provide("ingestion_program", root / "ingestion_program")
        self._provide("input_data", root / "input_data")
        self._step("prediction", root)
        self._push_output(root / "output")
        return Path(shutil.make_archive(str(self._folder / "prediction_result"), "zip", root / "output"))

    def _scoring(self, root: Path, result: Path) -> None:
        self._provide("scoring_program", root / "program")
        self._provide("reference_data", root / "input" / "ref")
        if self._task.get("ingestion_only_during_scoring"):
            self._provide("ingestion_program", root / "ingestion_program")
            self._provide("input_data", root / "input_data")
        with zipfile.ZipFile(result) as archive:
            archive.extractall(root / "input" / "res")
        (root / "shared").mkdir(exist_ok=True)
        step = self._step("scoring", root)
        if step.code:
            raise Failed(f"the scoring program ended with status {step.code}")

    def _provide(self, kind: str, place: Path) -> None:
        """Unpack one of the task's data sets, if it has it."""
        assert kind in TASK_FILES
        if kind not in self._task:
            return
        source = self._folder / "bundle" / str(self._task[kind])
        if source.is_dir():
            shutil.copytree(source, place)
            return
        with opened(source) as held:
            held.archive.extractall(place)

    def _step(self, name: str, root: Path) -> Step:
        started = time.monotonic()
        code: int | None = None
        out = err = ""
        left: tuple[str, ...] = ()
        # The worker runs both programs at a time; here the ingestion program runs first.
        for kind, folder in (("ingestion", root / "ingestion_program"), ("program", root / "program")):
            if not folder.exists():
                continue
            command = _command(folder, kind, root / "output")
            if command is None:
                continue
            (root / "output").mkdir(exist_ok=True)
            ran = _run(command, root, folder, name == "scoring", self._seconds)
            left += ran.left
            if kind == "program":
                code, out, err = ran.code, ran.out, ran.err
            if ran.code is None:
                self._steps.append(Step(name, None, time.monotonic() - started, ran.out, ran.err, _listed(root / "output"), left))
                raise Failed(f"Execution Time Limit exceeded. Limit was {self._seconds:.0f} seconds")
        made = Step(name, code, time.monotonic() - started, out, err, _listed(root / "output"), left)
        self._steps.append(made)
        return made

    # -- what is sent back

    def _push_scores(self, output: Path) -> tuple[dict[str, float], tuple[str, ...]]:
        path = output / "scores.json"
        if not path.is_file():
            raise Failed("Could not find scores file, did the scoring program output it?")
        try:
            scores = parse_json(read_bytes(path, MOST_SCORES), "scores.json")
        except (BoundsError, OSError) as error:
            raise Failed(f"Could not decode scores json properly: {one_line(str(error), 300)}") from None
        if not isinstance(scores, dict):
            raise Failed("scores.json holds no keys and values")
        row: dict[str, float] = {}
        for key, value in scores.items():
            if key not in self._columns:
                continue
            try:
                row[key] = round(float(value), 10)
            except (TypeError, ValueError):
                raise Failed(f"the server cannot store {one_line(repr(value), 60)} under {key}") from None
            if not math.isfinite(row[key]) or abs(row[key]) >= 1e10:
                raise Failed(f"the server cannot store {value!r} under {key}")
        return row, tuple(key for key in scores if key not in self._columns)

    def _push_output(self, output: Path) -> None:
        metadata = output / "metadata"
        if metadata.exists():
            raise Failed("Error, the output directory already contains a metadata file")
        try:
            metadata.write_text("elapsedTime: null\nexitCode: null\n")
        except OSError:
            raise Failed("Metadata file not found") from None


def _unpack_submission(submission: Path, place: Path) -> None:
    if submission.is_dir():
        shutil.copytree(submission, place, symlinks=True)
        return
    if not zipfile.is_zipfile(submission):
        raise ConfigurationError(
            f"{submission}: it is neither a folder nor a zip file; participants send a zip file. Make it with "
            "`python -m evaluator package PATH`"
        )
    with zipfile.ZipFile(submission) as archive:
        if sum(info.file_size for info in archive.infolist()) > MOST_SUBMISSION:
            raise ConfigurationError(f"{submission}: it unpacks to more than {MOST_SUBMISSION:,} bytes. Name another")
        archive.extractall(place)


def _command(folder: Path, kind: str, output: Path) -> str | None:
    """The command of a program's metadata. Without metadata a submission becomes the output, and nothing is run."""
    metadata = next((folder / name for name in ("metadata.yaml", "metadata") if (folder / name).exists()), None)
    if metadata is None:
        if kind == "ingestion":
            raise Failed("Program directory missing 'metadata.yaml/metadata'")
        shutil.copytree(folder, output, symlinks=True)
        return None
    try:
        content = read_yaml(read_bytes(metadata, MOST_YAML), metadata.name)
    except (BundleError, BoundsError, OSError):
        content = None
    command = content.get("command") if isinstance(content, dict) else None
    if not command and kind == "ingestion":
        raise Failed("Program directory missing 'command' in metadata")
    if not command:
        return None  # and the submission is not copied
    for word, place in _SUBSTITUTES.items():
        command = str(command).replace(word, place)
    return str(command)


@dataclass(frozen=True)
class _Ran:
    """``code``: None where the time was up."""

    code: int | None
    out: str
    err: str
    left: tuple[str, ...]


def _run(command: str, root: Path, program: Path, scoring: bool, seconds: float) -> _Ran:
    """Run a command as the worker's container does."""
    for name in ("output", "shared", "input", "data"):
        (root / name).mkdir(exist_ok=True)
    shown = {"/app/program": program, "/app/output": root / "output", "/app/data": root / "data"}
    if scoring:
        shown |= {"/app/shared": root / "shared", "/app/input": root / "input"}
    if (root / "input_data").exists():
        shown["/app/input_data"] = root / "input_data"
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin", "PYTHONUNBUFFERED": "1", "HOME": "/tmp"}
    environment |= {name: os.environ[name] for name in ("OMP_NUM_THREADS", "LD_LIBRARY_PATH") if name in os.environ}
    words = shlex.split(command)
    room = _room(shown)
    if room is None:
        environment |= {"DCK_APP": str(root), "DCK_KIT": str(ROOT)}
        for place, source in sorted(shown.items(), reverse=True):
            words = [word.replace(place, str(source)) for word in words]
        if program != root / "program":
            raise ConfigurationError("an ingestion program is tried in bubblewrap only, which does not work here. Install it")
    become_reaper()
    before = set(descendants(os.getpid()))
    out, err = root / "stdout", root / "stderr"
    with open(out, "wb") as to_out, open(err, "wb") as to_err:
        try:
            process = subprocess.Popen(
                [*(room or []), *words],
                cwd=program,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=to_out,
                stderr=to_err,
                start_new_session=True,
                preexec_fn=_bounded,
            )
        except OSError as error:  # the engine says the same, and the container's status is not 0
            return _Ran(127, "", f"{words[0]}: {error.strerror}", ())
        try:
            code: int | None = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = None
    left = _end(set(descendants(os.getpid())) - before)
    return _Ran(code, _tail(out), _tail(err), left)


def _room(shown: Mapping[str, Path]) -> list[str] | None:
    """The command that makes the room of a container; None where bubblewrap does not work."""
    program = shutil.which("bwrap")
    if program is None:
        return None
    words = [program, "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent", "--as-pid-1", "--cap-drop", "ALL"]
    for entry in sorted(os.scandir("/"), key=lambda entry: entry.name):
        if entry.name in ("proc", "dev", "tmp", "app", "kit", "sys"):
            continue
        link = entry.is_symlink()
        words += ["--symlink", os.readlink(entry.path)] if link else ["--ro-bind-try", entry.path]
        words.append(entry.path)
    words += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--ro-bind", str(ROOT), "/kit", "--dir", "/app"]
    for prefix in dict.fromkeys((sys.base_prefix, sys.prefix)):  # an environment below /tmp is hidden by the room's own
        words += ["--ro-bind", prefix, prefix] if Path(prefix).is_relative_to("/tmp") else []
    for place, source in shown.items():
        words += ["--ro-bind" if place == "/app/data" else "--bind", str(source), place]
    words += ["--chdir", "/app/program", "--"]
    tried = subprocess.run([*words, "true"], capture_output=True, check=False, timeout=30)
    return words if tried.returncode == 0 else None


def _end(pids: set[int]) -> tuple[str, ...]:
    """End processes that outlived their program, and say what they were."""
    found = []
    for pid in sorted(pids):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            if not words:
                continue  # dead, and not yet buried
            os.kill(pid, 9)
        except OSError:
            continue
        found.append(one_line(words, 200))
    return tuple(found)


def _listed(folder: Path) -> dict[str, int]:
    """The files of an output, at most some hundreds, with their sizes."""
    found: dict[str, int] = {}
    for parent, _, names in os.walk(folder):
        for name in sorted(names):
            if len(found) >= 500:
                return found
            path = Path(parent, name)
            found[str(path.relative_to(folder))] = path.lstat().st_size
    return found


def _tail(path: Path, most: int = MOST_PRINTED) -> str:
    """The end of a file that a stranger may have replaced: no link is followed, and no pipe is waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return ""
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            return file.read(most).decode(errors="replace")
    except OSError:
        return ""


def _bounded() -> None:
    """In the child: no file of it fills the disk of whoever tries a bundle. Codabench has no such bound."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_FILE, hard))
