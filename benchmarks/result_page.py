"""The page of results, out of the committed cells and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.result_cells import unpack
from benchmarks.result_summary import Table, overall, sentences, titles
from benchmarks.result_tables import agreement, by_pair, glance, public_less_hidden, tau_text
from evaluator.history.groups import Condition, sort_cells
from evaluator.report.comparison import Asked, comparison_report
from evaluator.report.comparison_tables import (
    Block,
    area_blocks,
    markdown_rows,
    matrix_blocks,
    notes,
    overall_block,
    plan_blocks,
)

COMMAND = "python -m benchmarks.results"
PROXY = "**Scores of a proxy** (frozen embeddings and a linear head). They stand in no table with those of a full training."
READING = f"""\
## How to read it, and how to make it again

- Everything is paired by seed: same splits and initial weights for every strategy. Brackets are 95 % t intervals over seeds.
- **better** and **worse**: the interval excludes 0, and the paired t-test's p is below 0.05 after Holm's correction over the
  strategies of a condition (over the pairs) or of a pair. Anything else is noise. Conditions are not corrected for each other.
- **The data set is the same for all seeds.** An interval says what other seeds would give on these images, not what other images
  would. A difference that is there on one split and not on the other may be the luck of these images.
- The floor is `random`; the ceiling is `full_pool` with a budget that holds the whole pool. It is in no test and no ranking.
- `{COMMAND} --run` runs what is missing of `benchmarks/experiments/*.toml`, also after an interruption, gathers the
  cells, and writes the files, this page and its pictures. `benchmarks/result_cells.py` explains the keys of the files."""
TITLES = {False: "Full training", True: "The proxy"}
PICTURES = {
    (False, "differences"): "full-differences.svg",
    (False, "curves"): "full-curves.svg",
    (True, "differences"): "proxy-differences.svg",
    (True, "curves"): "proxy-curves.svg",
    (True, "scatter"): "proxy-against-full.svg",
}
"""Files below ``docs/images``, by whether they are the proxy's and what they show."""


@dataclass(frozen=True, eq=False)
class Results:
    """Everything that page and pictures show.

    Attributes:
        conditions: in the order of ``report["tables"]``.
        report: that of ``python -m evaluator compare``.
        experiments: what was asked for, and how much of it is stored.
        left_out: what was found and not taken.
    """

    conditions: tuple[Condition, ...]
    report: dict[str, Any]
    experiments: tuple[dict[str, Any], ...]
    left_out: tuple[str, ...]

    @classmethod
    def of(cls, files: Sequence[Mapping[str, Any]]) -> Results:
        """The results of stored files.

        Raises:
            ConfigurationError: a file of another version.
        """
        cells = [cell for file in files for cell in unpack(file)]
        conditions, others = sort_cells(cells)
        left_out = dict.fromkeys(line for file in files for line in file["left_out"])
        return cls(
            conditions=tuple(conditions),
            report=comparison_report(conditions, others, Asked()),
            experiments=tuple(experiment for file in files for experiment in file["experiments"]),
            left_out=(*left_out, *others),
        )

    def tables(self, proxy: bool) -> list[tuple[Table, Condition]]:
        """Those of the proxy, or those of full trainings, never both; of two splits that of the round comes first."""

        def order(both: tuple[Table, Condition]) -> tuple[Any, ...]:
            table, split = both[0], both[1].rules["profile"]["round"]["score_split"]
            return table["profile"], table["pipeline"], -table["label_quality"], table["score_split"] != split

        both = zip(self.report["tables"], self.conditions, strict=True)
        return sorted((pair for pair in both if pair[0]["proxy"] == proxy), key=order)


def page(results: Results) -> str:
    """The text of ``docs/results.md``."""
    lines = [
        "# Which strategies beat random",
        "",
        f"Written by `{COMMAND} --page-only` from `benchmarks/results/strategies-full.json` and `strategies-proxy.json`.",
        "Every figure below is computed from these files; do not edit the page by hand.",
        "",
    ]
    missing = sum(experiment["cells"] - experiment["stored"] for experiment in results.experiments)
    asked = sum(experiment["cells"] for experiment in results.experiments)
    if missing:
        said = (
            f"> **Partial:** {missing:,} of {asked:,} cells are not there yet. Rows say on how many seeds they rest (n), and what"
        )
        lines += [said, "> stands here may turn when the rest is there.", ""]
    for sentence in sentences(results.report):
        lines += [sentence, ""]
    lines += _asked(results)
    for proxy in (False, True):
        if tables := results.tables(proxy):
            lines += _part(results, proxy, tables)
    lines += _reading(results)
    return "\n".join(lines)


