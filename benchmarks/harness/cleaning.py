"""What the cleaning track costs: a training of its fixed model, a whole evaluation, and nearest-neighbour Shapley values.

    python -m benchmarks.harness cleaning [--folder DIR] [--repeats 12] [--json FILE] [--page FILE]
    python -m benchmarks.harness cleaning --stored FILE --page FILE

A training is measured in turns, each on label vectors of its own: *plain* is a port of the original's program (a data loader,
automatic differentiation, the optimizer's own step), *exact* the kit's in the same order of operations, *fast* the kit's with the
gradient written out. *Evaluation* is all rankings of the task as the original scores them, in one process and in two, and the same
rankings by the strict game over five starts. A plain training is measured after every 32 of an evaluation in one process, so that
both have the same machine; its time is taken off. What a process takes to start is measured apart. Without ``--folder`` (of
DataPerf's layout) the task is made here: 300 random rows of width 2,048, 90 wrong labels, nine random rankings. *Shapley values*
are of 50,000 random rows of width 2,048 and 1,000 validation rows; the other rankings are of 2,000 such rows and 200.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.pages import Region, write_json, write_text
from benchmarks.stopwatch.machine import described
from benchmarks.stopwatch.processor import measured, processor_seconds
from evaluator.cleaning.embedded import Embedded
from evaluator.cleaning.folder import read_task, task_names
from evaluator.cleaning.game import play
from evaluator.cleaning.linear import Start, Training, fit_exactly, targets
from evaluator.cleaning.original import evaluate_original
from evaluator.cleaning.rankings import Ranking, read_rankings
from evaluator.cleaning.refits import Refits
from evaluator.cleaning.tasks import CleaningTask, Part
from evaluator.cli.parsing import Prose
from evaluator.data.processes import Processes
from evaluator.report.format import markdown_rows
from evaluator.strategies.valuation.methods import METHODS
from evaluator.strategies.valuation.neighbours import knn_shapley
from evaluator.tables import Block

COMMAND = "python -m benchmarks.harness cleaning"
FIGURES, PAGE = "benchmarks/results/cleaning.json", "docs/benchmarks.md"
AGAIN = f"{COMMAND} --stored {FIGURES} --page {PAGE}"
REGION = Region("cleaning", COMMAND)
SEED, WIDTH, ROWS, WRONG = 0, 2_048, 300, 90
STARTS = 5
MOST_ROWS = 2_000
"""Of the rankings that are measured beside the Shapley values."""


def plain(rows: torch.Tensor, labels: torch.Tensor) -> nn.Module:
    """Train as the original's program does: a model of two layers, batches by a data loader, one step of the optimizer for each."""
    torch.manual_seed(42)
    model = nn.Sequential(nn.Linear(rows.shape[1], 128), nn.Linear(128, 1))
    optimizer, loss_of = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.9), nn.BCEWithLogitsLoss()
    loader = DataLoader(TensorDataset(rows, labels), batch_size=64)
    for _ in range(20):
        for part, goal in loader:
            optimizer.zero_grad()
            loss = loss_of(model(part), goal)
            loss.backward()
            optimizer.step()
    return model


def made_task() -> tuple[CleaningTask, list[Ranking]]:
    """A task of random rows, and nine random rankings."""
    rng = np.random.default_rng(SEED)
    direction = rng.normal(size=WIDTH)

    def part(n: int) -> Part:
        rows = rng.normal(size=(n, WIDTH)).astype(np.float32)
        return Part(rows, (rows @ direction > 0).astype(np.int64))

    train, validation, test = part(ROWS), part(100), part(500)
    given = train.labels.copy()
    given[:WRONG] = 1 - given[:WRONG]
    task = CleaningTask("made", "binary", 2, Part(train.rows, given), train.labels, validation, test)
    return task, [Ranking(f"random {n}", tuple(rng.permutation(ROWS).tolist())) for n in range(9)]


def task_of(folder: Path | None) -> tuple[CleaningTask, list[Ranking]]:
    """The first task of a folder and its rankings, or the task that is made here."""
    if folder is None:
        return made_task()
    name = task_names(folder / "embeddings")[0]
    task = read_task(name, folder / "embeddings", folder / "data")
    return task, read_rankings(folder / "submissions", name, len(task.train), strict=False)[0]


