"""Everything for which Codabench's server, or its compute worker, refuses a bundle, checked before it is uploaded.

Also warned of: what they take, and what leaks or is lost there. The rules are those of the server's source (``unpackers/v2.py``,
``unpackers/base_unpacker.py``, the serializers and models that they save by, ``compute_worker.py``) of March 2026. What only the
server knows (its queues, the keys of its data) is not checked; a warning says so.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from evaluator.export.codabench.boards import check_leaderboards
from evaluator.export.codabench.fields import (
    Problem,
    Problems,
    check_text,
    check_whole,
    check_yes_or_no,
    error,
    instant,
    is_key,
    mappings,
    shown,
    text_of,
    warning,
    whole,
)
from evaluator.export.codabench.reading import MOST_LOGO, MOST_TEXT, MOST_YAML, Bundle, BundleError, opened, read_yaml

FILE = "competition.yaml"
DEFAULT_IMAGE = "codalab/codalab-legacy:py37"
DEFAULT_SECONDS = 600
"""Of a step, where a phase does not say; and the most on the server's own queue, unless its administrator allows more."""
TASK_FILES = ("scoring_program", "reference_data", "ingestion_program", "input_data")
MOST_PROGRAM = 256 << 20
"""Bytes of a program's archive inside a bundle whose list is looked at."""
_SWITCHES = (
    "registration_auto_approve",
    "enable_detailed_results",
    "show_detailed_results_in_submission_panel",
    "show_detailed_results_in_leaderboard",
    "auto_run_submissions",
    "can_participants_make_submissions_public",
    "make_programs_available",
    "make_input_data_available",
    "forum_enabled",
)
_PHASE_SWITCHES = ("auto_migrate_to_this_phase", "hide_output", "hide_prediction_output", "hide_score_output")


def check_bundle(path: Path) -> tuple[Problem, ...]:
    """What is wrong with a bundle, errors first. Never raises for what the file holds.

    Raises:
        ConfigurationError: PyYAML is not installed.
        OSError: the file cannot be read.
    """
    try:
        with opened(path) as bundle:
            found = list(_checked(bundle))
    except BundleError as refused:
        place, _, text = str(refused).partition(": ")
        found = [error(refused.check, place, text)]
    return tuple(sorted(dict.fromkeys(found), key=lambda problem: problem.kind != "error"))


def _checked(bundle: Bundle) -> Problems:
    if FILE not in bundle.files:
        near = next((name for name in bundle.files if PurePosixPath(name).name in (FILE, "competition.yml")), None)
        said = f"it is at {shown(near)}" if near else "there is none"
        yield error(
            "competition.yaml", FILE, f"{said}; it was expected at the root of the archive. Pack the files, not their folder"
        )
        return
    content = read_yaml(bundle.read(FILE, MOST_YAML), FILE)
    if not isinstance(content, Mapping):
        yield error("competition.yaml", FILE, f"it holds {shown(content)}; keys and values were expected. Write them")
        return
    version = str(content.get("version", "1"))
    if version != "2":
        yield error("version", f"{FILE}: version", f"it is {shown(version)}; 2 was expected. Write version: 2")
        return
    yield from _competition(content)
    yield from _image(bundle, content)
    yield from _pages(bundle, content)
    yield from _terms(bundle, content)
    tasks = _Tasks(bundle, content)
    yield from tasks.problems
    yield from _solutions(bundle, content, tasks)
    yield from _phases(bundle, content, tasks)
    yield from check_leaderboards(content, FILE)


def _competition(content: Mapping[str, Any]) -> Problems:
    yield from check_text("title", f"{FILE}: title", content.get("title"), 256)
    image = content.get("docker_image")
    if image is None:
        text = f"there is none, so {DEFAULT_IMAGE} is used; an image of your own was expected. Name it"
        yield warning("docker image", f"{FILE}: docker_image", text)
    else:
        yield from check_text("docker image", f"{FILE}: docker_image", image, 128)
    for name in _SWITCHES:
        if name in content:
            yield from check_yes_or_no(f"{FILE}: {name}", content[name])
    kind = content.get("competition_type", "competition")
    if kind not in ("competition", "benchmark"):
        yield error("type", f"{FILE}: competition_type", f"it is {shown(kind)}; competition or benchmark was expected. Write one")
    for name, most in (("reward", 256), ("contact_email", 256), ("description", 0)):
        yield from check_text(name, f"{FILE}: {name}", content.get(name), most, needed=False)
    address = content.get("contact_email")
    if isinstance(address, str) and ("@" not in address.strip("@") or " " in address or "." not in address.rpartition("@")[2]):
        yield error("contact_email", f"{FILE}: contact_email", f"it is {shown(address)}; an address was expected. Write one")
    yield from _fact_sheet(content.get("fact_sheet"))
    queue = content.get("queue")
    if queue and not is_key(queue):
        text = f"it is {shown(queue)}; the queue's vhost, a UUID, was expected. Take it from the page of the queue"
        yield error("queue key", f"{FILE}: queue", text)
    elif queue:
        text = f"whether the server has the queue {shown(queue)}, and you may use it, cannot be seen here"
        yield warning("queue", f"{FILE}: queue", text)


