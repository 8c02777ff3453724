"""Does our training learn as well as the plain loop? The same recipe, data and seeds by both, at the recipe's own batch size.

The two ways to train are called routes. A seed decides which images are bought at random, the initial weights, the split and the
order, in the same way for both routes; the random numbers of the augmentation differ. Each training is scored on the validation
split of the profile. Finished trainings are kept in the JSON file and are not run again, unless the recipe, the number of images or
the code that trains has changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import evaluator.training
from benchmarks.pages import write_json
from benchmarks.training.operations import machine
from benchmarks.training.plain_loop import predict_plainly, train_plainly
from evaluator.data.folders import Split
from evaluator.purchase.profiles import PROFILES
from evaluator.purchase.sets import RoundSets, provide_data, read_sets
from evaluator.scoring.intervals import Interval, t_interval
from evaluator.scoring.metrics import score
from evaluator.seeds import derive, generator
from evaluator.text import one_line
from evaluator.training import device as devices
from evaluator.training.loop import train
from evaluator.training.pipeline import Pipeline
from evaluator.training.predict import decide, predict
from evaluator.training.recipes import PIPELINES
from evaluator.words import counted

ROOT_SEED = 2022
ROUTES = ("plain", "ours")
TRAINING = Path(evaluator.training.__file__).parent
PROFILE = "quick"
BOUGHT = 189
"""Labels bought at random beside the training split: the budget of the first pair of ``quick``."""


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the trainings that are not in the JSON file yet, write it after each, print the table.

    Raises:
        SystemExit: a training failed; those that did not are in the file.
    """
    pipeline = PIPELINES[options.pipeline]
    if options.architecture:
        pipeline = replace(pipeline, architecture=options.architecture, weights="none")
    sets = _sets()
    bought = options.images if options.images is not None else BOUGHT
    identity = {
        "pipeline": pipeline.digest(),
        "bought": bought,
        "threads": options.threads,
        "device": options.device,
        "data": sets.digests(),
        "code": code(),
    }
    rows = finished(options.json, identity)
    wanted = [(route, seed) for seed in range(options.seeds) for route in ROUTES]
    missing = [job for job in wanted if job not in {(row["route"], row["seed"]) for row in rows}]
    console.print(f"{len(wanted) - len(missing)} of {len(wanted)} trainings are in {options.json}", highlight=False)
    report: dict[str, Any] = {"machine": machine(options.device, options.threads), "identity": identity}
    report |= {"recipe": pipeline.as_dict(), "profile": PROFILE}
    failed: list[str] = []
    if missing:
        train_one = partial(measure, pipeline=pipeline, bought=bought, device=options.device, threads=options.threads)
        # A new process for each training, so that neither route profits from what the other has set up.
        with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
            jobs = [pool.submit(train_one, route, seed) for route, seed in missing]
            for job in as_completed(jobs):
                if (error := job.exception()) is not None:
                    # The others go on, and are stored: a training takes minutes.
                    route, seed = missing[jobs.index(job)]
                    failed.append(one_line(f"seed {seed}, {route}: {type(error).__name__}: {error}", 300))
                    console.print(f"  {failed[-1]}", highlight=False, markup=False)
                    continue
                row = job.result()
                rows = sorted([*rows, row], key=lambda r: (r["seed"], ROUTES.index(r["route"])))
                write_json(options.json, {**report, "rows": rows, "summary": summary(rows)})
                told = f"seed {row['seed']}, {row['route']}: macro F1 {row['macro_f1']:.4f}, {row['seconds']:.0f} s"
                console.print(f"  {told}", highlight=False)
    rows = [row for row in rows if (row["route"], row["seed"]) in wanted]
    console.print(accuracy_table(rows))
    console.print(verdict(summary(rows)), highlight=False)
    if failed:
        raise SystemExit(
            f"{counted(len(failed), 'training')} failed; the first: {failed[0]}. The same command tries again what failed"
        )


def code() -> str:
    """A hash over the source of both routes: figures of other code are not reused."""
    files = [*sorted(TRAINING.rglob("*.py")), *sorted(Path(__file__).parent.glob("plain_*.py"))]
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()[:16]


