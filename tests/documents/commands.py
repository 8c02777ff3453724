"""What stands in a block of shell: its commands, one by one, and whether each is a command that the kit has.

A command is held against what reads it: the parser of its verb, the targets of the Makefile, the options in a script's source, the
files of the checkout. Placeholders in angle brackets (``results/<run>``) and ``...`` (more options) are left open.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import shlex
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from tests.documents.markdown import ROOT, Block

SHELL = {"bash", "sh", "shell", "console"}
OTHER = {"text", "toml", "csv", "json", "html", "yaml", "diff"}
_PROMPT = re.compile(r"^\$ ")
_PLACE = re.compile(r"<([A-Za-z][\w -]*)>")
_ASSIGNED = re.compile(r"^[A-Za-z_]\w*=")
PROGRAMS = {
    *("cd", "mkdir", "cp", "sleep", "source", ".", "(umask", "openssl", "sha256sum", "head"),
    *("docker", "git", "pre-commit", "ray", "srun", "apt-get"),
}
"""Programs that are not the kit's; what they are given is not looked at."""
FOLDERS = ("baselines/", "benchmarks/", "docs/", "evaluator/", "experiments/", "my_submission", "tests/")
"""What begins like this is a file of the checkout, so it must be there."""


@dataclass(frozen=True)
class Command:
    """One command of a block: where it begins, as it is written, its words (without a redirection), and the file that it writes."""

    where: str
    text: str
    words: tuple[str, ...]
    written: str = ""


def is_shell(block: Block) -> bool:
    """Whether a block holds commands. A fence without a language holds commands where a line begins with one of ours."""
    if block.language:
        return block.language in SHELL
    return bool(re.search(r"^(\$ )?(python|make|dck|pip|docker build|git clone) ", block.text, re.MULTILINE))


def commands(block: Block) -> list[Command]:
    """The commands of a block of shell, in order.

    Raises:
        ValueError: a quotation that does not end.
    """
    found: list[Command] = []
    held, begun = "", 0
    console = block.language == "console"
    for number, raw in enumerate(block.text.split("\n"), block.line + 1):
        if console and not held and not _PROMPT.match(raw):
            continue  # what the command printed
        line = _uncommented(_PROMPT.sub("", raw)).rstrip()
        begun = begun if held else number
        held += line.removesuffix("\\")
        if line.endswith("\\") or not held.strip():
            continue
        # A loop or a job of several lines is one text for the shell; everything else stands alone on its line.
        for part in held.split(" && "):
            found.append(_command(f"{block.page}:{begun}", part.strip()))
        held = ""
    return found


def _uncommented(line: str) -> str:
    """A line without its comment: ``#`` at the beginning of a word, outside of quotations."""
    quote = ""
    for at, letter in enumerate(line):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "#" and (at == 0 or line[at - 1].isspace()):
            return line[:at]
    return line


def _command(where: str, text: str) -> Command:
    words = shlex.split(_PLACE.sub(r"{\1}", text))
    written = ""
    if len(words) > 2 and words[-2] == ">":
        written, words = words[-1], words[:-2]
    return Command(where, text, tuple(words), written)


def kit_words(command: Command) -> tuple[str, tuple[str, ...]]:
    """Which command line of the kit it is (``evaluator``, ``local_evaluation``, or empty for none), and the words after it."""
    words = command.words
    while words and _ASSIGNED.match(words[0]):
        words = words[1:]
    if words[:1] == ("dck",):
        return "evaluator", words[1:]
    if words and re.fullmatch(r"(?:\S*/)?python3?", words[0]):
        if words[1:3] == ("-m", "evaluator"):
            return "evaluator", words[3:]
        if words[1:2] == ("local_evaluation.py",):
            return "local_evaluation", words[2:]
    return "", ()


def fault(command: Command) -> str:
    """Why a command cannot be right; empty where nothing speaks against it."""
    which, words = kit_words(command)
    # `...` stands for options that are shown elsewhere, so those that must be given may be absent.
    said = _parsed(which, words) if which and "..." not in words else "" if which else _other(command)
    return said or next((f"there is no {word}" for word in command.words if _lacking(word)), "")


def _lacking(word: str) -> bool:
    path = word.partition("=")[2] if word.startswith("--") else word
    if not path.startswith(FOLDERS) or "{" in path:
        return False
    return not (any(ROOT.glob(path)) if set(path) & set("*?[") else (ROOT / path).exists())


