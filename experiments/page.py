"""The text of the page of results, from the committed cells alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluator.cli.tracks import TRACKS
from evaluator.history.groups import Condition, sort_cells
from evaluator.machine import computed_by
from evaluator.report.comparison.asked import Asked
from evaluator.report.comparison.blocks import area_blocks, matrix_blocks, overall_block, plan_blocks
from evaluator.report.comparison.figures import comparison_report
from evaluator.report.comparison.notes import notes
from evaluator.report.format import markdown_rows
from evaluator.report.levels import level_blocks, level_notes
from evaluator.tables import Block
from evaluator.training.recipes import PIPELINES
from experiments.columns import unpack
from experiments.levels import beaten, by_data_set, order_kept, plain
from experiments.summary import Table, collapsed, overall, sentences, titles
from experiments.tables import agreement, by_pair, glance, public_less_hidden, tau_text
from experiments.tried import ONE_DATA_SET, SAME_IMAGES, SHARED, TRIED
from experiments.tuning import refuse

COMMAND = "python -m experiments"
PROXY = "**Scores of a proxy** (frozen embeddings and a linear head). No table mixes them with scores of a full training."
READING = f"""\
## How to read it, and how to make it again

- Everything is paired by seed: same splits and initial weights for every strategy. Brackets are 95 % t intervals, over the means of
  the data sets where there are several, and over seeds where there is one. On a single data set two seeds make them very wide, and
  some exclude 0 by chance: these are no findings.
- **better** and **worse**: the interval excludes 0, the larger p of the t-test and of the t-test corrected for skewness is below
  0.05 after one correction over everything that this page lists in words, and so is that of the sign-flip test without correction.
  Where there are several data sets, their means are the observations, six or more of them. Anything else is noise.
- **p corrected**: of a difference in a tree of tests (`docs/statistics.md`). As long as much is left untested it is p times the
  number of strategies under all conditions.
- Tables of two splits show the same trained models: a finding on both is no replication, and counts once.
- The floor is `random`; the ceiling is `full_pool` with a budget for the whole pool. The ceiling is in no test and no ranking.
- `{COMMAND} --run` runs what is missing of `experiments/sweeps/*.toml`, also after an interruption, gathers the cells, and
  writes the files of cells, this page and its pictures. `experiments/columns.py` explains the keys of the files.
- `{COMMAND} --forecast` says how long that takes: at most four hours of two cores. `{COMMAND}.rederive` derives every
  figure of this page again from the cells, with formulas of its own.