def finished(path: Path, identity: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of an earlier run of the same comparison; none where it was another comparison."""
    if not path.exists():
        return []
    report = json.loads(path.read_text(encoding="utf-8"))
    return report["rows"] if report.get("identity") == identity else []


def measure(route: str, seed: int, *, pipeline: Pipeline, bought: int, device: str, threads: int) -> dict[str, Any]:
    """Train by one route with one seed, and score the result on the validation split."""
    sets = _sets().drawn(PROFILES[PROFILE], ROOT_SEED, seed)
    training, pool, scored = (sets.splits[name] for name in ("training", "unlabelled", "validation"))
    chosen = np.sort(generator(ROOT_SEED, seed, "benchmark", "accuracy").permutation(len(pool))[:bought])
    root = derive(ROOT_SEED, seed, "training")
    started = time.perf_counter()
    if route == "plain":
        merged = joined(training, pool)
        items = np.concatenate([np.arange(len(training)), len(training) + chosen])
        plain = train_plainly(pipeline, merged, items, seed=root, device=device, threads=threads)
        with devices.threads(threads):
            found = predict_plainly(plain, scored, np.arange(len(scored)))
        thresholds = plain.thresholds
    else:
        images = np.concatenate([sets.images["training"].gather(range(len(training))), sets.images["unlabelled"].gather(chosen)])
        labels = np.concatenate([training.labels, pool.labels[chosen]])
        trained = train(pipeline, images, labels, seed=root, device=device, threads=threads)
        found = predict(trained, sets.images["validation"].gather(range(len(scored))))
        thresholds = trained.thresholds
    metrics = score(scored.labels, decide(found, thresholds), scored.classes)
    return {
        "route": route,
        "seed": seed,
        "macro_f1": metrics.macro_f1,
        "f1": metrics.f1,
        "accuracy": metrics.accuracy,
        "items": len(training) + bought,
        "seconds": time.perf_counter() - started,
    }


def joined(first: Split, second: Split) -> Split:
    """Two splits of one data set as a single split: first the images of ``first``, then those of ``second``."""
    common = first.folder.parent
    files = [tuple(str(split.path(i).relative_to(common)) for i in range(len(split))) for split in (first, second)]
    return _Joined(
        name=f"{first.name}+{second.name}",
        folder=common,
        classes=first.classes,
        files=files[0] + files[1],
        labels=np.concatenate([first.labels, second.labels]),
        digest="",
        note="",
    )


class _Joined(Split):
    """A split whose file names are paths below its folder."""

    def path(self, index: int) -> Path:
        return self.folder / self.files[index]


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and 95 % t-interval of each route and of the paired difference, and whether our mean lies in the plain interval."""
    values = {route: {row["seed"]: row["macro_f1"] for row in rows if row["route"] == route} for route in ROUTES}
    shared = sorted(set(values["plain"]) & set(values["ours"]))
    if not shared:
        return {}
    plain, ours = ([values[route][seed] for seed in shared] for route in ROUTES)
    intervals = {"plain": t_interval(plain), "ours": t_interval(ours)}
    intervals["ours - plain"] = t_interval([b - a for a, b in zip(plain, ours, strict=True)])
    around = intervals["plain"]
    held = None if around.low is None or around.high is None else around.low <= intervals["ours"].mean <= around.high
    return {"seeds": shared, **{name: _plain(interval) for name, interval in intervals.items()}, "ours_within_plain": held}


def accuracy_table(rows: list[dict[str, Any]]) -> Table:
    """Macro F1 by seed and route."""
    table = Table(title="Macro F1 by both routes", title_justify="left")
    for name in ("seed", "plain", "ours", "difference"):
        table.add_column(name, justify="right")
    for seed in sorted({row["seed"] for row in rows}):
        found = {row["route"]: row["macro_f1"] for row in rows if row["seed"] == seed}
        gap = f"{found['ours'] - found['plain']:+.4f}" if len(found) == 2 else "-"
        table.add_row(str(seed), *(f"{found[route]:.4f}" if route in found else "-" for route in ROUTES), gap)
    return table


def verdict(found: dict[str, Any]) -> str:
    """The summary in words."""
    if not found:
        return "no seed was trained by both routes yet"
    lines = [f"{name}: {Interval(**found[name])}" for name in ("plain", "ours", "ours - plain")]
    held = {
        None: "one seed gives no interval",
        True: "our mean lies within the plain loop's interval",
        False: "our mean lies OUTSIDE the plain loop's interval",
    }
    return "\n".join([*lines, held[found["ours_within_plain"]]])


def _sets() -> RoundSets:
    profile = PROFILES[PROFILE]
    folder = Path("data") / profile.data_folder
    provide_data(profile, folder)
    return read_sets(profile, folder, score_split="validation", cache=Path("data/.cache"))


def _plain(interval: Interval) -> dict[str, Any]:
    return {"mean": interval.mean, "low": interval.low, "high": interval.high, "n": interval.n, "level": interval.level}
