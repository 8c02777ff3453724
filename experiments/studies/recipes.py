"""Which recipe should a pipeline be? A grid of variants of it, trained on painted sheets and scored on other painted sheets.

    python -m experiments.studies.recipes --device cuda --workers 8 --minutes 9 --seeds 5 --json results/recipes.json
    python -m experiments.studies.recipes --variant a:learning_rate=0.003,batch_size=8 --only base a
    python -m experiments.studies.recipes --pipeline round2 --shift rare --sizes 140 1060 --qualities 1 0.97 --json FILE --resume

Every variant has the same training sets, seeds and starting weights, so that differences to the base are paired. Each training is
scored with several rules for thresholds, which are the columns of the table; ``own`` is the variant's own rule. ``oracle`` takes
the best threshold per class for the scored images themselves: it shows what the order of the probabilities is worth. A training
whose score (by its own rule) is no better than the best constant answer is counted as collapsed.

Where labels have mistakes (``--qualities`` below 1), the first ``CLEAN`` items keep the right ones, as the training set of a
purchase does. The sheets are not those of any profile's data set, so that a recipe is not tuned on data that is reported.

Work goes seed by seed, so that a run that reaches its time limit still compares all variants on the seeds that it finished. The
JSON file is written after every cell, so that a run that is killed keeps its cells; ``--resume`` goes on from it. On a
CUDA device ``--workers`` says how many trainings share it, in threads of one process.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pages import write_json
from evaluator.cli.parsing import Prose
from evaluator.data.annotators import annotator_noise
from evaluator.data.painted import CLASSES, Generator, size_pairs
from evaluator.data.painted.shift import SHIFTS
from evaluator.errors import DeviceError
from evaluator.machine import cores
from evaluator.purchase.metrics import ROUNDING
from evaluator.scoring.intervals import t_interval
from evaluator.scoring.metrics import best_constant, score
from evaluator.seeds import derive, generator
from evaluator.training import device as devices
from evaluator.training import thresholds as rules
from evaluator.training.loop import train
from evaluator.training.pipeline import Pipeline
from evaluator.training.predict import decide, predict
from evaluator.training.recipes import PIPELINES
from experiments.studies.recipe_findings import differences, in_words
from experiments.tuning import ROOT_SEED

POOL = 4000
CLEAN = 60
"""Items whose labels are right whatever the quality of the others."""
FIXED = (0.5, 0.4, 0.3, 0.25, 0.2)
GAINS = (0.1, 0.3, 0.5)
COLUMNS = ("own", *(f"at {value:g}" for value in FIXED), *(f"prior {gain:g}" for gain in GAINS), "base rate", "oracle")

VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "rate 0.0003": {"learning_rate": 3e-4},
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
    "free batch norm": {"freeze_batch_norm": False},
    "clip 0.1": {"gradient_clip": 0.1},
    "no clipping": {"gradient_clip": 0.0},
    "warm-up 0.5": {"warmup": 0.5},
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
    """A training of the grid: ``n`` training items, whose labels are right in the share ``quality`` of their entries."""

    variant: str
    pipeline: Pipeline
    n: int
    seed: int
    quality: float = 1.0

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from other cells of its file."""
        return self.variant, self.n, self.quality, self.seed


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