def _fact_sheet(sheet: Any) -> Problems:
    if not sheet:
        return
    place, keys = f"{FILE}: fact_sheet", {"key", "type", "title", "selection", "is_required", "is_on_leaderboard"}
    if not isinstance(sheet, Mapping):
        yield error("fact sheet", place, f"it is {shown(sheet)}; keys and values were expected. Write them")
        return
    for key, value in sheet.items():
        if not isinstance(value, Mapping) or set(value) != keys:
            text = f"it has not exactly the keys {', '.join(sorted(keys))}; those were expected. Write them all"
            yield error("fact sheet", f"{place}.{shown(key)}", text)
        elif value["key"] != key or value["type"] not in ("checkbox", "text", "select"):
            text = "its key is not the question's own, or its type is not checkbox, text or select. Correct it"
            yield error("fact sheet", f"{place}.{shown(key)}", text)


def _image(bundle: Bundle, content: Mapping[str, Any]) -> Problems:
    place = f"{FILE}: image"
    if "image" not in content:
        yield error("image", place, "there is no key image; the path of a logo was expected. Name a PNG or JPEG file")
        return
    path = _inside(content["image"])
    if path is None or path not in bundle.files:
        yield error("image", place, f"there is no file {shown(content['image'])} in the archive. Put it there")
        return
    from PIL import Image

    raw = bundle.read(path, MOST_LOGO)
    try:
        with Image.open(io.BytesIO(raw), formats=("PNG", "JPEG", "GIF")) as image:
            width, height = image.size
            if not 0 < width * height <= 50_000_000 or int(100 / width * height) < 1:
                text = f"it has {width} x {height} pixels; an icon of 100 pixels across is made of it. Use a logo of another shape"
                yield error("image", place, text)
                return
            image.verify()
    except Exception as fault:  # Pillow raises what it likes for a damaged file
        yield error("image", place, f"{shown(path)} is no PNG, JPEG or GIF ({shown(str(fault))}). Use another file")


def _inside(path: Any) -> str | None:
    """A path of the YAML file as the archive's list spells it; None for what is no path inside the archive."""
    if not isinstance(path, str) or not path or path.startswith("/"):
        return None
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return None if not parts or ".." in parts else "/".join(parts)


def _content(bundle: Bundle, check: str, place: str, path: Any) -> Problems:
    """A text file that is there and not empty."""
    found = _inside(path)
    if found is None or found not in bundle.files:
        yield error(check, place, f"there is no file {shown(path)} in the archive. Put it there")
        return
    raw = bundle.read(found, MOST_TEXT)
    if not raw:
        yield error(check, place, f"{shown(path)} is empty; it must have content. Write it")
        return
    try:
        raw.decode()
    except UnicodeDecodeError:
        yield error(check, place, f"{shown(path)} is no UTF-8. Write it in UTF-8")


def _pages(bundle: Bundle, content: Mapping[str, Any]) -> Problems:
    pages, problems = mappings("pages", f"{FILE}: pages", content.get("pages"), "pages with title and file")
    yield from problems
    for at, page in pages:
        yield from check_text("page title", f"{at}.title", page.get("title"), 255)
        yield from _content(bundle, "page file", f"{at}.file", page.get("file"))


def _terms(bundle: Bundle, content: Mapping[str, Any]) -> Problems:
    if "terms" not in content:
        yield error("terms", f"{FILE}: terms", "there is no key terms; the path of a file with the terms was expected. Name it")
    else:
        yield from _content(bundle, "terms", f"{FILE}: terms", content["terms"])


