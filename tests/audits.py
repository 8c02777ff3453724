"""Small benchmarks for the tests of the audit: labels, models and corrections with planted errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluator.audit.benchmark import Benchmark
from evaluator.audit.corrections import Corrections, Source
from evaluator.audit.predictions import Predictions
from evaluator.audit.sets import LabelSets


@dataclass(frozen=True)
class Made:
    """A benchmark, its sources and the predictions of its models."""

    benchmark: Benchmark
    sources: list[Source]
    predictions: list[Predictions]


def made(n=400, classes=5, models=4, *, seed=0, sources=2, depth=None, step=0.2):
    """Labels of a class per image, sources that flag a fifth of them in three kinds, models that are right on most, each more
    often by ``step``."""
    rng = np.random.default_rng(seed)
    ids = tuple(f"im{number:04d}" for number in rng.permutation(n))
    labels = rng.integers(0, classes, n)
    benchmark = Benchmark(ids, labels, tuple(map(str, range(classes))), "r1", {"light": tuple(rng.choice(["dim", "bright"], n))})
    found = []
    for number in range(sources):
        sets = [[label] for label in labels.tolist()]
        for image in rng.choice(n, n // 5, replace=False):
            others = [label for label in range(classes) if label != labels[image]]
            some = rng.choice(others, 2, replace=False).tolist()
            sets[image] = [some[:1], [labels[image], some[0]], some, []][rng.integers(4)]
        found.append(source(benchmark, sets, f"source {number}"))
    predictions = []
    for number in range(models):
        scores = rng.normal(size=(n, classes))
        scores[np.arange(n), labels] += 1.5 + step * number
        top = np.argsort(-scores, axis=1)[:, : depth or classes]
        predictions.append(Predictions(f"model {number}", ids, top))
    return Made(benchmark, found, predictions)


def source(benchmark, sets, name="source"):
    """A source with a set of valid labels for every image."""
    return Corrections(name, benchmark.ids, LabelSets.of(sets)).aligned(benchmark)
