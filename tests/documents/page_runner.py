"""Runs the blocks of one page, in order, in a copy of the kit: ``python -m tests.documents.page_runner PAGE`` in that copy.

Everything is as a reader types it, but small: the profiles have few images, a model that trains in milliseconds and one pair,
and a command repeats at most twice. A command of the kit runs in a process that is forked off, so that torch is imported once
for a page; everything else goes to bash. Prints a line of JSON for each command: where, text, status, seconds, what it said.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import runpy
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.documents.commands import Command, commands, is_shell, kit_words
from tests.documents.markdown import Block, blocks

HERE = Path.cwd()
MOST = {"--seeds": 2, "--data-sets": 2, "--until": 2, "--repeats": 2, "--workers": 1}
"""The most that an option is given."""
FEWER = {r"^public$": "profile", r"^hidden:\d+$": "hidden:1", r"^grid:(\d+),(\d+)\S*x(\d+),(\d+)\S*$": r"grid:\1,\2x\3,\4"}
"""Values that ask for many pairs, and what asks for few."""
MOST_FILES = 3
"""The most that a pattern stands for."""
ADDED = {("curation", "boost"): ("--pool", "1000", "--rounds", "1")}
"""Options that make a command small whose own defaults are large."""
LEFT_OUT = ("pip", "make", "source", ".")
"""What would change the environment: checked (`test_blocks`), not run."""
SECONDS = 600
"""Of one command."""
_BEFORE: dict[str, tuple[str, ...]] = {}
"""The words of the last command of the kit, for ``...``."""


def small() -> None:
    """Make profiles small: the images of ``debug``, one pair, much time. A pipeline is a linear model, trained in this process.

    A profile that uses its data whole does so here, too: that decides who can name an image of its pool.
    """
    from evaluator.curation import embedded, rules
    from evaluator.purchase import profiles
    from evaluator.runner import workers
    from evaluator.training.recipes import PIPELINES

    for name, pipeline in PIPELINES.items():
        if not pipeline.proxy:
            PIPELINES[name] = replace(PIPELINES["milliseconds"], name=name)

    def train(self: Any, tasks: Iterable[Any], started: Callable[[Any], None] = lambda task: None) -> Iterator[Any]:
        for task in tasks:
            started(task)
            yield task, workers.judged(task)

    workers.Workers.train = train  # type: ignore[method-assign]
    for name in embedded.SIZES:
        embedded.SIZES[name] = embedded.SIZES["debug"]  # type: ignore[index]
    for name, rule in rules.PROFILES.items():
        rules.PROFILES[name] = replace(rule, pipeline=rules.PROFILES["debug"].pipeline)  # type: ignore[index]

    debug = profiles.PROFILES["debug"]
    for name, profile in list(profiles.PROFILES.items()):
        profiles.PROFILES[name] = replace(
            debug,
            name=name,
            round=profile.round,
            pairs=profile.pairs[:1],
            pipeline=profile.pipeline,
            data_folder=profile.data_folder,
            shift=profile.shift,
            drawn=debug.drawn if profile.drawn else {},
            budget_scale=0.02,
            seconds_per_minute=60.0,
            prediction_seconds=600.0,
        )


def smaller(words: tuple[str, ...]) -> list[str]:
    """The words of a command, with at most as many repetitions as ``MOST`` says."""
    found, most = list(words), MOST | ({"--seeds": 4} if "--until" in words else {})
    for at, word in enumerate(found[:-1]):
        if word in most and found[at + 1].isdigit():
            found[at + 1] = str(min(int(found[at + 1]), most[word]))
    for much, little in FEWER.items():
        found = [re.sub(much, little, word) for word in found]
    return [*found, *ADDED.get(words[:2], ())]


def filled(word: str, given: dict[str, str]) -> str:
    """A word with its placeholders filled in: those that the page's setting names, and ``{hash}``, ``{run}`` by what is there."""
    for name, value in given.items():
        word = value if word == name else word.replace("{" + name + "}", value)
    if "{" not in word:
        return word
    there = sorted(HERE.glob(re.sub(r"\{[^}]*\}", "*", word)), key=lambda path: path.stat().st_mtime)
    there = [path for path in there if path.is_file() or any(path.glob("*.json"))]
    return str(there[0].relative_to(HERE)) if there else word


