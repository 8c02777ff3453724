"""What a judge's board costs: the whole site of 1,000 judged submissions of 100 people, read from the queue and written as files.

    python -m benchmarks.harness board [--submissions 1000] [--people 100] [--repeats 5] [--json FILE] [--page FILE]
    python -m benchmarks.harness board --stored FILE --page FILE

Results are fabricated, as a judge of the purchase track stores them: five public pairs and five seeds, their cells, bars of what
was used, F1 of six classes with intervals, curves over the pairs, and losses of ten epochs. *The command* is `python -m evaluator
judge board` in a fresh process into an empty folder, the start of Python and all imports included. *The site, empty folder* is the
same without them. *After a job* is what a judge does after each: the site is there, and one submission is new.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pages import Region, write_json, write_text
from benchmarks.stopwatch.machine import described
from benchmarks.stopwatch.processor import processor_seconds
from evaluator.cli.judge import write_board
from evaluator.cli.parsing import Prose
from evaluator.judging.figures import as_stored
from evaluator.judging.place import Place
from evaluator.judging.queue import Queue, Sent
from evaluator.places import ROOT
from evaluator.report.format import markdown_rows
from evaluator.scoring.intervals import t_interval
from evaluator.sections import Bar, Bars, Curve, Curves, Dots, Section, Series, Value
from evaluator.seeds import generator
from evaluator.tables import Block

COMMAND = "python -m benchmarks.harness board"
FIGURES, PAGE = "benchmarks/results/board.json", "docs/benchmarks.md"
"""Committed files, below the root of the repository."""
REGION = Region("board", COMMAND)
GOAL = 5.0
"""Seconds of a site of 1,000 submissions."""
PAIRS = ("621:17", "621:51", "1889:17", "1889:51", "1321:30")
CLASSES = ("scratch_small", "scratch_large", "dent_small", "dent_large", "stray_particle", "discoloration")
SEEDS, EPOCHS = 5, 10
DATA = {"training": "1f" * 32, "validation": "2e" * 32}
FIRST = 1_790_000_000.0
"""When the first fabricated submission was sent, in seconds since 1970."""


def result(number: int, skill: float, version: int = 1, failed: bool = False) -> dict[str, Any]:
    """What a judge stores of a submission. ``skill``: its score, 0 to 1; ``failed``: a cell ran out of time."""
    draw = generator(number, "board", f"v{version}")
    scores = np.clip(skill + draw.normal(scale=0.012, size=(len(PAIRS), SEEDS)), 0, 1)
    cells = [
        {"cell": f"{number:032x}", "pair": pair, "seed": seed, "pipeline": "round2", "score_split": "validation"}
        | {"verdict": "OK", "score": float(scores[place, seed]), "collapsed": False}
        for place, pair in enumerate(PAIRS)
        for seed in range(SEEDS)
    ]
    if failed:
        cells[-1] |= {"verdict": "TIME_LIMIT", "score": None}
    return {
        "metric": "macro_f1",
        "rows": [{"pipeline": "round2", "score_split": "validation"}],
        "cells": cells,
        "known": list(PAIRS),
        "data": DATA,
        "seeds": SEEDS,
        "secret": "",
        "seconds": 1.0,
        "metric_version": 1,
        "links": {"code": f"https://code.example/team/{number}"} if number % 3 == 0 else {},
        "figures": as_stored(_sections(scores, draw)),
    }


def _sections(scores: np.ndarray, draw: np.random.Generator) -> list[Section]:
    labels = [int(pair.split(":")[0]) for pair in PAIRS]
    means = [_value(row) for row in scores]
    used = Bars(
        "Labels bought, of each pair's budget",
        f"Mean over {SEEDS} seeds.",
        tuple(Bar(pair, f"{most} of {most:,} labels", float(most), float(most)) for pair, most in zip(PAIRS, labels, strict=True)),
    )
    clock = Bars(
        "Time used, of each pair's clock",
        f"Mean over {SEEDS} seeds. Pre-training and purchase share the clock.",
        tuple(Bar(pair, f"{7 + place}.5 min of 17 min", 450.0 + 60 * place, 1020.0) for place, pair in enumerate(PAIRS)),
    )
    points = sorted(zip(map(float, labels), means, strict=True), key=lambda point: point[0])
    by_labels = Curves(
        "Macro F1 by number of labels bought",
        f"Mean over {SEEDS} seeds; lines: 95 % t-interval.",
        "labels bought",
        "macro F1",
        (Curve("17 min", tuple(points[:3])), Curve("51 min", tuple(points[2:]))),
    )
    classes = [
        _value(np.clip(scores.mean() + draw.normal(scale=0.05) + draw.normal(scale=0.01, size=SEEDS), 0, 1)) for _ in CLASSES
    ]
    per_class = Dots(
        "F1 of each class, 0 to 1",
        f"Mean over the pairs; 300 scored images; lines: 95 % t-interval over {SEEDS} seeds.",
        CLASSES,
        tuple(f"{value.mean:.3f} [{value.low:.2f}, {value.high:.2f}]" for value in classes),
        (Series("this submission", tuple(classes)),),
        (0.0, 1.0),
    )
    losses = tuple(
        Curve(pair, tuple((float(epoch), Value(0.6 / epoch**0.5 + 0.02 * draw.random())) for epoch in range(1, EPOCHS + 1)))
        for pair in PAIRS
    )
    training = Curves("Training loss", f"Mean over {SEEDS} seeds.", "epoch", "loss", losses)
    return [
        Section("What each pair cost, and what it gave", (used, clock, by_labels)),
        Section("Which classes the models recognise", (per_class,)),
        Section("Training", (training,)),
    ]


def _value(values: np.ndarray) -> Value:
    found = t_interval(values.tolist())
    return Value(found.mean, found.low, found.high)


def filled(root: Path, submissions: int, people: int) -> tuple[Place, Queue]:
    """A judge's folder whose queue holds so many judged submissions; those of a person become better, with noise."""
    root.mkdir(parents=True)
    (root / "judge.toml").write_text(f'name = "Labels 2026"\nsandbox = "process"\n[quota]\na-day = {submissions + 1}\n')
    (root / "public.toml").write_text('profile = "quick"\n')
    place = Place.of(root)
    queue = Queue(place.queue, place.rules.quota)
    queue._db.execute("PRAGMA synchronous = OFF")  # of the set-up alone, which is not measured
    for number in range(1, submissions + 1):
        add(queue, number, people)
    return place, queue


