"""An audit as tables: the same blocks for the terminal and for the page."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from evaluator.audit.kinds import MULTI_NAMES, NAMES, Kind
from evaluator.audit.results import Audit, Control, Reversal, ViewResult
from evaluator.audit.verdict import verdict_of
from evaluator.report.console import hanging, label, line, titled
from evaluator.report.format import percent
from evaluator.tables import Block
from evaluator.text import name as shown_name
from evaluator.words import counted

MOST_SWAPS = 20
"""Pairs that change places in the terminal."""
FIRST_IDS = 3
"""Ids of a swap that a table names; JSON has all."""


def show_audit(console: Console, audit: Audit) -> None:
    """Print an audit: tables, the verdict, and how the figures were obtained."""
    for block in blocks(audit, most=MOST_SWAPS):
        table = Table(box=None, pad_edge=False)
        for place, head in enumerate(block.headers):
            table.add_column(head, justify="left" if place == 0 else "right")
        for row in block.rows:
            table.add_row(label(row[0]), *map(line, row[1:]))
        titled(console, block.title, table)
        console.print()
    for note in notes(audit):
        hanging(console, f"  {note}", "dim")
    console.print()
    verdict = verdict_of(audit)
    hanging(console, f"verdict: {verdict.headline}", "bold yellow" if verdict.changed else "bold green")
    for sentence in verdict.sentences:
        hanging(console, f"  {sentence}")


def blocks(audit: Audit, most: int | None = None) -> list[Block]:
    """All tables, in order. ``most``: pairs in that of swaps."""
    found = [sources_block(audit)] if audit.sources else []
    found += [agreement_block(audit)] if audit.agreements else []
    for source in sources_of(audit):
        found.append(accuracy_block(audit, source))
        found += [rank_block(audit, source)] if len(audit.models) > 1 else []
        found += [asked] if (asked := asked_block(audit, source)) is not None else []
    if len(audit.models) > 1 and len(audit.views) > 1:
        found += views_blocks(audit)
        if any(view.swaps for view in audit.views):
            found.append(swaps_block(audit, most))
    return found


def sources_of(audit: Audit) -> list[str]:
    """Whose views there are: the sources and what they say together; the empty name for views that no source decides."""
    return list(dict.fromkeys(view.source for view in audit.views[1:])) or [""]


def views_of(audit: Audit, source: str) -> list[ViewResult]:
    """``all`` and the views of a source."""
    return [audit.views[0], *(view for view in audit.views[1:] if view.source == source)]


def by(source: str) -> str:
    """The source of a table, for its title."""
    return f", {shown_name(source)}" if source else ""


def accuracy_block(audit: Audit, source: str) -> Block:
    """Accuracies in percent with their intervals: a row per model, a column per view."""
    views = views_of(audit, source)
    heads = tuple(f"{view.name} (n={view.n:,})" for view in views)
    order = sorted(range(len(audit.models)), key=lambda m: (views[0].rows[m].rank, audit.models[m]))
    rows = tuple(
        (
            audit.models[m],
            *(f"{100 * v.rows[m].accuracy:.2f} [{100 * v.rows[m].low:.2f}, {100 * v.rows[m].high:.2f}]" for v in views),
        )
        for m in order
    )
    return Block(f"accuracy, %{by(source)}", ("model", *heads), rows)


def rank_block(audit: Audit, source: str) -> Block:
    """Ranks: bootstrap interval over images in square brackets, the ranks that the tests leave possible in round ones."""
    views = views_of(audit, source)
    order = sorted(range(len(audit.models)), key=lambda m: (views[0].rows[m].rank, audit.models[m]))
    rows = tuple(
        (
            audit.models[m],
            *(
                f"{v.rows[m].rank:g} [{v.rows[m].rank_low:g}, {v.rows[m].rank_high:g}] ({v.rows[m].best}-{v.rows[m].worst})"
                for v in views
            ),
        )
        for m in order
    )
    return Block(f"rank{by(source)}", ("model", *(view.name for view in views)), rows)


def asked_block(audit: Audit, source: str) -> Block | None:
    """Intervals of accuracies and ranks that include who was asked; None where a source has no raw answers."""
    views = [view for view in views_of(audit, source)[1:] if view.rows[0].asked is not None]
    if not views:
        return None
    order = sorted(range(len(audit.models)), key=lambda m: (audit.views[0].rows[m].rank, audit.models[m]))
    rows = tuple((audit.models[m], *(_asked(view, m) for view in views)) for m in order)
    title = f"accuracy, % and rank, raters and images drawn anew{by(source)}"
    return Block(title, ("model", *(view.name for view in views)), rows)


def _asked(view: ViewResult, model: int) -> str:
    low, high, first, last = view.rows[model].asked or (0.0, 0.0, 0.0, 0.0)
    return f"[{100 * low:.2f}, {100 * high:.2f}] rank [{first:g}, {last:g}]"


def views_blocks(audit: Audit) -> list[Block]:
    """How far each ranking is that of all images; and what chance does, of the views that have such a figure.

    Two tables, each narrow enough for the usual terminal: a row that is continued further down would name its source alone.
    """
    rows: list[tuple[str, ...]] = []
    chance: list[tuple[str, ...]] = []
    for view in audit.views[1:]:
        shown = sum(swap.shown for swap in view.swaps)
        rows.append(
            (
                view.source or "-",
                view.name,
                f"{view.n:,}",
                _figure(view.tau),
                _figure(view.spearman),
                f"{len(view.swaps)}",
                f"{shown}",
            )
        )
        asked = "-" if view.asked is None else f"{view.asked[0]:.3f} [{view.asked[1]:.3f}, {view.asked[2]:.3f}]"
        if view.random is not None or view.matched is not None or view.asked is not None:
            chance.append((view.source or "-", view.name, _control(view.random), _control(view.matched), asked))
    heads = ("source", "view", "n", "tau-b", "Spearman", "swaps", "beyond noise")
    found = [Block("the ranking against that of all images", heads, tuple(rows))]
    if chance:
        most = 5 if any(view.asked is not None for view in audit.views) else 4
        further = ("source", "view", "random", "matched", "raters")[:most]
        found.append(Block("tau-b by chance alone", further, tuple(row[:most] for row in chance)))
    return found


def p_text(p: float) -> str:
    """A p of a table: ``0.012``, ``<0.001``."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _control(control: Control | None) -> str:
    return "-" if control is None else f"{control.median:.3f} [{control.low:.3f}, {control.high:.3f}], {percent(control.below)}"