- `{COMMAND} --check` says whether this page and its pictures are those of the committed cells."""
WHOLE = 1_000
"""Strategies in a table of wins and losses: all of them."""
TITLES = {False: "Full training", True: "The proxy"}
PICTURES = {
    (False, "levels"): "full-data-sets.svg",
    (True, "levels"): "proxy-data-sets.svg",
    (False, "differences"): "full-differences.svg",
    (False, "curves"): "full-curves.svg",
    (True, "differences"): "proxy-differences.svg",
    (True, "curves"): "proxy-curves.svg",
    (True, "scatter"): "proxy-against-full.svg",
}
"""Files in ``docs/images``, by (whether of the proxy, what they show)."""


@dataclass(frozen=True, eq=False)
class Results:
    """Everything that the page and its pictures show.

    Attributes:
        conditions: in the order of ``report["tables"]``.
        report: as ``python -m evaluator compare`` makes it.
        experiments: what was asked for, and how much of it is stored; see ``Grid.as_dict``.
        left_out: what was found and not taken.
    """

    conditions: tuple[Condition, ...]
    report: dict[str, Any]
    experiments: tuple[dict[str, Any], ...]
    left_out: tuple[str, ...]

    @classmethod
    def of(cls, files: Sequence[Mapping[str, Any]]) -> Results:
        """The results in files of cells (``columns.py``).

        Raises:
            ConfigurationError: a file has another schema.
        """
        cells = [cell for file in files for cell in unpack(file)]
        refuse((cell["spec"] for cell in cells), "experiments/cells")
        conditions, others = sort_cells(cells, TRACKS)
        left_out = dict.fromkeys(line for file in files for line in file["left_out"])
        return cls(
            conditions=tuple(conditions),
            report=comparison_report(conditions, others, Asked(each_data_set=True)),
            experiments=tuple(experiment for file in files for experiment in file["experiments"]),
            left_out=(*left_out, *others),
        )

    def levels(self, proxy: bool) -> list[tuple[Table, list[Table]]]:
        """Tables over data sets of the proxy, or of full trainings, each with the tables of its data sets."""
        found = []
        for table in self.report["levels"]:
            each = [one for one in self.report["tables"] if _is_one_of(one, table)]
            found += [(table, each)] if table["proxy"] == proxy else []
        return sorted(found, key=lambda both: (both[0]["profile"], both[0]["pipeline"], -both[0]["label_quality"]))

    def tables(self, proxy: bool) -> list[tuple[Table, Condition]]:
        """Tables of conditions of which one data set is stored, of the proxy or of full trainings, with their conditions.

        The split that the round scores comes first.
        """
        of_levels = [id(one) for kind in (False, True) for _, each in self.levels(kind) for one in each]

        def order(both: tuple[Table, Condition]) -> tuple[Any, ...]:
            table, split = both[0], both[1].rules["profile"]["round"]["score_split"]
            return table["profile"], table["pipeline"], -table["label_quality"], table["score_split"] != split

        both = zip(self.report["tables"], self.conditions, strict=True)
        return sorted((pair for pair in both if pair[0]["proxy"] == proxy and id(pair[0]) not in of_levels), key=order)


def page(results: Results) -> str:
    """The text of ``docs/results.md``."""
    lines = [
        "# Which strategies beat random",
        "",
        f"Written by `{COMMAND} --page-only` from `experiments/cells/strategies-full.json` and `strategies-proxy.json`.",
        "Every figure below is computed from these files; do not edit the page by hand.",
        "",
    ]
    missing = sum(experiment["cells"] - experiment["stored"] for experiment in results.experiments)
    asked = sum(experiment["cells"] for experiment in results.experiments)
    if missing:
        said = f"> **Partial:** {missing:,} of {asked:,} cells are not stored yet. Each row gives its number of seeds (n). Findings"
        lines += [said, "> may change when the other cells are added.", ""]
    alone = {id(table) for kind in (False, True) for table, _ in results.tables(kind)}
    of_one = [table for table in results.report["tables"] if id(table) in alone]
    of_sets = [(kind, results.levels(kind)) for kind in (False, True)]
    for proxy, both in of_sets:
        if both:
            lines += [f"**{TITLES[proxy]}, over data sets.** {beaten([table for table, _ in both])}", ""]
    if of_one:
        lines += [ONE_DATA_SET, ""]
        for sentence in sentences(results.report | {"tables": of_one}, {kind for kind, both in of_sets if both}):
            lines += [sentence, ""]
    for sentence in collapsed(results.report["tables"]):
        lines += [sentence, ""]
    lines += _asked(results)
    for proxy, both in of_sets:
        if both:
            lines += _over_data_sets(results, proxy, both)
    for proxy in (False, True):
        if tables := results.tables(proxy):
            lines += _part(results, proxy, tables)
    lines += [TRIED, "", *_reading(results, bool(of_one))]
    return "\n".join(lines)


def _over_data_sets(results: Results, proxy: bool, both: Sequence[tuple[Table, list[Table]]]) -> list[str]:
    """Everything over data sets about the proxy, or about full trainings: an overview, then condition by condition."""
    tables = [table for table, _ in both]
    lines = [f"## {TITLES[proxy]}, over data sets", ""]
    lines += [PROXY, "", SHARED, ""] if proxy else []
    lines += [_image(proxy, "levels", "Differences to random over data sets with 95 % intervals, a panel per condition"), ""]
    lines += _table(glance([plain(table) for table in tables]), proxy, None)
    for name, (table, each) in zip(titles(tables), both, strict=True):
        lines += [f"### {_capital(name)}, {len(table['data_sets'])} data sets{' (proxy)' if proxy else ''}", ""]
        metric = TRACKS.known[table["track"]].metric(table["metric"])
        for block in (*level_blocks(table, metric, results.report["wanted"]), by_data_set(table, each)):
            lines += _table(block, proxy, None)
        lines += [*(f"- {note}" for note in level_notes(table, results.report["alpha"], results.report["family"])), ""]
    if proxy:
        lines += ["### The proxy against full training, over data sets", "", *markdown_rows(order_kept(both)), ""]
    return lines


def _is_one_of(one: Table, levels: Table) -> bool:
    """Whether a table is that of one data set of a table over data sets."""
    alike = ("track", "profile", "pipeline", "score_split", "label_quality", "on_timeout", "restart")
    return one["data_set"] in levels["data_sets"] and all(one[name] == levels[name] for name in alike)


def _asked(results: Results) -> list[str]:
    """What was asked for, and how much of it is stored."""
    rows = tuple(
        (
            experiment["name"],
            f"{experiment['profile']}, {', '.join(experiment['pipelines'])}",
            str(len(experiment["submissions"])),
            ", ".join(experiment["pairs"]),
            str(experiment["seeds"]),
            _numbers(experiment.get("data_sets", [0])),
            ", ".join(f"{quality:g}" for quality in experiment["label_qualities"]),
            ", ".join(experiment["score_splits"]),
            f"{experiment['stored']:,} of {experiment['cells']:,}",
        )
        for experiment in results.experiments
    )
    headers = (
        "experiment",
        "profile, pipeline",
        "strategies",
        "pairs",
        "seeds",
        "data sets",
        "label quality",
        "splits",
        "cells stored",
    )
    return ["## What was run", "", *markdown_rows(Block("", headers, rows)), ""]


def _numbers(data_sets: Sequence[int]) -> str:
    """Numbers of data sets: ``1 to 8``, or that there is only the profile's own."""
    if list(data_sets) == [0]:
        return "the profile's own"
    return f"{data_sets[0]} to {data_sets[-1]}" if len(data_sets) > 1 else str(data_sets[0])


