"""Everything that only a CUDA device can tell, in one command of nine minutes at most.

    python -m benchmarks.training.device --out FOLDER
    python -m benchmarks.training.device --parts tests steps --minutes 4

Whoever has a device for a few minutes runs this once and has every figure: trainings one and eight at a time, the contest with
the plain loop at both sizes, the trainings of the round's five pairs, the tests marked ``cuda``, a training of the curation
track, steps launched and replayed, and memory of every pipeline on the device and within that of a T4. Parts run in this order,
each as a program of its own with a limit; a part that fails, or that there is no time for, is said and stops no other.
``FOLDER`` then holds ``device.json`` with all figures and a log of each part; the table comes last. The status is 1 if a part
failed. Python 3.12 and torch from 2.11 on do, and no data are needed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.pages import write_json
from evaluator.cli.parsing import Prose
from evaluator.text import one_line

ROOT = Path(__file__).resolve().parents[2]
SPARE = 10.0
"""Seconds that are kept for the table at the end."""


@dataclass(frozen=True)
class Part:
    """A program to run.

    Attributes:
        words: of its command; ``{out}`` stands for the folder.
        most: seconds that it may take. ``figures``: the file that it writes into the folder, empty for none.
    """

    name: str
    words: tuple[str, ...]
    most: float
    figures: str = ""


def parts(device: str) -> tuple[Part, ...]:
    """All of them, the most telling first."""
    training = (sys.executable, "-m", "benchmarks.training", "--device", device, "--threads", "4")
    contest = ("--repeats", "2", "--steps", "20", "--only", "whole", "--json", "{out}/contest.json")
    tests = ("-m", "cuda", "-q", "-p", "no:cacheprovider", "--durations=10", "tests/training", "tests/curation/test_on_device.py")
    steps = ("--device", device, "--batches", "16", "--repeats", "1", "--json", "{out}/steps.json")
    several = ("--device", device, "--counts", "1", "8", "--steps", "60", "--json", "{out}/several.json")
    pairs = ("--device", device, "--json", "{out}/pairs.json")
    curation = ("--profile", "numerals", "--references", "as_given", "--device", device, "--out", "{out}/curation")
    return (
        Part("several", (sys.executable, "-m", "benchmarks.training.several", *several), 80.0, "several.json"),
        Part("contest", (*training, *contest), 80.0, "contest.json"),
        Part("pairs", (sys.executable, "-m", "benchmarks.training.pairs", *pairs), 125.0, "pairs.json"),
        Part("tests", (sys.executable, "-m", "pytest", *tests), 105.0),
        Part("curation", (sys.executable, "-m", "evaluator", "curation", "evaluate", *curation), 50.0),
        Part("steps", (sys.executable, "-m", "benchmarks.training.steps", *steps), 25.0, "steps.json"),
        Part("memory", (*training, "--memory", "--json", "{out}/memory.json"), 75.0, "memory.json"),
    )


@dataclass(frozen=True)
class Ran:
    """How a part ended.

    Attributes:
        status: exit status; None where the limit ended it, or where no time was left to begin.
        last: its last line that says something.
    """

    name: str
    seconds: float
    status: int | None
    last: str
    figures: Any = None

    @property
    def ended(self) -> str:
        """In words."""
        if self.status == 0:
            return "done"
        return f"failed ({self.status})" if self.status is not None else "cut off" if self.seconds else "no time"


def run(chosen: Sequence[Part], out: Path, seconds: float, said: Console) -> list[Ran]:
    """Run the parts one after the other within ``seconds``; the figures so far are written after each."""
    until = time.monotonic() + seconds - SPARE
    found: list[Ran] = []
    for part in chosen:
        left = until - time.monotonic()
        said.print(f"{part.name}: {min(part.most, max(left, 0)):.0f} s at most", highlight=False)
        found.append(_one(part, out, min(part.most, left)) if left > 1 else Ran(part.name, 0.0, None, ""))
        write_json(out / "device.json", {"parts": [asdict(ran) | {"ended": ran.ended} for ran in found]})
    return found


def table_of(found: Sequence[Ran]) -> Table:
    """A row per part."""
    table = Table(title="What the device says", title_justify="left")
    for name in ("part", "ended", "seconds", "last line"):
        table.add_column(name, justify="right" if name == "seconds" else "left", overflow="fold")
    for ran in found:
        table.add_row(ran.name, ran.ended, f"{ran.seconds:.0f}", ran.last)
    return table


def _one(part: Part, out: Path, most: float) -> Ran:
    words = [word.replace("{out}", str(out)) for word in part.words]
    log = out / f"{part.name}.log"
    if part.figures:
        (out / part.figures).unlink(missing_ok=True)  # an earlier run's would be taken for this one's
    started = time.monotonic()
    with log.open("wb") as file:
        # A session of its own: what a part started ends with it.
        program = subprocess.Popen(
            words, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True
        )
        status: int | None = None
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = program.wait(most)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    figures = None
    if part.figures and (out / part.figures).is_file():
        figures = json.loads((out / part.figures).read_text())
    return Ran(part.name, round(time.monotonic() - started, 1), status, one_line(lines[-1] if lines else "", 120), figures)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for.

    Returns:
        0, or 1 where a part failed or was cut off.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.device", description=__doc__, formatter_class=Prose)
    known = parts("cuda")
    parser.add_argument("--device", default="cuda", help="cuda, or cuda:1")
    parser.add_argument("--out", type=Path, default=Path("results/device"), metavar="DIR", help="(default: results/device)")
    parser.add_argument("--minutes", type=float, default=9.0, help="for everything (default: 9)")
    parser.add_argument("--parts", nargs="+", choices=[part.name for part in known], help="only these")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    console = Console(width=None if sys.stdout.isatty() else 170)
    chosen = [part for part in parts(options.device) if not options.parts or part.name in options.parts]
    found = run(chosen, options.out.absolute(), 60 * options.minutes, console)
    console.print(table_of(found))
    console.print(f"figures: {options.out / 'device.json'}", highlight=False)
    return int(any(ran.status != 0 for ran in found))


if __name__ == "__main__":
    sys.exit(main())
