"""What the strategies on arrays cost: seconds and memory of each, at the size of a large pool.

    python -m benchmarks.harness strategies [--n 100000] [--budget 2000] [--width 256] [--only k_center badge] [--json FILE]

Embeddings are a mixture of Gaussians, probabilities of six classes are drawn independently. Every strategy runs in a process of its
own (OMP_NUM_THREADS sets its threads): ``memory`` is the peak of that process above what it held when its inputs were made. ``CPU``
is the time of all threads, which a busy machine distorts less. The first call is measured; only the imports are done before it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pages import write_json
from benchmarks.stopwatch.machine import described
from evaluator.cli.parsing import Prose

CLASSES, MEMBERS = 6, 10


def inputs(n: int, width: int) -> dict[str, np.ndarray]:
    """What strategies take: embeddings ``x`` float32 (n, width), probabilities ``p`` float32 (n, 6), ``known`` embeddings."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, width)).astype(np.float32) * 2
    x = centres[rng.integers(0, len(centres), n)]
    x += rng.standard_normal((n, width), np.float32)
    p = rng.random((n, CLASSES), np.float32)
    return {"x": x, "p": p, "known": x[: min(1000, n)] + np.float32(0.5)}


def strategies(budget: int) -> dict[str, Callable[[dict[str, np.ndarray]], Any]]:
    """Every strategy by name, as a function of the inputs."""
    from evaluator.strategies import clusters, committee, coverage, gradients, quality, uncertainty

    def rng() -> np.random.Generator:
        return np.random.default_rng(1)

    def members(a: dict[str, np.ndarray]) -> np.ndarray:
        return np.stack([a["p"] ** (1 + m / MEMBERS) for m in range(MEMBERS)])

    def cover(a: dict[str, np.ndarray]) -> np.ndarray:
        groups, _ = clusters.cluster(a["x"], CLASSES, rng())
        delta = coverage.purity_radius(a["x"], groups, rng=rng())
        return coverage.prob_cover(a["x"], budget, delta, a["known"])

    return {
        "mean_entropy": lambda a: uncertainty.mean_entropy(a["p"]),
        "max_entropy": lambda a: uncertainty.max_entropy(a["p"]),
        "least_confidence": lambda a: uncertainty.least_confidence(a["p"]),
        "ambiguity": lambda a: uncertainty.ambiguity(a["p"]),
        "margin": lambda a: uncertainty.margin(a["p"]),
        "cardinality_inconsistency": lambda a: uncertainty.cardinality_inconsistency(a["p"], 2.5),
        "mmc": lambda a: uncertainty.mmc(a["p"], (a["p"] > 0.5).sum(1)),
        "need_weighted": lambda a: uncertainty.need_weighted(a["p"], np.full(CLASSES, 0.5)),
        "expected_balance": lambda a: uncertainty.expected_balance(a["p"], a["p"][:100] > 0.5, budget),
        "bald": lambda a: committee.bald(members(a)),
        "vote_entropy": lambda a: committee.vote_entropy(members(a)),
        "consensus_entropy": lambda a: committee.consensus_entropy(members(a)),
        "suspects": lambda a: quality.suspects(a["p"], a["p"] > 0.6),
        "k_center": lambda a: coverage.k_center(a["x"], budget, a["known"]),
        "prob_cover": cover,
        "k_means": lambda a: clusters.k_means(a["x"], budget, rng()),
        "weighted_k_means": lambda a: clusters.weighted_k_means(a["x"], uncertainty.ambiguity(a["p"]), budget, rng()),
        "typiclust": lambda a: clusters.typiclust(a["x"], budget, rng(), a["known"]),
        "badge": lambda a: gradients.badge(a["p"], a["x"], budget, rng()),
    }


def measure(name: str, n: int, width: int, budget: int, answer: Any) -> None:
    """Run a strategy in this process, and put its figures into the queue ``answer``."""
    chosen = strategies(budget)[name]
    arrays = inputs(n, width)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, worked = time.perf_counter(), time.process_time()
    found = chosen(arrays)
    seconds, worked = time.perf_counter() - start, time.process_time() - worked
    # Kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    above = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit
    figures = {"seconds": round(seconds, 3), "cpu_seconds": round(worked, 3), "memory_mb": round(above / 1e6, 1)}
    answer.put({"strategy": name, **figures, "returned": len(found)})


def main(arguments: list[str] | None = None) -> None:
    """Measure, print a table, and store."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.harness strategies", description=__doc__, formatter_class=Prose)
    parser.add_argument("--n", type=int, default=100_000, help="images of the pool")
    parser.add_argument("--budget", type=int, default=2_000, help="labels to choose")
    parser.add_argument("--width", type=int, default=256, help="columns of the embeddings")
    parser.add_argument("--only", nargs="*", choices=list(strategies(0)), metavar="NAME", help="only these")
    parser.add_argument("--json", type=Path, metavar="FILE", help="store the figures there")
    args = parser.parse_args(arguments)
    context = multiprocessing.get_context("spawn")
    rows = []
    print(f"{'strategy':<26} {'seconds':>8} {'CPU':>8} {'memory':>9}   n = {args.n:,}, d = {args.width}, budget = {args.budget:,}")
    for name in args.only or strategies(0):
        answer = context.SimpleQueue()
        process = context.Process(target=measure, args=(name, args.n, args.width, args.budget, answer))
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f"{name}: its process ended with status {process.exitcode}; expected 0. Its own message is above")
        rows.append(answer.get())
        print(
            f"{name:<26} {rows[-1]['seconds']:>8.2f} {rows[-1]['cpu_seconds']:>8.2f} {rows[-1]['memory_mb']:>6.0f} MB", flush=True
        )
    if args.json:
        machine = described("numpy") | {"threads": os.environ.get("OMP_NUM_THREADS", "all")}
        setting = {"n": args.n, "width": args.width, "budget": args.budget, "classes": CLASSES, "members": MEMBERS}
        write_json(args.json, {"machine": machine, "setting": setting, "strategies": rows})


if __name__ == "__main__":
    main()