def swaps_block(audit: Audit, most: int | None = None) -> Block:
    """The pairs that change places, those beyond noise first. ``most``: as many; the title says how many there are."""
    every = [(view, swap) for view in audit.views for swap in view.swaps]
    every.sort(key=lambda each: not each[1].shown)
    heads = ("ahead", "then behind", "view", "gap before", "gap in the view", "p", "images", "first of them")
    cut = f", the first {most} of {len(every)}; --json has all" if most is not None and most < len(every) else ""
    return Block(f"pairs that change places{cut}", heads, tuple(_swap(view, swap) for view, swap in every[:most]))


def _swap(view: ViewResult, swap: Reversal) -> tuple[str, ...]:
    first = ", ".join(shown_name(id_, 40) for id_ in swap.images[:FIRST_IDS])
    return (
        swap.ahead,
        swap.behind,
        f"{view.name}{by(view.source)}",
        f"{100 * swap.before.gap:+.3f} [{100 * swap.before.low:+.3f}, {100 * swap.before.high:+.3f}]",
        f"{100 * swap.after.gap:+.3f} [{100 * swap.after.low:+.3f}, {100 * swap.after.high:+.3f}]",
        f"{p_text(swap.p)}{'' if swap.shown else ', noise'}",
        f"{len(swap.images):,} for, {swap.against:,} against",
        first + (", ..." if len(swap.images) > FIRST_IDS else ""),
    )


