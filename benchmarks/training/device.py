"""Everything that only a CUDA device can tell, in one command of nine minutes at most.

    python -m benchmarks.training.device --out FOLDER
    python -m benchmarks.training.device --out FOLDER --parts frozen compiled accuracy
    python -m benchmarks.training.device --out FOLDER --parts tests

Whoever has a device for a few minutes runs the first: trainings one and eight at a time, the contest with the plain loop at both
sizes, the trainings of the round's five pairs, memory of every pipeline on the device and within that of a T4, steps launched and
replayed, a training of the curation track, and as many of the tests marked ``cuda`` as time is left for. The second has what did
not fit into the same minutes: frozen networks, the compiled recipe beside the plain loop, and macro F1 beside that of the plain
loop. The third has all of the tests.

Parts run in the order in which they are named, each as a program of its own with a limit; time that a part leaves goes to those
after it. A part that fails, or that there is no time for, is said and stops no other. A part that has reached its limit is
interrupted, as by Ctrl-C, so that it can say how far it came; parts write their figures as they go, so those so far are kept.
``FOLDER`` then holds ``device.json`` with all figures and a log of each part; the table comes last. The status is 1 if a part
failed. Python 3.12 and torch from 2.11 on do, and no data are needed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
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
GRACE = 8.0
"""Seconds of a part's limit that it has to end in, after it was interrupted."""
TESTS = (
    "tests/training/test_cuda.py",
    "tests/training/test_primitives.py",
    "tests/training/test_training.py",
    "tests/curation/test_on_device.py",
)
"""The files with tests for a device; collecting all others takes as long as a few tests."""


@dataclass(frozen=True)
class Part:
    """A program to run.

    Attributes:
        words: of its command; ``{out}`` stands for the folder.
        most: seconds that it may take; more where the parts after it leave it time.
        figures: the file that it writes into the folder, or a pattern of several; empty for none.
        keys: of the values of each file, those that are kept; all if empty.
        asked: whether it runs only where it is named.
    """

    name: str
    words: tuple[str, ...]
    most: float
    figures: str = ""
    keys: tuple[str, ...] = ()
    asked: bool = False