def paint(split: str, count: int, workers: int, shift: str = "public") -> tuple[np.ndarray, np.ndarray]:
    """``count`` painted images of a split: uint8 (count, 64, 64, 3), uint8 (count, 6)."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        pairs = list(pool.map(_paint, [split] * count, range(count), [shift] * count, chunksize=50))
    return np.stack([image for image, _ in pairs]), np.stack([label for _, label in pairs])


def _paint(split: str, index: int, shift: str) -> tuple[np.ndarray, np.ndarray]:
    return Generator(derive(ROOT_SEED, "recipes"), size=64, shift=shift).sample(split, index)


def given_labels(truth: np.ndarray, quality: float, seed: int) -> np.ndarray:
    """The labels that a training gets, uint8 (n, 6): mistakes of an annotator in all but the first ``CLEAN`` rows."""
    labels = truth.copy()
    labels[CLEAN:] = annotator_noise(truth[CLEAN:], 1 - quality, derive(ROOT_SEED, "annotators", seed), size_pairs())
    return labels


def measure(cell: Cell, folder: str, device: str, threads: int) -> dict[str, Any]:
    """Train a cell and score it with every rule for thresholds."""
    data = {name: np.load(Path(folder) / f"{name}.npy", mmap_mode="r") for name in ("images", "labels", "scored", "truth")}
    chosen = np.sort(generator(ROOT_SEED, "subset", cell.seed).permutation(len(data["images"]))[: cell.n])
    images, labels = data["images"][chosen], given_labels(data["labels"][chosen], cell.quality, cell.seed)
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
        "quality": cell.quality,
        "seed": cell.seed,
        "collapsed": scores["own"].macro_f1 <= best_constant(truth) + ROUNDING,
        "macro_f1": {name: metrics.macro_f1 for name, metrics in scores.items()},
        "f1": scores["own"].f1,
        "accuracy": scores["own"].accuracy,
        "loss": [entry["loss"] for entry in trained.history],
        "gradient_norm": [entry["gradient_norm"] for entry in trained.history],
        "seconds": trained.seconds,
        "weights": trained.weights_identity,
    }


def run_grid(
    cells: list[Cell],
    folder: str,
    device: str,
    threads: int,
    workers: int,
    minutes: float,
    keep: Callable[[list[dict]], None],
    before: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Results of all cells that were started within ``minutes``, and those of ``before``; the other cells are dropped.

    ``keep`` is called with all results so far whenever a cell is finished.
    """
    deadline = time.monotonic() + 60 * minutes
    results = list(before)
    there = {key_of(result) for result in before}
    waiting = [cell for cell in reversed(cells) if cell.key not in there]
    with pool_of(device, workers) as pool:
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
                except DeviceError as error:
                    print(f"\n{error}", file=sys.stderr)
                    waiting.clear()  # nothing more can be computed in this process
                except Exception as error:  # a variant that diverges must not end the others
                    print(f"\n{cell.variant}, n = {cell.n}, seed {cell.seed} failed: {error!r}", file=sys.stderr)
            keep(results)
            left = deadline - time.monotonic()
            print(f"\r{len(results)} of {len(cells)} cells, {max(left, 0):.0f} s left ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return results


def pool_of(device: str, workers: int) -> Executor:
    """Where trainings run: on a CUDA device in threads of this process, whose graphs share it; else in processes."""
    if devices.resolve(device).type == "cuda":
        return ThreadPoolExecutor(workers)
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))


def key_of(result: dict[str, Any]) -> tuple[Any, ...]:
    """``Cell.key`` of a result; files from before there were qualities have none."""
    return result["variant"], result["n"], result.get("quality", 1.0), result["seed"]


def table(results: list[dict[str, Any]], variants: list[str], conditions: list[tuple[int, float]]) -> str:
    """Mean macro F1 per variant and condition (items, quality), with the 95 % t-interval over seeds of the variant's own rule and
    of its paired difference to the base, and with the number of trainings that collapsed."""
    lines, found = [], differences(results)
    for n, quality in conditions:
        here = [r for r in results if (r["n"], r.get("quality", 1.0)) == (n, quality)]
        own = {(r["variant"], r["seed"]): r["macro_f1"] for r in here}
        fell = Counter(r["variant"] for r in here if r.get("collapsed"))
        lines += [
            f"n = {n}, label quality {quality:g}",
            f"{'variant':26}{'seeds':>6}{'collapsed':>10}" + "".join(f"{c:>10}" for c in COLUMNS) + "   own ±    own - base",
        ]
        rows = []
        for variant in variants:
            mine = {seed: value for (name, seed), value in own.items() if name == variant}
            if not mine:
                continue
            interval = t_interval([value["own"] for value in mine.values()])
            difference = in_words(found[variant, n, quality]) if (variant, n, quality) in found else ""
            means = "".join(f"{np.mean([value[c] for value in mine.values()]):10.3f}" for c in COLUMNS)
            half = f"{interval.half_width:.3f}" if interval.half_width is not None else "-"
            rows.append((interval.mean, f"{variant:26}{len(mine):6}{fell[variant]:10}{means}   {half:>5}    {difference}"))
        lines += [row for _, row in sorted(rows, reverse=True)] + [""]
    return "\n".join(lines)