def forked(work: Callable[[], object], said: Path) -> int:
    """Do something in a process of its own, what it prints in a file. Returns its exit status."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            with open(said, "w") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            status = int(work() or 0)  # type: ignore[call-overload]
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        done, how = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(how)
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return 124


def run_command(command: Command, given: dict[str, str], said: Path) -> int:
    """Run one command of a block. Returns its exit status."""
    which, words = kit_words(command)
    words = tuple(smaller(tuple(filled(word, given) for word in words)))
    if "..." in words:  # the options of the command before it
        at = words.index("...")
        words = words[:at] + _BEFORE[which][at:] + words[at + 1 :]
    _BEFORE[which] = words
    if not which:
        if command.words[:2] == ("python", "-m") and command.words[2] != "venv":
            module, rest = command.words[2], list(command.words[3:])
            return forked(lambda: _module(module, rest), said)
        with open(said, "w") as file:
            shell = ["bash", "-euo", "pipefail", "-c", command.text]
            return subprocess.run(
                shell, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=SECONDS
            ).returncode
    expanded = [path for word in words for path in _globbed(word, command.text)]
    main = importlib.import_module("evaluator.cli.main" if which == "evaluator" else "local_evaluation").main
    status = forked(lambda: main(expanded), said)
    if command.written:
        Path(command.written).write_bytes(said.read_bytes())
    return status


def _globbed(word: str, text: str) -> list[str]:
    """A pattern that stands without quotation marks is expanded, as by a shell, to a few files."""
    if set(word) & set("*?") and not re.search(rf"[\"']{re.escape(word)}[\"']", text):
        return sorted(str(path.relative_to(HERE)) for path in HERE.glob(word))[:MOST_FILES] or [word]
    return [word]


def _module(name: str, words: list[str]) -> None:
    sys.argv = [name, *words]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def run_block(block: Block, given: dict[str, str], names: dict[str, object], said: Path) -> list[dict[str, object]]:
    """Run a block, or write the file that it is. Returns what is told of each command."""
    if "not run" in block.notes:
        return []
    if file := block.notes.get("file"):
        (HERE / file).parent.mkdir(parents=True, exist_ok=True)
        (HERE / file).write_text(block.text, encoding="utf-8")
        return []
    if block.language == "python":
        begun = time.monotonic()
        status = forked(lambda: exec(compile(block.text, block.where, "exec"), dict(names)), said)
        return [told(block.where, block.text, status, begun, said)]
    found = []
    if is_shell(block):
        for command in commands(block):
            begun = time.monotonic()
            if command.words[:1] and command.words[0] in LEFT_OUT:
                continue
            if command.words[0] == "cd":
                os.chdir(command.words[1])
                continue
            status = run_command(command, given, said)
            found.append(told(command.where, command.text, status, begun, said))
    return found


def told(where: str, text: str, status: int, begun: float, said: Path) -> dict[str, object]:
    end = said.read_text(encoding="utf-8", errors="replace")[-3_000:]
    return {"where": where, "command": text, "status": status, "seconds": round(time.monotonic() - begun, 2), "said": end}


def preload(page: str) -> None:
    """Import once what several commands of the page will need."""
    shells = [command for block in blocks(page) if is_shell(block) and "not run" not in block.notes for command in commands(block)]
    verbs = [kit_words(command) for command in shells]
    importlib.import_module("evaluator.cli.main").build_parser()
    training = [words for which, words in verbs if which == "local_evaluation" or words[:1] not in ((), ("audit",), ("data",))]
    if len(training) > 1:
        importlib.import_module("torch")
        importlib.import_module("evaluator.sandbox.tiers").choose()  # its self-check is kept for all of them


def main(page: str) -> None:
    from tests.documents.settings import SETTINGS, Setting

    small()
    preload(page)
    setting = SETTINGS.get(page, Setting())
    setting.prepare(HERE)
    for block in blocks(page):
        for line in run_block(block, setting.given, setting.names(), HERE / "said.txt"):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
