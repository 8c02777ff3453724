"""What can be said of a submission before it runs, from its files alone: in less than two seconds, without data and without torch.

Nothing of the submission is imported: its sources are parsed by a process of its own with limits (``outlines``), and what is found
is judged here. All of it is found at once. An error is certain; where the text does not decide, the run does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from evaluator.errors import SubmissionError
from evaluator.submission.apt import FILE as APT
from evaluator.submission.apt import read_apt
from evaluator.submission.environment import FILE as REQUIREMENTS
from evaluator.submission.environment import read_requirements
from evaluator.submission.findings import Finding, Findings, in_order
from evaluator.submission.hooks import Interface, OutOfTime, Sources, check_class
from evaluator.submission.import_checks import check_imports, check_names
from evaluator.submission.manifest import KEYS, manifest_faults
from evaluator.submission.outlines import Outline, outlines
from evaluator.submission.package import REFUSED
from evaluator.submission.source import Submission, opened, plain_name
from evaluator.worker.loader import entry_name

SECONDS = 2.0
"""Largest duration of it all where a run waits for it; the verb ``validate`` takes longer."""
PARSING = 0.75
"""Share of that which the outlines may take."""
MOST_BYTES = 16 << 20
"""Bytes of sources that are looked at; the entry comes first."""
DOCKERFILES = ("Dockerfile", "Containerfile", "docker-compose.yml", "environment.yml", "environment.yaml")
"""Files that other platforms make an environment of."""
SYSTEM = ("/bin", "/dev", "/etc", "/lib", "/proc", "/run", "/sys", "/tmp", "/usr", "/var/tmp")
"""Where a worker finds files of its own; a path there says nothing about the participant's machine."""


def examine(path: Path, track: str, seconds: float = SECONDS, *, image: bool = False, home: bool = False) -> Findings:
    """Everything that is found in the submission at ``path``. Never raises for what lies there.

    Args:
        track: name of the track whose interface it is held against.
        seconds: largest duration of parsing its sources and of all checks of them; what is not reached in time is a warning.
        image: whether it runs in an image of its own (``image``), which holds what its ``requirements.txt`` asks for.
        home: whether this is the author's machine. Only there paths outside the submission are looked at: what a judge finds goes
            back to its author, who could ask it so which files the judge's machine has.
    """
    interface = Interface.of(track)
    manifest = list(manifest_findings(path))
    end = time.monotonic() + seconds
    try:
        with opened(path) as submission:
            outlined, unread = _outlined(submission, PARSING * seconds)
            sources = replace(outlined, end=end)
            found: list[Finding] = []
            name = ""
            try:
                found += _sources(sources, unread)
                if not sources.of[sources.entry].fault and interface is not None:
                    checked, name = check_class(sources, interface)
                    found += checked
                found += check_imports(sources, image and bool(read_requirements(path)))
                found += check_names(sources)
                found += _left_behind(submission, sources, home)
            except OutOfTime:
                text = f"its sources were not checked to the end, since {seconds:g} s were over; expected fewer names and bases. "
                found.append(Finding("warning", sources.entry, f"{text}The run decides"))
            found += [*manifest, *_environment(path), *_refused(submission)]
            left = tuple(sorted((name, why) for name, why in submission.tree.left.items()))
            size = sum(item.size for item in submission.items)
            return Findings(submission.name, str(path), in_order(found), left, len(submission.items), size, name)
    except SubmissionError as error:
        return unreadable(path, error)


def unreadable(path: Path, error: SubmissionError) -> Findings:
    """What is said of a submission that cannot be read at all, and why."""
    place, _, text = str(error).partition(": ")
    found = [Finding("error", place, text) if text else Finding("error", str(path), str(error)), *manifest_findings(path)]
    return Findings(plain_name(path), str(path), in_order(found), unread=True)


def _environment(path: Path) -> Iterator[Finding]:
    """What is wrong with ``apt.txt``, and files that look as if they decided where the submission runs."""
    for line, fault in read_apt(path).faults:
        yield Finding("error", f"{APT}, line {line}" if line else APT, fault)
    for name in DOCKERFILES:
        if (path / name).is_file():
            text = "it is not used: an image is made of apt.txt and requirements.txt alone. Name there what you need"
            yield Finding("warning", name, text)


def unmet_requirements(path: Path) -> Iterator[Finding]:
    """Lines of the submission's own ``requirements.txt`` that this environment does not meet, as warnings."""
    for lack in read_requirements(path):
        place = f"{REQUIREMENTS}, line {lack.line}" if lack.line else REQUIREMENTS
        yield Finding("warning", place, lack.problem)