def kept(path: Path, pipelines: dict[str, Pipeline]) -> dict[str, Any]:
    """The content of a file of cells to go on from; empty where there is none.

    A variant whose recipe has changed since would mix two recipes under one name, so it ends the program.
    """
    if not path.exists():
        return {}
    stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for name, pipeline in pipelines.items():
        if stored["pipelines"].get(name, pipeline.as_dict()) != pipeline.as_dict():
            sys.exit(f"{path}: the variant {name!r} is another recipe there; give the variant another name, or write another file")
    return stored


def main() -> None:
    """Paint, train, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m experiments.studies.recipes", description=__doc__, formatter_class=Prose)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--weights", default="procedural", help="procedural, none, or the path of a weights file")
    parser.add_argument("--pipeline", default="quick", choices=sorted(PIPELINES), help="the base of the variants")
    parser.add_argument("--sizes", type=int, nargs="+", default=[162, 289], help="numbers of training items")
    parser.add_argument("--qualities", type=float, nargs="+", default=[1.0], help="shares of label entries that are right")
    parser.add_argument("--shift", default="public", choices=sorted(SHIFTS), help="distribution of the painted sheets")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--scored", type=int, default=1000, help="images that are scored (quick scores 300)")
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--workers", type=int, default=1, help="trainings at a time")
    parser.add_argument("--threads", type=int, default=1, help="per training")
    parser.add_argument("--only", nargs="+", default=["*"], help="names of variants, with wildcards")
    parser.add_argument("--variant", action="append", default=[], type=parse_variant, help="more: NAME:FIELD=VALUE,FIELD=VALUE")
    parser.add_argument("--base", default="", help="FIELD=VALUE,...: changes of the base, and so of all variants")
    parser.add_argument("--json", type=Path, metavar="FILE", help="store every cell there")
    parser.add_argument("--resume", action="store_true", help="keep the cells that the file of --json has already")
    options = parser.parse_args()
    if options.resume and not options.json:
        sys.exit("--resume: there is no --json FILE to go on from; name the file")

    base = varied(PIPELINES[options.pipeline], parse_variant(f"base:{options.base}")[1])
    if base.architecture != "linear":
        base = replace(base, weights=options.weights)
    everything = {**VARIANTS, **dict(options.variant)}
    pipelines = {
        name: varied(base, changes)
        for name, changes in everything.items()
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in options.only)
    }
    conditions = [(n, quality) for n in options.sizes for quality in options.qualities]
    cells = [
        Cell(v, p, n, seed, quality) for seed in range(options.seeds) for n, quality in conditions for v, p in pipelines.items()
    ]
    before = kept(options.json, pipelines) if options.resume else {}
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        painters = min(cores(), options.workers)
        pool = max(POOL, *options.sizes)
        arrays = dict(zip(("images", "labels"), paint("training", pool, painters, options.shift), strict=True))
        arrays |= dict(zip(("scored", "truth"), paint("validation", options.scored, painters, options.shift), strict=True))
        for name, array in arrays.items():
            np.save(Path(folder) / f"{name}.npy", array)
        painted = hashlib.sha256(b"".join(array.tobytes() for array in arrays.values())).hexdigest()
        if before and before.get("painted") != painted:
            sys.exit(
                f"{options.json}: its cells are of other painted sheets; write another file, or repeat the options of that run"
            )
        constant = best_constant(arrays["truth"])
        rates = ", ".join(f"{name} {rate:.3f}" for name, rate in zip(CLASSES, arrays["truth"].mean(axis=0), strict=True))
        print(
            f"painted in {time.perf_counter() - started:.1f} s; class rates: {rates}; best constant macro F1 {constant:.3f}",
            flush=True,
        )
        described = {
            "best_constant": constant,
            "painted": painted,
            "pipelines": before.get("pipelines", {}) | {name: p.as_dict() for name, p in pipelines.items()},
            "arguments": {name: str(value) for name, value in vars(options).items()},
        }

        def keep(results: list[dict[str, Any]]) -> None:
            if options.json:
                write_json(options.json, {**described, "cells": results})

        results = run_grid(
            cells, folder, options.device, options.threads, options.workers, options.minutes, keep, before.get("cells", [])
        )
    if not results:
        sys.exit(f"--minutes: {options.minutes:g}, in which no cell was finished; give more time, or see the errors above")
    print(table(results, list(pipelines), conditions))
    seconds = [r["seconds"] for r in results]
    print(f"{len(results)} of {len(cells)} cells; {np.mean(seconds):.1f} s each, {options.workers} at a time, {options.device}")


if __name__ == "__main__":
    main()
