"""What an audit costs: the bootstrap over images alone, and a whole audit with its views, tests and controls.

    python -m benchmarks.harness audit [--images 50000] [--models 100] [--draws 10000] [--json FILE] [--page FILE]
    python -m benchmarks.harness audit --stored FILE --page FILE

The labels, models and corrections are made here: models that are right on 70 to 85 % of the images, of which every flagged image is
harder; a source that flags 28 % of the images in the shares of ImageNet's reassessed labels, and another that disagrees in a fifth
of them. *Whole audit* is of both sources, what they say together (20 views), with the draws of the command's defaults, from arrays
in memory. One process, one thread; peak memory is that of the process after each step.
"""

from __future__ import annotations

import argparse
import json
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pages import Region, write_json, write_text
from benchmarks.stopwatch.machine import described
from benchmarks.stopwatch.processor import processor_seconds
from evaluator.audit.benchmark import Benchmark
from evaluator.audit.corrections import Corrections, Source
from evaluator.audit.draws import resampled
from evaluator.audit.predictions import Predictions
from evaluator.audit.rank import audit
from evaluator.audit.results import Settings
from evaluator.audit.sets import LabelSets
from evaluator.cli.parsing import Prose
from evaluator.report.format import markdown_rows
from evaluator.tables import Block

COMMAND = "python -m benchmarks.harness audit"
FIGURES, PAGE = "benchmarks/results/audit.json", "docs/benchmarks.md"
REGION = Region("audit", COMMAND)
CLASSES, SEED = 1_000, 0
SHARES = (0.714, 0.074, 0.149, 0.063)
"""Of images whose label is kept, mislabelled, one of several, and without a label that fits."""


def made(images: int, models: int) -> tuple[Benchmark, list[Source], list[Predictions]]:
    """A benchmark, two sources and the ten likeliest classes of every model."""
    rng = np.random.default_rng(SEED)
    ids, labels = tuple(f"im{number:06d}" for number in range(images)), rng.integers(0, CLASSES, images)
    benchmark = Benchmark(ids, labels, tuple(map(str, range(CLASSES))), "made")
    kinds = rng.choice(4, images, p=SHARES)
    sources = []
    for name, differing in (("first", 0.0), ("second", 0.2)):
        own = np.where(rng.random(images) < differing, rng.choice(4, images, p=SHARES), kinds)
        other = (labels + 1 + rng.integers(0, CLASSES - 1, images)) % CLASSES
        both = zip(labels.tolist(), other.tolist(), own.tolist(), strict=True)
        sets = LabelSets.of([([given], [found], [given, found], [])[kind] for given, found, kind in both])
        sources.append(Corrections(name, ids, sets).aligned(benchmark))
    predictions = []
    for number, skill in enumerate(np.linspace(0.70, 0.85, models)):
        top = (labels[:, None] + rng.integers(1, CLASSES // 10, images)[:, None] + np.arange(10) * (CLASSES // 10)) % CLASSES
        right = rng.random(images) < np.where(kinds > 0, skill - 0.3, skill)
        top[right, 0] = labels[right]
        predictions.append(Predictions(f"model {number:03d}", ids, top.astype(np.int64)))
    return benchmark, sources, predictions


def measure(images: int, models: int, draws: int) -> dict[str, Any]:
    """All figures."""
    rng = np.random.default_rng(SEED)
    right = rng.random((images, models)) < np.linspace(0.70, 0.85, models)
    before = processor_seconds()
    resampled(right, [], draws, SEED)
    found: dict[str, Any] = {"images": images, "models": models, "draws": draws}
    found["bootstrap"] = {"seconds": round(processor_seconds() - before, 2), "peak_gib": _peak()}
    benchmark, sources, predictions = made(images, models)
    settings = Settings()
    before = processor_seconds()
    whole = audit(benchmark, predictions, models, sources, settings=settings)
    found["whole"] = {
        "seconds": round(processor_seconds() - before, 2),
        "peak_gib": _peak(),
        "predictions_gib": round(sum(p.top.nbytes for p in predictions) / 2**30, 2),
        "views": len(whole.views) - 1,
        "draws": settings.draws,
        "control_draws": settings.control_draws,
    }
    return found


def _peak() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def page_text(stored: Mapping[str, Any]) -> str:
    """The part of the page with figures: command, hardware, and a table."""
    where, bootstrap, whole = stored["machine"], stored["bootstrap"], stored["whole"]
    head = (
        f"`{where['command']}`; figures in `{FIGURES}`. {where['cores']} cores, {where['processor']}, {where['memory_gib']} GiB; "
        f"{where['system']}, Python {where['python']}, numpy {where['numpy']}; load average {where['load'][0]} at the end. "
        f"{stored['images']:,} images, {stored['models']} models. One process, one thread, processor time, n = 1."
    )
    rows = (
        (
            f"{stored['draws']:,} draws of the images, all models",
            f"{bootstrap['seconds']:.1f} s",
            f"{bootstrap['peak_gib']:.2f} GiB at most",
            "15 s, 1 GB",
        ),
        (
            f"a whole audit: two sources, {whole['views']} views, all pairs, {whole['draws']:,} draws of images, "
            f"{whole['control_draws']} of each exclusion",
            f"{whole['seconds']:.1f} s",
            f"{whole['peak_gib']:.2f} GiB at most, {whole['predictions_gib']:.2f} of them predictions",
            "",
        ),
    )
    return "\n".join([head, "", *markdown_rows(Block("", ("", "processor time", "memory", "goal"), rows)), ""])


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and store."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__, formatter_class=Prose)
    parser.add_argument("--images", type=int, default=50_000, help="images (default: %(default)s)")
    parser.add_argument("--models", type=int, default=100, help="models (default: %(default)s)")
    parser.add_argument("--draws", type=int, default=10_000, help="draws of the bootstrap alone (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="store the figures there")
    parser.add_argument("--stored", type=Path, metavar="FILE", help="measure nothing: take figures that were stored")
    parser.add_argument("--page", type=Path, metavar="FILE", help=f"write the part of {PAGE} that stands between the marks")
    args = parser.parse_args(arguments)
    if args.stored:
        figures = json.loads(args.stored.read_text(encoding="utf-8"))
    else:
        figures = measure(args.images, args.models, args.draws) | {"machine": described("numpy")}
    print(json.dumps(figures, indent=1))
    if args.json:
        write_json(args.json, figures)
    if args.page:
        write_text(args.page, REGION.replaced(args.page.read_text(encoding="utf-8"), page_text(figures)))


if __name__ == "__main__":
    main()
