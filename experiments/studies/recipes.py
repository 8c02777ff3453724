"""Which recipe should ``quick`` be? A grid of variants of it, trained on painted sheets and scored on other painted sheets.

    python -m experiments.studies.recipes --device cuda --workers 8 --minutes 9 --seeds 5 --json results/recipes.json
    python -m experiments.studies.recipes --variant a:learning_rate=0.003,batch_size=8 --only base a

Every variant has the same training sets, seeds and starting weights, so that differences to the base are paired. Each training is
scored with several rules for thresholds, which are the columns of the table; ``own`` is the variant's own rule. ``oracle`` takes
the best threshold per class for the scored images themselves: it shows what the order of the probabilities is worth.

Work goes seed by seed, so that a run that reaches its time limit still compares all variants on the seeds that it finished. The
JSON file is written after every cell, so that a run that is killed keeps its cells. Use few workers on one GPU: twelve at a time on
one NVIDIA H200 took about 75 s per cell (their start included), little better than one CPU core.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pages import write_json
from evaluator.cli.parsing import Prose
from evaluator.data.painted import CLASSES, Generator
from evaluator.machine import cores
from evaluator.scoring.intervals import t_interval
from evaluator.scoring.metrics import best_constant, score
from evaluator.seeds import derive, generator
from evaluator.training import thresholds as rules
from evaluator.training.loop import train
from evaluator.training.pipeline import Pipeline
from evaluator.training.predict import decide, predict
from evaluator.training.recipes import PIPELINES

ROOT_SEED = 20221
POOL = 4000
FIXED = (0.5, 0.4, 0.3, 0.25, 0.2)
GAINS = (0.1, 0.3, 0.5)
COLUMNS = ("own", *(f"at {value:g}" for value in FIXED), *(f"prior {gain:g}" for gain in GAINS), "base rate", "oracle")

VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "rate 0.0005": {"learning_rate": 5e-4},
    "rate 0.001": {"learning_rate": 1e-3},
    "rate 0.003": {"learning_rate": 3e-3},
    "rate 0.006": {"learning_rate": 6e-3},
    "batch 8": {"batch_size": 8},
    "batch 8, rate 0.00075": {"batch_size": 8, "learning_rate": 7.5e-4},
    "batch 32, rate 0.003": {"batch_size": 32, "learning_rate": 3e-3},
    "cosine": {"schedule": "cosine", "warmup": 0.1},
    "one cycle, warm-up 0.15": {"warmup": 0.15},
    "head x3": {"head_rate": 3.0},
    "head x10": {"head_rate": 10.0},
    "balance 0.5": {"positive_weight": 0.5},
    "balance 1": {"positive_weight": 1.0},
    "smoothing 0.05": {"label_smoothing": 0.05},
    "no averaging": {"averaging": 0.0},
    "averaging 0.95": {"averaging": 0.95},
    "no augmentation": {
        "augmentation.horizontal_flip": False,
        "augmentation.vertical_flip": False,
        "augmentation.quarter_turns": False,
    },
    "and shift": {"augmentation.shift": 0.1},
    "and zoom": {"augmentation.zoom": 0.15},
    "and light": {"augmentation.brightness": 0.2, "augmentation.contrast": 0.2},
    "and colour": {"augmentation.colour": 0.15},
    "and blur": {"augmentation.blur": 0.5},
    "frozen batch norm": {"freeze_batch_norm": True},
    "head only": {"trains": "head", "learning_rate": 1e-2},
    "dropout 0.3": {"dropout": 0.3},
    "depth 0.1": {"stochastic_depth": 0.1},
    "decay 0.1": {"weight_decay": 0.1},
    "sgd 0.05": {"optimiser": "sgd", "learning_rate": 0.05, "weight_decay": 1e-4},
    "validation share": {"validation_share": 0.15, "threshold": "validation"},
    "20 epochs (too slow)": {"epochs": 20},
}


@dataclass(frozen=True)
class Cell:
    """A training of the grid: ``n`` training items."""

    variant: str
    pipeline: Pipeline
    n: int
    seed: int


def varied(base: Pipeline, changes: dict[str, Any]) -> Pipeline:
    """``base`` with fields changed; a name such as ``augmentation.shift`` is a field of the augmentation."""
    inner = {name.partition(".")[2]: value for name, value in changes.items() if "." in name}
    outer = {name: value for name, value in changes.items() if "." not in name}
    return replace(base, augmentation=replace(base.augmentation, **inner), **outer)


def parse_variant(text: str) -> tuple[str, dict[str, Any]]:
    """``name:field=value,field=value``; values are JSON, or plain text."""
    name, _, changes = text.partition(":")
    fields = {}
    for change in filter(None, changes.split(",")):
        key, _, value = change.partition("=")
        try:
            fields[key.strip()] = json.loads(value)
        except json.JSONDecodeError:
            fields[key.strip()] = value
    return name, fields


def paint(split: str, count: int, workers: int) -> tuple[np.ndarray, np.ndarray]:
    """``count`` painted images of a split: uint8 (count, 64, 64, 3), uint8 (count, 6)."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        pairs = list(pool.map(_paint, [split] * count, range(count), chunksize=50))
    return np.stack([image for image, _ in pairs]), np.stack([label for _, label in pairs])