class _Tasks:
    """The tasks of a bundle: their indexes, and what is wrong with them."""

    def __init__(self, bundle: Bundle, content: Mapping[str, Any]) -> None:
        self.indexes: list[Any] = []
        self.problems = [*self._look(bundle, content)]

    def _look(self, bundle: Bundle, content: Mapping[str, Any]) -> Problems:
        if "tasks" not in content:
            yield error("tasks", f"{FILE}: tasks", "there is no key tasks; a list of tasks was expected. Write one")
            return
        tasks, problems = mappings("tasks", f"{FILE}: tasks", content["tasks"], "tasks")
        yield from problems
        for at, task in tasks:
            index = task.get("index")
            if "index" not in task or isinstance(index, (list, dict)):
                yield error("task index", f"{at}.index", "there is none; every task has a number of its own. Give it one")
                continue
            if index in self.indexes:
                yield error("task index twice", f"{at}.index", f"{shown(index)} is the index of another task. Give it its own")
            self.indexes.append(index)
            if "key" in task:
                yield warning("task key", f"{at}.key", "whether the server has a task of that key cannot be seen here")
                continue
            yield from check_text("task name", f"{at}.name", task.get("name"), 256)
            if "ingestion_only_during_scoring" in task:
                yield from check_yes_or_no(f"{at}.ingestion_only_during_scoring", task["ingestion_only_during_scoring"])
            if "scoring_program" not in task:
                text = "there is none; every task has a scoring program. Name its folder or zip file"
                yield error("scoring program", f"{at}.scoring_program", text)
            for kind in TASK_FILES:
                if kind in task:
                    yield from _data(bundle, f"{at}.{kind}", task[kind], kind)
            yield from _leaks(at, task)


def _leaks(at: str, task: Mapping[str, Any]) -> Problems:
    if "input_data" in task:
        text = "a submission's own program sees it in the prediction step; nothing hidden may lie in it. Leave it out"
        yield warning("input data", f"{at}.input_data", text)
    if "ingestion_program" in task:
        text = "it runs beside the submission's own program, which shares its output folder and can forge it. Leave it out"
        yield warning("ingestion program", f"{at}.ingestion_program", text)


def _data(bundle: Bundle, place: str, path: Any, kind: str) -> Problems:
    """A data set that the server saves: a folder or a zip file of the archive, or the key of what it has."""
    found = _inside(path)
    if found is None or not bundle.has(found):
        if not is_key(path):
            yield error(kind, place, f"there is no file or folder {shown(path)} in the archive. Put it there")
        else:
            yield warning("data key", place, f"whether the server has data of the key {shown(path)} cannot be seen here")
        return
    if kind in ("public_data", "starting_kit"):
        return
    names, raw = _names(bundle, found)
    if names is None:
        yield error("inner zip", place, f"{shown(path)} is neither a folder nor a zip file; the worker unpacks it. Pack it as zip")
        return
    if not names:
        yield error("inner zip", place, f"{shown(path)} holds no file; the worker cannot unpack nothing. Put files there")
    if kind in ("scoring_program", "ingestion_program"):
        metadata = next((name for name in ("metadata.yaml", "metadata") if name in names), None)
        if metadata is None:
            yield error(
                "metadata", place, f"{shown(path)} holds no metadata.yaml, so the worker runs nothing. Write one with a command"
            )
            return
        yield from _command(f"{place}: {metadata}", raw(metadata))


def _names(bundle: Bundle, path: str) -> tuple[set[str] | None, Any]:
    """The files of a folder or of a zip file of the archive, and what reads one of them; None for neither."""
    if path in bundle.folders:
        inside = {name[len(path) + 1 :] for name in bundle.files if name.startswith(f"{path}/")}
        return inside, lambda name: bundle.read(f"{path}/{name}", MOST_YAML)
    if bundle.files[path] > MOST_PROGRAM:  # data: it is enough that it begins as a zip file does
        with bundle.archive.open(path) as stream:
            return ({"..."}, None) if stream.read(4) == b"PK\3\4" else (None, None)
    try:
        inner = zipfile.ZipFile(io.BytesIO(bundle.read(path, MOST_PROGRAM)))
        sizes = {info.filename: info.file_size for info in inner.infolist() if not info.is_dir()}
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError):
        return None, None
    return set(sizes), lambda name: inner.read(name) if sizes[name] <= MOST_YAML else b""


def _command(place: str, raw: bytes) -> Problems:
    try:
        content = read_yaml(raw, place)
    except BundleError:
        content = None
    command = content.get("command") if isinstance(content, Mapping) else None
    if not command or not isinstance(command, str):
        yield error("metadata", place, "it has no command, so the worker runs nothing and finds no scores. Write command: ...")