def _part(results: Results, proxy: bool, tables: Sequence[tuple[Table, Condition]]) -> list[str]:
    """Everything about the proxy, or about full trainings: an overview, then condition by condition."""
    lines = [f"## {TITLES[proxy]}", ""]
    if proxy:
        lines += [PROXY, "", SHARED, ""]
    lines += [_image(proxy, "differences", "Differences to random with 95 % intervals, a panel per condition"), ""]
    lines += _table(glance([table for table, _ in tables]), proxy, None)
    lines += [_image(proxy, "curves", "Macro F1 by labels bought, a panel per strategy, with random and the ceiling"), ""]
    for name, (table, condition) in zip(titles([table for table, _ in tables]), tables, strict=True):
        lines += [f"### {_capital(name)}{' (proxy)' if proxy else ''}", ""]
        metric = condition.track.metric(table["metric"])
        lines += _table(overall_block(table, metric), proxy, table)
        lines += _table(by_pair(table), proxy, table)
        for block in area_blocks(table, metric):
            lines += _table(block, proxy, table)
        if (hidden := public_less_hidden(table, condition)) is not None:
            lines += _table(hidden, proxy, table)
        more = [*matrix_blocks(table, WHOLE), *plan_blocks(results.report, table, metric)]
        lines += ["<details><summary>Every strategy against every other; what these seeds can show; notes</summary>", ""]
        for block in more:
            lines += _table(block, proxy, table)
        lines += [*(f"- {note}" for note in notes(results.report, table, WHOLE)), "", "</details>", ""]
    if proxy:
        lines += ["### The proxy against full training", ""]
        if drawn(results):
            lines += [_image(True, "scatter", "Differences to random by the proxy and by full training"), ""]
        block = agreement(tables)
        lines += [*markdown_rows(block), ""]
    return lines