def sources_block(audit: Audit) -> Block:
    """What each source says."""
    names = MULTI_NAMES if audit.benchmark.multi else NAMES
    kinds = [names[kind] for kind in Kind]
    rows = tuple(
        (
            source.name,
            f"{source.reviewed:,}",
            *(f"{source.kinds[kind]:,}" for kind in kinds),
            f"{source.elsewhere:,}",
            "-" if source.raters is None else f"{source.raters:,}, {source.answers:,} answers",
        )
        for source in audit.sources
    )
    numbered = [kind if place == 0 else f"({place}) {kind}" for place, kind in enumerate(kinds)]
    return Block("sources", ("source", "looked at", *numbered, "(2) without the given", "raters"), rows)


def agreement_block(audit: Audit) -> Block:
    """How far each pair of sources agrees."""
    rows = tuple(
        (
            shown_name(found.first),
            shown_name(found.second),
            f"{found.n:,}",
            f"{found.equal:,}",
            f"{percent(found.equal / found.n)}" if found.n else "-",
            f"{found.flagged:,}",
            f"{found.only_first:,}",
            f"{found.only_second:,}",
            _figure(found.kappa),
        )
        for found in audit.agreements
    )
    return Block(
        "agreement of sources",
        ("first", "second", "both looked at", "equal labels", "share", "both flag", "only the first", "only the second", "kappa"),
        rows,
    )


def confusion_blocks(audit: Audit) -> list[Block]:
    """Of every pair of sources: the kind by the first (rows) and by the second (columns)."""
    names = MULTI_NAMES if audit.benchmark.multi else NAMES
    kinds = [names[kind] for kind in Kind]
    return [
        Block(
            f"kinds by {shown_name(found.first)} (rows) and {shown_name(found.second)} (columns)",
            ("", *kinds),
            tuple((kind, *(f"{many:,}" for many in row)) for kind, row in zip(kinds, found.kinds, strict=True)),
        )
        for found in audit.agreements
    ]


def notes(audit: Audit) -> list[str]:
    """How the figures were obtained, and what was not computed."""
    s, first = audit.settings, audit.views[0]
    revision = f", revision {shown_name(audit.benchmark.revision)}" if audit.benchmark.revision else ""
    found = [
        f"{counted(len(audit.benchmark), 'image')}{revision}; accuracies are pooled over images. Brackets: "
        f"{percent(s.level)} interval, "
        f"of accuracies Wilson's (of top-k by {s.draws:,} draws of images), of ranks and gaps by {s.draws:,} draws of "
        f"images. Ranks in "
        f"round brackets: what the tests of all pairs leave possible (McNemar's, Holm's correction, {percent(s.alpha)})."
    ]
    part = [source for source in audit.sources if source.reviewed < len(audit.benchmark)]
    found += [
        f"{shown_name(source.name)} looked at {source.reviewed:,} images; in its views the others keep their label, which "
        f"may be wrong."
        for source in part
    ]
    if audit.family:
        found.append(
            "beyond noise: the order is shown with labels as given, and the opposite order in the view; p is corrected over "
            f"{audit.family:,} claims, all pairs, views and sources of this audit (inheritance procedure of Goeman and Finos)."
        )
    if any(view.matched for view in audit.views):
        found.append(
            f"random, matched: tau-b by chance alone, when as many images are left out at random, or at random but as hard "
            f"({s.control_draws:,} draws); "
            "behind it: the share of them with a tau as low as the view's. Views that change labels have no such control."
        )
    if first.redrawn is not None:
        found.append(
            f"on images drawn anew, the ranking of all images against itself has tau-b {first.redrawn[0]:.3f} "
            f"[{first.redrawn[1]:.3f}, {first.redrawn[2]:.3f}]: the choice of images alone changes it that much."
        )
    if any(view.asked for view in audit.views):
        found.append(
            f"raters: tau-b when raters and images are drawn anew together ({s.rater_draws:,} draws), against all images "
            f"with labels "
            "as given."
        )
    return found + [f"not computed: {note}." for note in audit.notes]