def _solutions(bundle: Bundle, content: Mapping[str, Any], tasks: _Tasks) -> Problems:
    if not content.get("solutions"):
        return
    solutions, problems = mappings("solutions", f"{FILE}: solutions", content["solutions"], "solutions")
    yield from problems
    for at, solution in solutions:
        of = solution.get("tasks")
        if "index" not in solution:
            yield error("solutions", f"{at}.index", "there is none; every solution has a number of its own. Give it one")
        if not isinstance(of, list) or any(index not in tasks.indexes for index in of):
            yield error("solutions", f"{at}.tasks", f"it is {shown(of)}; a list of indexes of tasks was expected. Correct it")
        if "key" not in solution:
            yield from _data(bundle, f"{at}.path", solution.get("path"), "solutions")


def _phases(bundle: Bundle, content: Mapping[str, Any], tasks: _Tasks) -> Problems:
    if not content.get("phases"):
        yield error("phases", f"{FILE}: phases", "there are none; a list of one phase or more was expected. Write one")
        return
    phases, problems = mappings("phases", f"{FILE}: phases", content["phases"], "phases")
    yield from problems
    if any(whole(phase.get("index", 0)) is None for _, phase in phases):
        yield error("phase index", f"{FILE}: phases", "an index of a phase is no whole number. Number the phases from 0")
        return
    phases.sort(key=lambda phase: whole(phase[1].get("index", 0)) or 0)
    before: tuple[str, Any] | None = None
    for number, (at, phase) in enumerate(phases):
        yield from check_text("phase name", f"{at}.name", phase.get("name"), 256)
        yield from _limits(at, phase, text_of(content.get("queue")) or "")
        start, wrong = instant(f"{at}.start", phase.get("start"))
        yield from wrong
        if start is None and not wrong:
            yield error("phase start", f"{at}.start", "there is none; every phase has a start. Write one")
        end, wrong = instant(f"{at}.end", phase.get("end"))
        yield from wrong
        last = number == len(phases) - 1
        if end is None and not wrong and not last:
            yield error("phase end", f"{at}.end", "there is none, and a phase follows; only the last may be without end. Write one")
        if start and end and end <= start:
            yield warning("phase length", f"{at}.end", f"it is {end}, and the start {start}; nobody can submit. Correct one")
        if before and start and before[1] and start <= before[1]:
            yield error("phase order", f"{at}.start", f"it is {start}, not after the end of {before[0]}, {before[1]}. Start later")
        before = (at, end)
        yield from _phase_tasks(at, phase, tasks)
        if number == 0 and phase.get("auto_migrate_to_this_phase"):
            text = "it is true for the first phase, which no submission can be taken over to. Write false"
            yield error("auto migrate", f"{at}.auto_migrate_to_this_phase", text)
        for kind in ("public_data", "starting_kit"):
            if kind in phase:
                yield from _data(bundle, f"{at}.{kind}", phase[kind], kind)


def _phase_tasks(at: str, phase: Mapping[str, Any], tasks: _Tasks) -> Problems:
    of = phase.get("tasks")
    if not isinstance(of, list) or not of:
        yield error("phase tasks", f"{at}.tasks", f"it is {shown(of)}; a list of indexes of tasks was expected. Write one")
        return
    listed = not any(problem.check in ("tasks", "task index") for problem in tasks.problems)
    for index in of:
        if listed and index not in tasks.indexes:
            yield error("phase tasks", f"{at}.tasks", f"there is no task of index {shown(index)}. Name those that there are")


def _limits(at: str, phase: Mapping[str, Any], queue: str) -> Problems:
    for name in ("max_submissions_per_day", "max_submissions"):
        if name in phase:
            yield from check_whole("most submissions", f"{at}.{name}", phase[name], needed=False)
    for name in _PHASE_SWITCHES:
        if name in phase:
            yield from check_yes_or_no(f"{at}.{name}", phase[name])
    place, seconds = f"{at}.execution_time_limit", phase.get("execution_time_limit")
    if not seconds:
        yield warning("time limit", place, f"there is none, so each step has {DEFAULT_SECONDS} seconds. Write how many it needs")
        return
    wrong = [*check_whole("time limit", place, seconds, least=1)]
    yield from wrong
    if not wrong and (whole(seconds) or 0) > DEFAULT_SECONDS and not queue:
        text = f"it is {seconds}, and the server's own queue cuts at {DEFAULT_SECONDS} by default. Name a queue of yours with queue"
        yield warning("default queue", place, text)