def _asked(results: Results) -> list[str]:
    """What was asked for, and how much of it is there."""
    rows = tuple(
        (
            experiment["name"],
            f"{experiment['profile']}, {', '.join(experiment['pipelines'])}",
            str(len(experiment["submissions"])),
            ", ".join(experiment["pairs"]),
            str(experiment["seeds"]),
            ", ".join(f"{quality:g}" for quality in experiment["label_qualities"]),
            ", ".join(experiment["score_splits"]),
            f"{experiment['stored']:,} of {experiment['cells']:,}",
        )
        for experiment in results.experiments
    )
    headers = ("experiment", "profile, pipeline", "strategies", "pairs", "seeds", "label quality", "splits", "cells stored")
    return ["## What was run", "", *markdown_rows(Block("", headers, rows)), ""]


def _part(results: Results, proxy: bool, tables: Sequence[tuple[Table, Condition]]) -> list[str]:
    """Everything of one kind of pipeline: at a glance, then condition by condition."""
    lines = [f"## {TITLES[proxy]}", ""]
    if proxy:
        lines += [PROXY, ""]
    lines += [_image(proxy, "differences", "Differences to random with 95 % intervals, a panel per condition"), ""]
    lines += _table(glance(tables), proxy, None)
    lines += [_image(proxy, "curves", "Macro F1 by labels bought, a panel per strategy, with random and the ceiling"), ""]
    for name, (table, condition) in zip(titles([table for table, _ in tables]), tables, strict=True):
        lines += [f"### {_capital(name)}{' (proxy)' if proxy else ''}", ""]
        lines += _table(overall_block(results.report, table), proxy, table)
        lines += _table(by_pair(table), proxy, table)
        for block in area_blocks(table):
            lines += _table(block, proxy, table)
        if (hidden := public_less_hidden(table, condition)) is not None:
            lines += _table(hidden, proxy, table)
        more = [*matrix_blocks(table), *plan_blocks(results.report, table)]
        lines += ["<details><summary>Every strategy against every other; what these seeds can show; notes</summary>", ""]
        for block in more:
            lines += _table(block, proxy, table)
        lines += [*(f"- {note}" for note in notes(results.report, table)), "", "</details>", ""]
    if proxy:
        lines += ["### The proxy against full training", ""]
        if drawn(results):
            lines += [_image(True, "scatter", "Differences to random by the proxy and by full training"), ""]
        lines += [*markdown_rows(agreement(tables)), ""]
    return lines


def drawn(results: Results) -> list[tuple[Table, Table]]:
    """Tables of the proxy and of a full training that are of one condition: the panels of the scatter."""
    full = [table for table, _ in results.tables(False)]
    alike = ("profile", "label_quality", "score_split")
    return [
        (mine, theirs)
        for mine, _ in results.tables(True)
        for theirs in full
        if all(mine[name] == theirs[name] for name in alike) and in_both(mine, theirs)
    ]


def in_both(mine: Table, theirs: Table) -> list[str]:
    """Strategies of which both tables have a difference to random."""
    here, there = overall(mine), overall(theirs)
    return [name for name in here if name in there and here[name]["difference"] and there[name]["difference"]]


def _table(block: Block, proxy: bool, table: Table | None) -> list[str]:
    """A table under its title; one of the proxy says so, and how far it can be trusted."""
    mark = ""
    if proxy and table is not None:
        known = [f"tau-b with `{row['pipeline']}` {tau_text(row['tau'])}" for row in table["stand_in"]]
        mark = f" *Proxy; {'; '.join(known) or 'tau-b with a full training not measured'}.*"
    elif proxy:
        mark = " *Proxy; its rank correlation with full training stands with each condition.*"
    return [f"**{_capital(block.title)}.**{mark}", "", *markdown_rows(block), ""]


def _reading(results: Results) -> list[str]:
    kits = sorted({str(table["kit"]) for table in results.report["tables"]})
    made = [f"- Made by kit {', '.join(kits)}."] if kits else []
    return [READING, *_fixed(results), *made, *(f"- Left out: {line}." for line in results.left_out), ""]


def _fixed(results: Results) -> list[str]:
    """Strategies that buy the same labels with every seed, which a proxy shows: with clean labels its score never changes then."""
    same = set()
    for table, condition in results.tables(True):
        scores = condition.scores(table["metric"]).on(table["over_pairs"])
        if table["label_quality"] == 1 and len(scores.seeds) > 1:
            still = (scores.values == scores.values[:, :, :1]).all(axis=(1, 2))  # what is missing equals nothing
            same |= {name for name, fixed in zip(scores.strategies, still, strict=True) if fixed}
    if not same:
        return []
    names = ", ".join(f"`{name}`" for name in sorted(same))
    return [
        f"- These buy the same whatever the seed where labels are clean, since the proxy's score of them never changes: {names}.",
        "  Their seeds are one observation of the strategy there, and the interval is that of `random` alone.",
    ]


def _image(proxy: bool, what: str, alt: str) -> str:
    return f"![{alt}](images/{PICTURES[proxy, what]})"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