def drawn(results: Results) -> list[tuple[Table, Table]]:
    """Pairs of a table of the proxy and a table of full training under the same condition: the panels of the scatter plot."""
    full = [table for table, _ in results.tables(False)]
    alike = ("profile", "label_quality", "score_split")
    return [
        (mine, theirs)
        for mine, _ in results.tables(True)
        for theirs in full
        if all(mine[name] == theirs[name] for name in alike) and in_both(mine, theirs)
    ]


def in_both(mine: Table, theirs: Table) -> list[str]:
    """Strategies whose difference to random is in both tables."""
    here, there = overall(mine), overall(theirs)
    return [name for name in here if name in there and here[name]["difference"] and there[name]["difference"]]


def _table(block: Block, proxy: bool, table: Table | None) -> list[str]:
    """A table under its title; a table of the proxy says so, and how well its order agrees with full training."""
    mark = ""
    if proxy and table is not None:
        known = [f"tau-b with `{row['pipeline']}` {tau_text(row['tau'])}" for row in table["stand_in"]]
        mark = f" *Proxy; {'; '.join(known) or 'tau-b with a full training not measured'}.*"
    elif proxy:
        mark = ' *Proxy; see "The proxy against full training".*'
    return [f"**{_capital(block.title)}.**{mark}", "", *markdown_rows(block), ""]


def _reading(results: Results, one: bool) -> list[str]:
    return [
        READING,
        *([SAME_IMAGES] if one else []),
        *_fixed(results),
        *_recipes(results),
        *_made_by(results),
        *(f"- Left out: {line}." for line in results.left_out),
        "",
    ]


def _recipes(results: Results) -> list[str]:
    """A note on every pipeline of the cells that is another recipe today; cells of two recipes are never in one table."""
    found = {}
    for condition in results.conditions:
        used = condition.pipeline
        today = PIPELINES.get(used["name"].partition("@")[0])
        if today is not None:
            # What a profile or missing weights change is no other recipe.
            fixed = {"name", "image_size", "weights", "augmentation", *today.from_scratch}
            differ = [(name, value) for name, value in today.as_dict().items() if name not in fixed and used.get(name) != value]
            if differ:
                changed = [f"{name.replace('_', ' ')} {used.get(name)}, today {value}" for name, value in differ]
                found[used["name"]] = f"- `{used['name']}` of these cells is an earlier recipe: {'; '.join(changed)}."
    return list(found.values())


def _made_by(results: Results) -> list[str]:
    """The versions of the kit, and of what else may change a figure as far as the cells say; a line per set of versions."""
    kits: dict[str, set[str]] = {}
    for condition in results.conditions:
        for cell in condition.cells.values():
            others = ", ".join(f"{name} {version}" for name, version in computed_by(cell["versions"]).items())
            kits.setdefault(f" with {others}" if others else "", set()).add(cell["versions"]["kit"])
    return [f"- Made by kit {', '.join(sorted(found))}{others}." for others, found in sorted(kits.items())]


def _fixed(results: Results) -> list[str]:
    """A note on strategies that buy the same labels with every seed: with clean labels the proxy's score of them never changes."""
    same = set()
    for table, condition in results.tables(True):
        scores = condition.scores(table["metric"]).on(table["over_pairs"])
        if table["label_quality"] == 1 and len(scores.seeds) > 1:
            still = (scores.values == scores.values[:, :, :1]).all(axis=(1, 2))  # a missing score (NaN) equals nothing
            same |= {name for name, fixed in zip(scores.strategies, still, strict=True) if fixed}
    if not same:
        return []
    names = ", ".join(f"`{name}`" for name in sorted(same))
    return [
        f"- With clean labels some strategies buy the same with every seed: the proxy's score of them never changes: {names}.",
        "  There all seeds are one observation of such a strategy, and the interval of its difference is due to `random` alone.",
    ]


def _image(proxy: bool, what: str, alt: str) -> str:
    return f"![{alt}](images/{PICTURES[proxy, what]})"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