def add(queue: Queue, number: int, people: int) -> None:
    """A further judged submission."""
    whose, at = number % people, FIRST + 600.0 * number
    sent = Sent(f"{number:064x}", f"team-{whose:03}", f"strategy-{number}", "purchase", f"{number:032x}", at)
    queue.receive(sent, 1)
    job = queue.claim("benchmark", at, 600.0)
    assert job is not None
    failed = number % 17 == 0
    skill = 0.45 + 0.0025 * whose + 0.004 * (number // people)
    queue.finish(job, at + 60, "TIME_LIMIT" if failed else "OK", result(number, skill, failed=failed))


def timed(work: Callable[[int], Any], repeats: int) -> dict[str, list[float]]:
    """Seconds of every repetition, by the clock and in processor time, after one that is not counted. ``work`` gets its number."""
    work(0)
    clock, used = [], []
    for repeat in range(1, repeats + 1):
        before, began = processor_seconds(), time.perf_counter()
        work(repeat)
        clock.append(round(time.perf_counter() - began, 4))
        used.append(round(processor_seconds() - before, 4))
    return {"clock": clock, "processor": used}


def measure(submissions: int, people: int, repeats: int) -> dict[str, Any]:
    """All figures.

    Raises:
        CalledProcessError: the command failed.
    """
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "judge"
        place, queue = filled(root, submissions, people)
        command = [sys.executable, "-m", "evaluator", "judge", "board", str(root), "--out"]

        def run(repeat: int) -> None:
            subprocess.run([*command, f"{name}/fresh-{repeat}"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

        def after_a_job(repeat: int) -> None:
            add(queue, submissions + 1 + repeat, people)
            write_board(place, queue, Path(name) / "site", private=False)

        found = {
            "command": timed(run, repeats),
            "site": timed(lambda repeat: write_board(place, queue, Path(name) / f"empty-{repeat}", private=False), repeats),
        }
        site = Path(name) / "empty-0"
        pages = sorted((site / "submissions").iterdir())
        found |= {"pages": len(pages), "bytes": sum(path.stat().st_size for path in site.rglob("*.*") if path.is_file())}
        found |= {"page_bytes": int(statistics.median(path.stat().st_size for path in pages))}
        found["again"] = timed(after_a_job, repeats)
        queue.close()
        return found | {"submissions": submissions, "people": people, "repeats": repeats}


def page_text(stored: Mapping[str, Any]) -> str:
    """The part of the page with figures: command, hardware, and a table."""
    where, n = stored["machine"], stored["repeats"]
    head = (
        f"`{where['command']}`; figures in `{FIGURES}`. {where['cores']} cores, {where['processor']}, {where['memory_gib']} GiB; "
    )
    head += f"{where['system']}, Python {where['python']}, numpy {where['numpy']}, jinja2 {where['jinja2']}; "
    head += f"load average {where['load'][0]} at the end. Medians, n = {n}."
    what = f"{stored['submissions']:,} submissions of {stored['people']:,} people"
    named = {
        "command": (f"`python -m evaluator judge board JUDGE`, a fresh process, {what}", ""),
        "site": (f"the site, empty folder, {what}", f"{GOAL:g} s"),
        "again": ("the site after a job: one submission is new", ""),
    }
    rows = [
        (text, *(f"{statistics.median(stored[name][kind]):.2f} s" for kind in ("clock", "processor")), goal)
        for name, (text, goal) in named.items()
    ]
    rows.append((f"size of the site, {stored['pages']:,} pages of submissions", f"{stored['bytes'] / 1e6:.0f} MB", "", ""))
    rows.append(("size of the page of a submission (median)", f"{stored['page_bytes'] / 1e3:.0f} kB", "", ""))
    return "\n".join([head, "", *markdown_rows(Block("", ("", "clock", "processor", "goal"), tuple(rows))), ""])


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and store."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__, formatter_class=Prose)
    parser.add_argument("--submissions", type=int, default=1_000, help="judged submissions (default: %(default)s)")
    parser.add_argument("--people", type=int, default=100, help="of whom they are (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="store the figures there")
    parser.add_argument("--stored", type=Path, metavar="FILE", help="measure nothing: take figures that were stored")
    parser.add_argument("--page", type=Path, metavar="FILE", help=f"write the part of {PAGE} that stands between the marks")
    args = parser.parse_args(arguments)
    if args.stored:
        figures = json.loads(args.stored.read_text(encoding="utf-8"))
    else:
        figures = measure(args.submissions, args.people, args.repeats)
        figures |= {"machine": described("numpy", "jinja2")}
    print(json.dumps(figures, indent=1))
    if args.json:
        write_json(args.json, figures)
    if args.page:
        write_text(args.page, REGION.replaced(args.page.read_text(encoding="utf-8"), page_text(figures)))


if __name__ == "__main__":
    main()