def fits(task: CleaningTask, repeats: int) -> dict[str, list[float]]:
    """Milliseconds of processor time of every training, in turns on other label vectors."""
    rows = torch.from_numpy(task.train.rows)
    start, rng = Start.drawn(rows.shape[1], 1), np.random.default_rng(SEED)
    training = Training(rows, "binary", start)
    ways: dict[str, Callable[[torch.Tensor], Any]] = {
        "plain": lambda goal: plain(rows, goal),
        "exact": lambda goal: fit_exactly(rows, goal, "binary", start),
        "fast": training.fit,
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        checked = rng.permutation(len(task.train))[: 7 * turn]
        labels = task.train.labels.copy()
        labels[checked] = task.true[checked]
        goal = targets(labels, "binary", 2)
        for name, way in ways.items():
            before = processor_seconds()
            way(goal)
            if turn:  # the first is not counted
                found[name].append(round((processor_seconds() - before) * 1e3, 2))
    return found


@dataclass
class Beside:
    """Plain trainings in the pauses of an evaluation. ``milliseconds``: of each; ``seconds``: all of them, to be taken off."""

    task: CleaningTask
    milliseconds: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def __call__(self, done: int, total: int) -> None:
        """Train once: an evaluation's ``progress``."""
        before = processor_seconds()
        plain(torch.from_numpy(self.task.train.rows), targets(self.task.train.labels, "binary", 2))
        used = processor_seconds() - before
        self.milliseconds.append(round(used * 1e3, 2))
        self.seconds += used


def evaluations(task: CleaningTask, rankings: list[Ranking]) -> dict[str, Any]:
    """All rankings as the original scores them, in one process and in two; and by the strict game over five starts."""
    beside, before = Beside(task), processor_seconds()
    original = evaluate_original(task, rankings, progress=beside)
    used = processor_seconds() - before - beside.seconds
    found: dict[str, Any] = {
        "original": {
            "seconds": round(used, 2),
            "fits": original.fits,
            "exact": original.exact,
            "plain": beside.milliseconds,
        }
    }
    before = processor_seconds()
    subprocess.run([sys.executable, "-c", "import evaluator.cleaning.refits"], check=True)
    start = processor_seconds() - before
    before = processor_seconds()
    again = evaluate_original(task, rankings, processes=2)
    if again != original:
        raise RuntimeError("two processes give other accuracies than one; the figures are not of the same work")
    each = (processor_seconds() - before) / 2 - start
    found["two processes"] = {"seconds of each": round(each, 2), "start": round(start, 2)}
    whole = [ranking.indices for ranking in rankings if len(set(ranking.indices)) == len(task.train)]
    fitted, beside, before = 0, Beside(task), processor_seconds()
    for seed in range(STARTS):
        refits = Refits(task, "strict", seed=seed, progress=beside)
        play(task, whole, refits=refits)
        fitted += refits.fitted
    used = processor_seconds() - before - beside.seconds
    strict = {"seconds": round(used, 2), "starts": STARTS, "rankings": len(whole), "fits": fitted, "plain": beside.milliseconds}
    return found | {"strict": strict}


def narrow() -> list[float]:
    """Milliseconds of processor time of trainings on the embedded digits, ten classes of width 64."""
    task = Embedded.parse("digits-uniform-0.3").drawn(SEED, 0, ROWS, 100, 500)
    start = Start.drawn(task.train.rows.shape[1], task.classes)
    training = Training(torch.from_numpy(task.train.rows), task.kind, start)
    goal = targets(task.train.labels, task.kind, task.classes)
    return [round(measured(lambda: training.fit(goal))[1] * 1e3, 2) for _ in range(5)]


def shapley(large: int) -> dict[str, Any]:
    """Processor time of nearest-neighbour Shapley values, and memory of the process that computes them, its rows and all."""
    rng = np.random.default_rng(SEED)
    rows = rng.standard_normal((large, WIDTH), dtype=np.float32)
    labels, asked = rng.integers(0, 2, large), rng.standard_normal((1_000, WIDTH), dtype=np.float32)
    before = processor_seconds()
    knn_shapley(rows, labels, asked, rng.integers(0, 2, 1_000), 5)
    used = round(processor_seconds() - before, 2)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"rows": large, "seconds": used, "peak_gib": round(peak, 2)}