def _parsed(which: str, words: tuple[str, ...]) -> str:
    """What the parser says of the words."""
    from evaluator.errors import ConfigurationError

    known = _without_file(words)
    if any(word.startswith("{") for word in known[:1]):
        return ""  # any verb
    try:
        parser = _parser(which, _track(which, known))
    except ConfigurationError as error:
        return str(error)
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        try:
            args = parser.parse_args(list(known))
        except SystemExit as end:
            said = [line for line in errors.getvalue().split("\n") if ": error: " in line]
            return "" if end.code in (0, None) else (said or ["a command is missing"])[0]
    return _values(args)


def _without_file(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words without a ``--file`` that is not there: the track may stand in that file, which the reader is to write."""
    if "--file" in words and not Path(words[words.index("--file") + 1]).exists():
        at = words.index("--file")
        return words[:at] + words[at + 2 :]
    return words


def _track(which: str, words: tuple[str, ...]) -> str:
    if which == "evaluator" and words[:1] != ("sweep",):
        return ""
    return words[words.index("--track") + 1] if "--track" in words[:-1] else ""


@cache
def _parser(which: str, track: str) -> argparse.ArgumentParser:
    import local_evaluation
    from evaluator.cli.main import build_parser
    from evaluator.cli.tracks import DEFAULT, named

    make = build_parser if which == "evaluator" else local_evaluation.build_parser
    return make(named(track) if track else DEFAULT)


def _values(args: argparse.Namespace) -> str:
    """Names that are looked up later: profiles, pipelines, pairs."""
    from evaluator import cleaning, curation  # noqa: F401
    from evaluator.cleaning.rules import PROFILES as CLEANING
    from evaluator.curation.rules import PROFILES as CURATION
    from evaluator.purchase.profiles import PROFILES
    from evaluator.purchase.rounds import Pair
    from evaluator.training.recipes import PIPELINES

    profiles = {*PROFILES, *CLEANING, *CURATION}
    given = getattr(args, "profile", None)
    if isinstance(given, str) and given not in profiles and not given.endswith(".toml"):
        return f"--profile: there is no profile {given}"
    if getattr(args, "track", "purchase") == "purchase":
        named = [getattr(args, "pipeline", None), *(getattr(args, "pipelines", None) or ())]
        for name in named:
            if isinstance(name, str) and name not in PIPELINES and not name.endswith(".toml") and "{" not in name:
                return f"--pipeline: there is no pipeline {name}"
        for pair in getattr(args, "pair", None) or ():
            if isinstance(pair, str):
                Pair.parse(pair)
    return ""


def _other(command: Command) -> str:
    """What speaks against a command that is not one of the kit's two command lines."""
    words = list(command.words)
    while words and _ASSIGNED.match(words[0]):
        words.pop(0)
    if not words or "$(" in command.text:
        return ""  # an assignment, or what only a shell understands
    first, rest = words[0], words[1:]
    if first == "make":
        targets, variables = _makefile()
        unknown = [word for word in rest if not _ASSIGNED.match(word) and word not in targets]
        unknown += [word for word in rest if _ASSIGNED.match(word) and word.partition("=")[0] not in variables]
        return f"the Makefile has no {', '.join(unknown)}" if unknown else ""
    if first in ("pip", "python3 -m pip"):
        files = [after for word, after in pairwise(rest) if word == "-r"]
        return next((f"there is no {name}" for name in files if not (ROOT / name).is_file()), "")
    if re.fullmatch(r"(?:\S*/)?python3?", first):
        return _script(rest)
    return "" if first in PROGRAMS else f"{first}: no program that tests/documents/commands.py knows"


@cache
def _makefile() -> tuple[frozenset[str], frozenset[str]]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return (
        frozenset(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE)),
        frozenset(re.findall(r"^([A-Z]+) \?=", text, re.MULTILINE)) | {"PYTHON"},
    )


def _script(words: list[str]) -> str:
    """``python -m MODULE`` or ``python FILE``: it is there, and its source names the options."""
    if words[:1] == ["-m"]:
        if words[1] in ("venv", "pip", "pytest"):
            return ""
        path = ROOT / words[1].replace(".", "/")
        file = next((file for file in (path.with_suffix(".py"), path / "__main__.py") if file.is_file()), None)
        rest = words[2:]
    else:
        file, rest = ROOT / words[0], words[1:]
    if file is None or not file.is_file():
        return f"there is no {' '.join(words[:2])}"
    neighbours = [file, *file.parent.glob("*.py")]
    source = "".join(path.read_text(encoding="utf-8") for path in neighbours)
    options = [word.partition("=")[0] for word in rest if word.startswith("--")]
    return next((f"{file.relative_to(ROOT)} has no option {option}" for option in options if f'"{option}"' not in source), "")
