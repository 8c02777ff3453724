"""The tables of an evaluation in the terminal: a row per submission, then what was changed, and what sets have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from msgspec import to_builtins
from rich.console import Console
from rich.table import Table

from evaluator.curation.evaluation import Evaluated
from evaluator.curation.leaks import Calibration, NearRow
from evaluator.curation.records import Changes, CurationResult
from evaluator.curation.track import CURATION, METRICS
from evaluator.report.console import hanging, label, show_failure, titled
from evaluator.scoring.intervals import mean_of_seeds, wilson_of_share
from evaluator.secret import root_in_words
from evaluator.text import one_line
from evaluator.words import counted


def show_evaluated(console: Console, found: Sequence[Evaluated]) -> None:
    """Print the figures of all submissions, best first; those that failed with their reasons."""
    scored = sorted((entry for entry in found if _scored(entry)), key=lambda entry: (-_mean(entry, "accuracy"), entry.name))
    if scored:
        first = _scored(scored[0])[0]
        table = Table(box=None, pad_edge=False)
        for number, title in enumerate(
            ("submission", *(m.label for m in METRICS), "over seeds", "over test images", "train + val")
        ):
            table.add_column(title, justify="right" if number else "left")
        for entry in scored:
            over = mean_of_seeds([r.metrics["accuracy"] for r in _scored(entry) if r.metrics is not None])
            images = wilson_of_share(over.mean, first.test_images)
            changes = _scored(entry)[0].changes
            table.add_row(
                label(entry.name),
                *(f"{_mean(entry, metric.name):.3f}" for metric in METRICS),
                "-" if over.low is None else f"{over.low:.3f} to {over.high:.3f}",
                f"{images.low:.3f} to {images.high:.3f}",
                "-" if changes is None else f"{changes.train:,} + {changes.val:,}",
            )
        titled(console, f"{first.spec.task}, judged by {first.spec.pipeline.name}", table)
        hanging(
            console,
            f"accuracy on {first.test_images:,} hidden test images; means over {counted(len(_scored(scored[0])), 'seed')} of the "
            f"training ({root_in_words(first.spec.root_seed, first.spec.secret)}). Over seeds: Student's t interval, 95 %; over "
            "test images: Wilson's. A difference must be beyond both.",
        )
        titled(console, "By class, share classified right", _classes(scored))
        titled(console, "What was changed", _changes(scored))
        titled(console, f"In common, or within {first.near_distance} of 256 bits", _near(scored))
        for entry in scored:
            for note in CURATION.notes([{"seed": r.spec.seed, "members": to_builtins(r.members)} for r in _scored(entry)]):
                hanging(console, f"{one_line(entry.name)}, {note}.")
    for entry in found:
        for reason in dict.fromkeys(f"{r.verdict}: {r.reason}" for r in entry.results if r.metrics is None):
            show_failure(console, entry.name, reason)


def show_checked(console: Console, changes: Changes, near: Sequence[NearRow], distance: int) -> None:
    """Print what a data set within the rules has in it, and pairs that its sets have in common."""
    table = Table(box=None, pad_edge=False)
    for field in fields(Changes):
        table.add_column(field.name.replace("_", " "), justify="right")
    table.add_row(*(f"{getattr(changes, field.name):,}" for field in fields(Changes)))
    titled(console, "Within the rules", table)
    pairs = Table(box=None, pad_edge=False)
    for number, title in enumerate(("between", "equal", "near", "with another label")):
        pairs.add_column(title, justify="right" if number else "left")
    for row in near:
        pairs.add_row(row.between, f"{row.equal:,}", f"{row.near:,}", f"{row.other_label:,}")
    titled(console, f"In common, or within {distance} of 256 bits", pairs)
    for row in near:
        for example in row.examples:
            console.print(one_line(f"  {example}", 500), highlight=False, markup=False)


def show_calibration(console: Console, found: Calibration, name: str) -> None:
    """Print which share of planted copies, and how many pairs of different images, lie within each distance."""
    table = Table(box=None, pad_edge=False)
    table.add_column("bits", justify="right")
    for kind in found.found:
        table.add_column(kind, justify="right")
    table.add_column("different images", justify="right")
    table.add_column("of another class", justify="right")
    for distance in sorted({0, 4, 8, 12, 16, 24, 32, 48, 64, max(0, found.distance)}):
        table.add_row(
            f"{distance}{' *' if distance == found.distance else ''}",
            *(f"{found.found[kind][distance]:.0%}" for kind in found.found),
            f"{found.unrelated[distance]:,}",
            f"{found.other_label[distance]:,}",
        )
    titled(console, f"{name}: planted copies that are found, and pairs of different images that are taken for copies", table)
    hanging(
        console,
        f"{found.images:,} images with different pixels, {found.pairs:,} pairs. *: the distance that is used, the largest up to 32 "
        "at which no more than one pair in a million (or one pair in all) of different images is taken for a copy.",
    )


def _scored(entry: Evaluated) -> list[CurationResult]:
    return [result for result in entry.results if result.metrics is not None]


def _mean(entry: Evaluated, metric: str) -> float:
    values = [r.metrics[metric] for r in _scored(entry) if r.metrics is not None]
    return sum(values) / len(values)


def _classes(scored: Sequence[Evaluated]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("class")
    table.add_column("test images", justify="right")
    for entry in scored:
        table.add_column(label(entry.name), justify="right")
    for number, row in enumerate(_scored(scored[0])[0].by_class):
        shares = [[r.by_class[number].right for r in _scored(entry)] for entry in scored]
        table.add_row(label(row.label), f"{row.images:,}", *(f"{sum(own) / len(own):.3f}" for own in shares))
    return table


def _changes(scored: Sequence[Evaluated]) -> Table:
    names = ("kept", "relabelled", "moved", "dropped", "added", "left_out")
    table = Table(box=None, pad_edge=False)
    table.add_column("submission")
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for entry in scored:
        changes = _scored(entry)[0].changes
        if changes is not None:
            table.add_row(label(entry.name), *(f"{getattr(changes, name):,}" for name in names))
    return table


def _near(scored: Sequence[Evaluated]) -> Table:
    table = Table(box=None, pad_edge=False)
    for number, title in enumerate(("submission", "between", "equal", "near", "with another label")):
        table.add_column(title, justify="right" if number > 1 else "left")
    for entry in scored:
        for row in _scored(entry)[0].near:
            if row.equal or row.near:
                table.add_row(label(entry.name), row.between, f"{row.equal:,}", f"{row.near:,}", f"{row.other_label:,}")
    return table