def _outlined(submission: Submission, seconds: float) -> tuple[Sources, int]:
    """The outlines of the sources, and how many sources were not looked at."""
    names = {item.name: item for item in submission.items}
    if submission.path.is_dir():
        top = {name for name in names if "/" not in name}
        entry = entry_name(top, submission.name, lambda: submission.tree.content(names["__init__.py"]))
    else:
        entry = submission.path.name
    sources, total = {}, 0
    ordered = sorted(
        (item for item in submission.items if item.name.endswith(".py")), key=lambda item: (item.name != entry, item.size)
    )
    for item in ordered:
        total += item.size
        if total > MOST_BYTES:
            break
        sources[item.name] = submission.tree.content(item)
    made = outlines(sources, seconds)
    return Sources(entry, {entry: Outline(entry, dynamic=True)} | made), len(ordered) - len(made)


def _sources(sources: Sources, unread: int) -> Iterator[Finding]:
    reached = sources.reached()
    for file, outline in sources.of.items():
        if outline.fault:
            where = file + (f", line {outline.fault_line}" if outline.fault_line else "")
            text = f"it does not compile ({outline.fault}); expected Python as this interpreter reads it. Mend the line"
            yield Finding("error" if reached.get(file) else "warning", where, text)
    if unread:
        text = f"{unread} of its sources were not looked at; they are too large, or there was no time. Run validate for longer"
        yield Finding("warning", sources.entry, text)


def _refused(submission: Submission) -> Iterator[Finding]:
    """Names that a platform takes for orders of its own. They are refused whatever the submission is meant for: such a file does
    nothing anywhere else, and one package should be fit for every judge."""
    for item in submission.items:
        if len(item.place) == 1 and item.name.lower() in REFUSED:
            text = "a file of that name at the top is an order to some platforms, which then pass nothing else on. Rename it"
            yield Finding("error", item.name, text)


def manifest_findings(path: Path) -> Iterator[Finding]:
    """What is wrong with the manifest of the submission at ``path``, and keys that were probably meant otherwise."""
    faults, keys = manifest_faults(path)
    for fault in faults:
        place, _, text = fault.partition(": ")
        yield Finding("error", place, text) if text else Finding("error", "aicrowd.json", fault)
    for key in keys:
        near = get_close_matches(key.lower(), KEYS, 1, 0.75)
        if key not in KEYS and near and near[0] not in keys:
            yield Finding("warning", "aicrowd.json", f"the key {key!r} is not known, so it says nothing; did you mean {near[0]!r}?")


def _left_behind(submission: Submission, sources: Sources, home: bool) -> Iterator[Finding]:
    """Files that a source names and that will not be there when it runs. ``home``: as of ``examine``."""
    travels = {item.name for item in submission.items}
    folders = {"/".join(item.place[:n]) for item in submission.items for n in range(1, len(item.place))}
    root = submission.tree.root
    told: set[str] = set()
    for file, outline in sources.of.items():
        sources.tick()
        for module, _, line, when in outline.imports:
            if when == "hidden" and not submission.path.is_dir():
                name = module.partition(".")[0]
                if f"{name}.py" not in travels and name not in folders and os.path.isfile(root / f"{name}.py"):
                    text = f"it imports {name} by import_module; {name}.py does not travel with a submission of one file. "
                    yield Finding("warning", f"{file}, line {line}", f"{text}Write import {name}, or submit a folder")
        for text, line in outline.strings:
            sources.tick()
            name = text.removeprefix("./")
            if text in told or name in travels or name.rstrip("/") in folders:
                continue
            told.add(text)
            if (why := _missing(text, name, submission, root, home)) and why not in told:
                yield Finding("warning", f"{file}, line {line}", f"names {text!r}, {why}")


def _missing(text: str, name: str, submission: Submission, root: Path, home: bool) -> str:
    """Why a file that is here will not be there, in words; empty for what is no file here."""
    if text.startswith(("/", "~/")):
        if not home:
            return ""
        place = os.path.expanduser(text)
        if len(place) < 2 or place.startswith(SYSTEM) or not os.path.exists(place):
            return ""
        inside = os.path.realpath(place).startswith(os.path.realpath(root) + os.sep)
        advice = "Use a path beside __file__" if inside else "Put it into the submission's folder, or give weights by --weights-dir"
        return f"a path of this machine; where the submission is judged it does not exist. {advice}"
    if ".." in name.split("/") or "//" in name or not os.path.lexists(root / name):
        return ""
    top = name.partition("/")[0]
    if submission.path.is_dir():
        parts, left = name.split("/"), submission.tree.left
        why = next((left[above] for n in range(1, len(parts) + 1) if (above := "/".join(parts[:n])) in left), "")
        return f"which stays behind ({why}); only what travels is there when it runs. Give it another name" if why else ""
    return f"but {top} does not travel with a submission of one file; only modules that it imports do. Submit a folder"