def methods(rows: int) -> dict[str, float]:
    """Seconds of processor time of every ranking that can run here, on rows of ten classes."""
    rng = np.random.default_rng(SEED)
    centres = rng.normal(size=(10, WIDTH)) * 0.3

    def part(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.integers(0, 10, n)
        return (centres[labels] + rng.normal(size=(n, WIDTH))).astype(np.float32), labels

    (x, y), asked = part(rows), part(max(10, rows // 10))
    y[: rows // 5] = (y[: rows // 5] + 1) % 10
    found = {}
    for name, method in METHODS.items():
        before = processor_seconds()
        try:
            method(x, y, *asked, SEED, 60.0)
        except ImportError:
            continue
        found[name] = round(processor_seconds() - before, 2)
    return found


def measure(folder: Path | None, repeats: int, large: int) -> dict[str, Any]:
    """All figures. ``large``: training rows of the Shapley values."""
    torch.set_num_threads(1)
    task, rankings = task_of(folder)
    found: dict[str, Any] = {"task": task.name, "rows": len(task.train), "rankings": len(rankings), "repeats": repeats}
    found |= {"fits": fits(task, repeats), "narrow": narrow()} | evaluations(task, rankings)
    with Processes(1) as apart:  # so that what the other measurements need does not count as its memory
        found["shapley"] = apart.submit(shapley, large).result()
    many = min(MOST_ROWS, large)
    return found | {"methods": {"rows": many, "seconds": methods(many)}}


def page_text(stored: Mapping[str, Any]) -> str:
    """The part of the page with figures: command, hardware, and a table."""
    where = stored["machine"]
    head = (
        f"`{where['command']}`; figures in `{FIGURES}`. {where['cores']} cores, {where['processor']}, {where['memory_gib']} GiB; "
        f"{where['system']}, Python {where['python']}, numpy {where['numpy']}, torch {where['torch']}; load average "
        f"{where['load'][0]} at the end. Task {stored['task']}: {stored['rows']} rows, {stored['rankings']} rankings. One thread, "
        f"processor time; a training: median, n = {stored['repeats']}; the others n = 1."
    )
    plainly = statistics.median(stored["fits"]["plain"])
    named = {
        "plain": "a training, plain port of the original",
        "exact": "the same order of operations",
        "fast": "gradient written out",
    }
    rows = [
        (text, f"{(one := statistics.median(stored['fits'][name])):.0f} ms", f"{plainly / one:.1f} times as fast", "")
        for name, text in named.items()
    ]
    rows.append(
        ("the same, ten classes of width 64", f"{statistics.median(stored['narrow']):.1f} ms", f"n = {len(stored['narrow'])}", "")
    )
    original, two, strict, nearest = (stored[name] for name in ("original", "two processes", "strict", "shapley"))
    steps = stored["rankings"] * stored["rows"] + 1
    port = steps * statistics.median(original["plain"]) / 1e3
    others = stored["methods"]["seconds"]
    rows += [
        (
            f"all rankings as the original: {original['fits']} distinct trainings, {original['exact']} of them exact",
            f"{original['seconds']:.1f} s",
            f"the port trains {steps:,} times: {port:,.0f} s, {port / original['seconds']:.0f} times as long",
            "13 s; 67 times",
        ),
        (
            "the same in two processes, each",
            f"{two['seconds of each']:.1f} s",
            f"and {two['start']:.1f} s to start",
            "6 s",
        ),
        (
            f"strict: {strict['rankings']} rankings x {strict['starts']} starts, {strict['fits']:,} trainings",
            f"{strict['seconds']:.1f} s",
            f"a plain training beside it: {statistics.median(strict['plain']):.0f} ms",
            "60 s",
        ),
        (
            f"Shapley values, {nearest['rows']:,} x {WIDTH:,}, 1,000 validation rows, K = 5",
            f"{nearest['seconds']:.1f} s",
            f"{nearest['peak_gib']:.2f} GiB at most",
            "10 s, 1.5 GB",
        ),
        *(
            (f"`{name}`, {stored['methods']['rows']:,} x {WIDTH:,}, ten classes", f"{used:.1f} s", "", "")
            for name, used in sorted(others.items(), key=lambda item: -item[1])
        ),
    ]
    return "\n".join([head, "", *markdown_rows(Block("", ("", "processor time", "", "goal"), tuple(rows))), ""])


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and store."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__, formatter_class=Prose)
    parser.add_argument("--folder", type=Path, metavar="DIR", help="of DataPerf's layout (default: a task that is made)")
    parser.add_argument("--repeats", type=int, default=12, help="trainings of each way (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=50_000, help="training rows of the Shapley values (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="store the figures there")
    parser.add_argument("--stored", type=Path, metavar="FILE", help="measure nothing: take figures that were stored")
    parser.add_argument("--page", type=Path, metavar="FILE", help=f"write the part of {PAGE} that stands between the marks")
    args = parser.parse_args(arguments)
    if args.stored:
        figures = json.loads(args.stored.read_text(encoding="utf-8"))
    else:
        figures = measure(args.folder, args.repeats, args.rows) | {"machine": described("numpy", "torch")}
    print(json.dumps(figures, indent=1))
    if args.json:
        write_json(args.json, figures)
    if args.page:
        write_text(args.page, REGION.replaced(args.page.read_text(encoding="utf-8"), page_text(figures)))


if __name__ == "__main__":
    main()
