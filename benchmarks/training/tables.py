"""Tables of the contest: every contestant, how many times faster ours is, and where the time goes."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from benchmarks.stopwatch.timing import Ratio
from benchmarks.training.races import PLAIN


def add_shares(report: dict[str, Any]) -> None:
    """Add to every contestant its share of the machine's own matrix product, by number format."""
    for race in report["races"].values():
        for contestant in race["contestants"].values():
            rate = contestant["flops_per_second"]
            peaks = report["matrix_product_flops"].items()
            contestant["share_of_matrix_product"] = None if rate is None else {name: rate / peak for name, peak in peaks}


def contest_table(found: dict[str, dict[str, Any]]) -> Table:
    """A row per contestant of every race."""
    table = Table(title="Ours against the plain loop, per image pass", title_justify="left")
    for name in ("race", "contestant", "batch", "ms", "processor ms", "images/s", "GFLOP/s", "of matrix product", "peak MiB", "n"):
        table.add_column(name, justify="left" if name in ("race", "contestant") else "right")
    for race, report in found.items():
        for name, figures in report["contestants"].items():
            shares, rate, peak = (figures[key] for key in ("share_of_matrix_product", "flops_per_second", "peak_bytes"))
            table.add_row(
                race if name == PLAIN else "",
                name,
                str(figures["batch_size"]),
                f"{figures['ms_per_image']:.3g}",
                f"{figures['cpu_ms_per_image']:.3g}",
                f"{figures['images_per_second']:.3g}",
                "-" if rate is None else f"{rate / 1e9:.3g}",
                "-" if shares is None else ", ".join(f"{100 * share:.0f} % {kind}" for kind, share in shares.items()),
                "-" if peak is None else f"{peak / 2**20:.0f}",
                str(figures["n"]),
            )
        table.add_section()
    return table


def ratio_table(found: dict[str, dict[str, Any]]) -> Table:
    """How many times faster ours is, and whether the goal is reached."""
    table = Table(title="Ours over plain (median of rounds, lowest to highest)", title_justify="left")
    for name in ("race", "compared at", "times faster", "processor", "goal", "reached"):
        table.add_column(name, justify="left" if name in ("race", "compared at") else "right")
    for race, report in found.items():
        for index, (name, ratio) in enumerate(report["ratios"].items()):
            target = report["target"] if name.startswith("own batch sizes") else None
            table.add_row(
                race if index == 0 else "",
                name,
                str(Ratio(**ratio)),
                f"{ratio['cpu_median']:.2f}",
                "-" if target is None else f"{target:g}",
                "-" if target is None else "yes" if ratio["median"] >= target else "no",
            )
        table.add_section()
    return table


def phase_table(found: dict[str, dict[str, Any]]) -> Table:
    """Milliseconds per image and phase of the whole trainings."""
    table = Table(title="Where the time goes, ms per image (evaluation: per image evaluated)", title_justify="left")
    names = ("decode", "augment", "forward", "backward", "optimiser", "everything else", "evaluation")
    for name in ("race", "contestant", *names):
        table.add_column(name, justify="left" if name in ("race", "contestant") else "right")
    for race, report in found.items():
        for contestant, phases in report["phases_ms"].items():
            table.add_row(race, contestant, *(f"{phases[name]:.3g}" if name in phases else "-" for name in names))
    return table