def _paint(split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    return Generator(derive(ROOT_SEED, "recipes"), size=64).sample(split, index)


def measure(cell: Cell, folder: str, device: str, threads: int) -> dict[str, Any]:
    """Train a cell and score it with every rule for thresholds."""
    data = {name: np.load(Path(folder) / f"{name}.npy", mmap_mode="r") for name in ("images", "labels", "scored", "truth")}
    chosen = np.sort(generator(ROOT_SEED, "subset", cell.seed).permutation(len(data["images"]))[: cell.n])
    images, labels = data["images"][chosen], data["labels"][chosen]
    trained = train(cell.pipeline, images, labels, seed=derive(ROOT_SEED, "training", cell.seed), device=device, threads=threads)
    found, truth = predict(trained, data["scored"], batch_size=256), np.asarray(data["truth"])
    k = truth.shape[1]
    thresholds = {
        "own": trained.thresholds,
        **{f"at {value:g}": np.full(k, value) for value in FIXED},
        **{f"prior {gain:g}": rules.prior(labels, gain) for gain in GAINS},
        "base rate": rules.base_rate(predict(trained, images, batch_size=256), labels),
        "oracle": np.array([rules.best_f1(found[:, i], truth[:, i])[0] for i in range(k)]),
    }
    scores = {name: score(truth, decide(found, value), CLASSES) for name, value in thresholds.items()}
    return {
        "variant": cell.variant,
        "n": cell.n,
        "seed": cell.seed,
        "macro_f1": {name: metrics.macro_f1 for name, metrics in scores.items()},
        "f1": scores["own"].f1,
        "accuracy": scores["own"].accuracy,
        "loss": [entry["loss"] for entry in trained.history],
        "seconds": trained.seconds,
        "weights": trained.weights_identity,
    }


def run_grid(
    cells: list[Cell], folder: str, device: str, threads: int, workers: int, minutes: float, keep: Callable[[list[dict]], None]
) -> list[dict[str, Any]]:
    """Results of all cells that were started within ``minutes``; the others are dropped.

    ``keep`` is called with all results so far whenever a cell is finished.
    """
    deadline = time.monotonic() + 60 * minutes
    results, waiting = [], list(reversed(cells))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        running: dict[Future, Cell] = {}
        while running or waiting:
            while waiting and len(running) < workers and time.monotonic() < deadline:
                cell = waiting.pop()
                running[pool.submit(measure, cell, folder, device, threads)] = cell
            if not running:
                break
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                cell = running.pop(future)
                try:
                    results.append(future.result())
                except Exception as error:  # a variant that diverges must not end the others
                    print(f"\n{cell.variant}, n = {cell.n}, seed {cell.seed} failed: {error!r}", file=sys.stderr)
            keep(results)
            left = deadline - time.monotonic()
            print(f"\r{len(results)} of {len(cells)} cells, {max(left, 0):.0f} s left ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return results


def table(results: list[dict[str, Any]], variants: list[str], sizes: list[int]) -> str:
    """Mean macro F1 per variant and number of items, with the 95 % t-interval over seeds of the variant's own rule and of its
    paired difference to the base."""
    lines = []
    for n in sizes:
        own = {(r["variant"], r["seed"]): r["macro_f1"] for r in results if r["n"] == n}
        lines += [f"n = {n}", f"{'variant':26}{'seeds':>6}" + "".join(f"{c:>10}" for c in COLUMNS) + "   own ±    own - base"]
        rows = []
        for variant in variants:
            mine = {seed: value for (name, seed), value in own.items() if name == variant}
            if not mine:
                continue
            interval = t_interval([value["own"] for value in mine.values()])
            shared = sorted(seed for seed in mine if ("base", seed) in own)
            difference = ""
            if shared and variant != "base":
                gap = t_interval([mine[seed]["own"] - own["base", seed]["own"] for seed in shared])
                difference = f"{gap.mean:+.3f}" + (f" ± {gap.half_width:.3f}" if gap.half_width is not None else "")
            means = "".join(f"{np.mean([value[c] for value in mine.values()]):10.3f}" for c in COLUMNS)
            half = f"{interval.half_width:.3f}" if interval.half_width is not None else "-"
            rows.append((interval.mean, f"{variant:26}{len(mine):6}{means}   {half:>5}    {difference}"))
        lines += [row for _, row in sorted(rows, reverse=True)] + [""]
    return "\n".join(lines)


def main() -> None:
    """Paint, train, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m experiments.studies.recipes", description=__doc__, formatter_class=Prose)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--weights", default="procedural", help="procedural, none, or the path of a weights file")
    parser.add_argument("--pipeline", default="quick", choices=sorted(PIPELINES), help="the base of the variants")
    parser.add_argument("--sizes", type=int, nargs="+", default=[162, 289], help="numbers of training items")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--scored", type=int, default=1000, help="images that are scored (quick scores 300)")
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--workers", type=int, default=1, help="trainings at a time")
    parser.add_argument("--threads", type=int, default=1, help="per training")
    parser.add_argument("--only", nargs="+", default=["*"], help="names of variants, with wildcards")
    parser.add_argument("--variant", action="append", default=[], type=parse_variant, help="more: NAME:FIELD=VALUE,FIELD=VALUE")
    parser.add_argument("--base", default="", help="FIELD=VALUE,...: changes of the base, and so of all variants")
    parser.add_argument("--json", type=Path, metavar="FILE", help="store every cell there")
    options = parser.parse_args()

    base = varied(PIPELINES[options.pipeline], parse_variant(f"base:{options.base}")[1])
    if base.architecture != "linear":
        base = replace(base, weights=options.weights)
    everything = {**VARIANTS, **dict(options.variant)}
    pipelines = {
        name: varied(base, changes)
        for name, changes in everything.items()
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in options.only)
    }
    cells = [Cell(v, p, n, seed) for seed in range(options.seeds) for n in options.sizes for v, p in pipelines.items()]
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        painters = cores()
        arrays = dict(zip(("images", "labels"), paint("training", max(POOL, *options.sizes), painters), strict=True))
        arrays |= dict(zip(("scored", "truth"), paint("validation", options.scored, painters), strict=True))
        for name, array in arrays.items():
            np.save(Path(folder) / f"{name}.npy", array)
        constant = best_constant(arrays["truth"])
        rates = ", ".join(f"{name} {rate:.3f}" for name, rate in zip(CLASSES, arrays["truth"].mean(axis=0), strict=True))
        print(
            f"painted in {time.perf_counter() - started:.1f} s; class rates: {rates}; best constant macro F1 {constant:.3f}",
            flush=True,
        )
        described = {
            "best_constant": constant,
            "pipelines": {name: p.as_dict() for name, p in pipelines.items()},
            "arguments": {name: str(value) for name, value in vars(options).items()},
        }

        def keep(results: list[dict[str, Any]]) -> None:
            if options.json:
                write_json(options.json, {**described, "cells": results})

        results = run_grid(cells, folder, options.device, options.threads, options.workers, options.minutes, keep)
    if not results:
        sys.exit(f"--minutes: {options.minutes:g}, in which no cell was finished; give more time, or see the errors above")
    print(table(results, list(pipelines), options.sizes))
    seconds = [r["seconds"] for r in results]
    print(f"{len(results)} of {len(cells)} cells; {np.mean(seconds):.1f} s each, {options.workers} at a time, {options.device}")


if __name__ == "__main__":
    main()