def parts(device: str) -> tuple[Part, ...]:
    """All of them, the most telling first; those that must be asked for come last."""
    training = (sys.executable, "-m", "benchmarks.training", "--device", device, "--threads", "4")
    beside = ("--repeats", "2", "--steps", "20", "--no-phases")
    contest = (*beside, "--sizes", "224", "64", "--only", "whole", "--json", "{out}/contest.json")
    frozen = (*beside, "--only", "frozen, one view", "--images", "1000", "--json", "{out}/frozen.json")
    compiled = (*beside, "--sizes", "224", "--only", "whole", "--compiled", "--json", "{out}/compiled.json")
    accuracy = ("--accuracy", "--seeds", "5", "--workers", "5", "--json", "{out}/accuracy.json")
    tests = ("-m", "cuda", "-v", "--tb=short", "-p", "no:cacheprovider", "--durations=10", *TESTS)
    counted = ("--sizes", "64", "--batches", "16", "--steps", "10", "--repeats", "1")
    steps = ("--device", device, *counted, "--json", "{out}/steps.json")
    several = ("--device", device, "--sizes", "224", "64", "--counts", "1", "8", "--steps", "60", "--json", "{out}/several.json")
    pairs = ("--device", device, "--json", "{out}/pairs.json")
    data = ("--profile", "numerals", "--references", "as_given")
    curation = ("curation", "evaluate", *data, "--device", device, "--out", "{out}/curation")
    judged = ("members", "metrics", "training", "verdict", "reason")
    return (
        Part("several", (sys.executable, "-m", "benchmarks.training.several", *several), 80.0, "several.json"),
        Part("contest", (*training, *contest), 110.0, "contest.json"),
        Part("pairs", (sys.executable, "-m", "benchmarks.training.pairs", *pairs), 115.0, "pairs.json"),
        Part("memory", (*training, "--memory", "--json", "{out}/memory.json"), 60.0, "memory.json"),
        Part("steps", (sys.executable, "-m", "benchmarks.training.steps", *steps), 25.0, "steps.json"),
        Part("curation", (sys.executable, "-m", "evaluator", *curation), 70.0, "curation/cells/*.json", judged),
        Part("tests", (sys.executable, "-m", "pytest", *tests), 70.0),
        Part("frozen", (*training, *frozen), 100.0, "frozen.json", asked=True),
        Part("compiled", (*training, *compiled), 200.0, "compiled.json", asked=True),
        Part("accuracy", (*training, *accuracy), 220.0, "accuracy.json", asked=True),
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
    for place, part in enumerate(chosen):
        left = until - time.monotonic()
        later = sum(each.most for each in chosen[place + 1 :])
        most = max(min(left, max(part.most, left - later)), 0.0)
        said.print(f"{part.name}: {most:.0f} s at most", highlight=False)
        found.append(_one(part, out, most) if most > 1 else Ran(part.name, 0.0, None, ""))
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
    # What an earlier run left would be taken for this one's, and a folder of results makes a program skip what it has.
    if part.figures:
        first = out / Path(part.figures).parts[0]
        if first.is_dir():
            shutil.rmtree(first)
        first.unlink(missing_ok=True)
    started = time.monotonic()
    with log.open("wb") as file:
        # A session of its own: what a part started ends with it.
        program = subprocess.Popen(
            words,
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            # A shell has what it starts in the background ignore interrupts, and so would the parts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        status: int | None = None
        interrupted = 0
        grace = min(GRACE, most / 2)
        try:
            status = program.wait(most - grace)
        except subprocess.TimeoutExpired:
            interrupted = log.stat().st_size
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(grace)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()
    seconds = round(time.monotonic() - started, 1)
    said = log.read_bytes()
    last = _last(said)
    if last == "KeyboardInterrupt":  # a program that does not expect it ends with its stack
        last = _last(said[:interrupted])
    return Ran(part.name, seconds, status, one_line(last, 120), _figures(part, out))


def _last(said: bytes) -> str:
    """The last line that says something."""
    return next((line for line in reversed(said.decode(errors="replace").splitlines()) if line.strip()), "")


def _figures(part: Part, out: Path) -> Any:
    """What the part wrote: of a file its content, of a pattern a list; None where there is nothing."""
    if not part.figures:
        return None
    contents = [json.loads(file.read_text()) for file in sorted(out.glob(part.figures))]
    if part.keys:
        contents = [{key: content.get(key) for key in part.keys} for content in contents]
    return (contents or None) if "*" in part.figures else next(iter(contents), None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for.

    Returns:
        0, or 1 where a part failed or was cut off.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.device", description=__doc__, formatter_class=Prose)
    known = parts("cuda")
    extra = ", ".join(part.name for part in known if part.asked)
    parser.add_argument("--device", default="cuda", help="cuda, or cuda:1")
    parser.add_argument("--out", type=Path, default=Path("results/device"), metavar="DIR", help="(default: results/device)")
    parser.add_argument("--minutes", type=float, default=9.0, help="for everything (default: 9)")
    parser.add_argument("--parts", nargs="+", choices=[part.name for part in known], help=f"only these (default: all but {extra})")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    console = Console(width=None if sys.stdout.isatty() else 170)
    named = {part.name: part for part in parts(options.device)}
    chosen = [named[name] for name in options.parts or (name for name, part in named.items() if not part.asked)]
    found = run(chosen, options.out.absolute(), 60 * options.minutes, console)
    console.print(table_of(found))
    console.print(f"figures: {options.out / 'device.json'}", highlight=False)
    return int(any(ran.status != 0 for ran in found))


if __name__ == "__main__":
    sys.exit(main())
