"""What is shown of an audit whose errors were planted: the ranking before and after, against the truth; and rates of nulls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from evaluator.audit.benchmark import Benchmark
from evaluator.audit.corrections import Source
from evaluator.audit.nulls import NullRates
from evaluator.audit.planted import Found, Planted
from evaluator.audit.rank import summary_of
from evaluator.audit.ranks import ranks_of
from evaluator.audit.results import Audit, Settings
from evaluator.audit.shown import agreement_block, confusion_blocks, sources_block
from evaluator.audit.sources import agreements
from evaluator.audit.views import Name
from evaluator.report.console import hanging, label, titled
from evaluator.report.html.render import Tabled
from evaluator.tables import Block
from evaluator.words import counted

SHOWN = (Name.ALL, Name.WITHOUT_MISLABELLED, Name.CLEAN, Name.CORRECTED, Name.REAL)
"""Views whose ranks stand beside the true rank."""
MOST = 30
"""Models that are printed."""


def show_planted(console: Console, planted: Planted, result: Audit, found: Sequence[Found]) -> None:
    """Print true ranks beside those of each view, and how far each view's ranking is the true ranking."""
    for block in (_ranks_block(planted, result), _found_block(found)):
        _show(console, block)
    for sentence in _told(found):
        hanging(console, sentence)


def planted_section(planted: Planted, result: Audit, found: Sequence[Found]) -> Tabled:
    """The same for a page."""
    return Tabled("Against the truth", (_ranks_block(planted, result), _found_block(found)), tuple(_told(found)))


def _show(console: Console, block: Block) -> None:
    table = Table(box=None, pad_edge=False)
    for place, head in enumerate(block.headers):
        table.add_column(head, justify="left" if place == 0 else "right")
    for row in block.rows:
        table.add_row(label(row[0]), *row[1:])
    titled(console, block.title, table)


def _ranks_block(planted: Planted, result: Audit) -> Block:
    views = [view for view in result.views if view.name in SHOWN]
    truth = {model.model: value for model, value in zip(planted.predictions, planted.truth.tolist(), strict=True)}
    ranks = dict(zip(truth, ranks_of(np.round(list(truth.values()), 12)).tolist(), strict=True))
    order = sorted(range(len(result.models)), key=lambda place: (ranks[result.models[place]], result.models[place]))
    rows = []
    for place in order[:MOST]:
        name = result.models[place]
        rows.append((name, f"{truth[name]:.1%}", f"{ranks[name]:g}", *(f"{view.rows[place].rank:g}" for view in views)))
    more = f", the best {MOST} of {len(order)}" if len(order) > MOST else ""
    heads = ("model", "accuracy", "rank", *(view.name for view in views))
    return Block(f"true accuracy and rank, and the rank in each view{more}", heads, tuple(rows))


def _found_block(found: Sequence[Found]) -> Block:
    rows = []
    for row in found:
        tau = "-" if row.tau is None else f"{row.tau:.2f}"
        counts = ("-", f"{row.real}", "-") if row.view == Name.ALL else (f"{row.shown}", f"{row.real}", f"{row.false}")
        rows.append((row.view, tau, *counts))
    return Block("against the truth", ("view", "tau-b with the truth", "found", "of", "false"), tuple(rows))


def _told(found: Sequence[Found]) -> list[str]:
    """What the tables say, and how to read them."""
    before, best = found[0], max(found[1:], key=lambda row: row.tau if row.tau is not None else -2, default=None)
    told = []
    if best is not None and before.tau is not None and best.tau is not None:
        told.append(
            f"With the labels as given the ranking has tau-b {before.tau:.2f} with the true ranking (1 is the same order, -1 the "
            f"reverse); in the view that comes nearest to it, {best.view}, {best.tau:.2f}."
        )
    stand = "pair of models stands" if before.real == 1 else "pairs of models stand"
    told.append(
        f"With the labels as given {before.real:,} {stand} in the wrong order. found: those of which the audit says that they "
        "change places beyond noise. false: pairs of which it says so, and that stand in the right order."
    )
    return told


def show_nulls(console: Console, rates: Sequence[NullRates]) -> None:
    """Print how often pairs whose order does not change are said to change places."""
    table = Table(box=None, pad_edge=False)
    table.add_column("pairs")
    for name in ("audits", "with a false change", "95 % interval", "stated", "order turned", "called real"):
        table.add_column(name, justify="right")
    for row in rates:
        low, high = row.rate.low or 0.0, row.rate.high or 0.0
        share = f"{row.audits:,} ({row.rate.mean:.1%})"
        turned = f"{row.swapped:,} of {row.repetitions * row.pairs:,}"
        table.add_row(
            row.null, f"{row.repetitions:,}", share, f"{low:.1%} to {high:.1%}", f"{row.alpha:.0%}", turned, f"{row.changes:,}"
        )
    titled(console, "pairs without a change of places", table)
    hanging(
        console,
        "twins: both models are as good on every image. favoured: one of them says what the annotator said of the mislabelled "
        "images; without those both are equal. order turned: pairs whose order turned in a view where they are equal, by chance.",
    )


def planted_as_dict(planted: Planted, found: Sequence[Found]) -> dict[str, Any]:
    """The truth, and what the audit made of it."""
    truth = dict(zip((model.model for model in planted.predictions), planted.truth.tolist(), strict=True))
    return {"truth": truth, "against_the_truth": [asdict(row) for row in found]}


def nulls_as_dict(rates: Sequence[NullRates]) -> list[dict[str, Any]]:
    """The rates of planted nulls."""
    return [asdict(row) | {"rate": row.rate.mean, "low": row.rate.low, "high": row.rate.high} for row in rates]


def show_kinds(console: Console, benchmark: Benchmark, sources: Sequence[Source]) -> None:
    """Print how many labels of each kind every source names, and how far sources agree."""
    found = _unranked(benchmark, sources)
    for block in (sources_block(found), *((agreement_block(found), *confusion_blocks(found)) if found.agreements else ())):
        _show(console, block)
    hanging(console, f"{counted(len(benchmark), 'image')}; {benchmark.revision or 'no revision was named'}.")


def kinds_as_dict(benchmark: Benchmark, sources: Sequence[Source]) -> dict[str, Any]:
    """The same as a record."""
    found = _unranked(benchmark, sources)
    return {
        "images": len(benchmark),
        "revision": benchmark.revision,
        "sources": [asdict(source) for source in found.sources],
        "agreements": [asdict(pair) for pair in found.agreements],
    }


def _unranked(benchmark: Benchmark, sources: Sequence[Source]) -> Audit:
    """An audit of labels alone: it has sources, and no model and no view."""
    summaries = tuple(summary_of(benchmark, source) for source in sources)
    nothing = np.empty((len(benchmark), 0), np.int32)
    return Audit(benchmark, (), summaries, tuple(agreements(sources)), (), 0, Settings(), (), nothing, {})
