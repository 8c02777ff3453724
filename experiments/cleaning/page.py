"""The text of ``docs/cleaning-results.md``, from the committed figures alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from evaluator.cleaning.track import CLEANING
from evaluator.cli.tracks import TRACKS
from evaluator.history.groups import sort_cells
from evaluator.report.comparison.asked import Asked
from evaluator.report.comparison.blocks import overall_pair
from evaluator.report.comparison.figures import comparison_report
from evaluator.report.format import signed
from evaluator.scoring.intervals import Interval, t_interval
from evaluator.strategies.valuation.methods import METHODS
from experiments.cleaning.cells import as_cells, table
from experiments.cleaning.study import DATA_SETS, DataSet

COMMAND = "python -m experiments.cleaning"
FIGURES = "experiments/cells/cleaning.json"
COMPARED = ("found_early", "area", "fraction_fixed")
"""The metrics that are compared with ``random``, each by itself."""
REFERENCE = "random"
TITLES = {
    "found_early": "Found early",
    "area": "Accuracy area",
    "fraction_fixed": "Share fixed (positive: fewer labels are checked)",
}
WHAT = {
    "digits": "Embedded handwritten digits with planted mistakes: five tasks, ten classes or two. Every seed draws rows and "
    "mistakes anew, from the same 1,797 images.",
    "painted sheets": "Painted sheets, six damages each, labelled by a simulated annotator. Every seed draws its own sheets.",
    "roman numerals": "Handwritten roman numerals with real mistakes: one person's cleaning says which labels are wrong, and which "
    "images an expert takes out. All seeds draw their rows from the same images.",
    "CIFAR-10 votes": "CIFAR-10's test labels: rows are cross-validated probabilities. Only images that confident learning flagged "
    "were voted on, and only those with a majority count here; no model is trained, and the accuracy is the share of right labels "
    "among them. All seeds draw their rows from the same voted images.",
}
READING = f"""\
## How to read it, and how to make it again

- Figures are means over seeds (for digits, over the five tasks first) with 95 % t intervals over seeds. Everything is paired by
  seed: all baselines get the same rows, labels and starts of the model.
- **better** and **worse** than `{REFERENCE}`: the interval of the difference excludes 0, the larger p of the paired t-test and of
  the t-test corrected for skewness is below 0.05 after Holm's correction over all comparisons of that figure on this page, and so
  is the p of the sign-flip test without correction. Anything else is **noise**, which does not mean "equal".
- Baselines are compared with `{REFERENCE}` alone. That one baseline has a higher mean than another is no finding.
- Seeds of digits, roman numerals and CIFAR-10 draw rows from the same images each, so that their intervals say how much the draw
  matters and not how the baselines do on other images. They are narrower than intervals over new images would be. Painted sheets
  are new in every seed.
- Seconds are processor time of one process and one thread. In pictures, courses are means without intervals, and axes need not
  begin at 0.
- [cleaning.md](cleaning.md) says what the figures and the baselines are. Rankings are made by the functions that the submissions in
  `baselines/cleaning` call, in the process of the study and without a clock; models are trained by the recipe `coarse`.
- `{COMMAND} --run` runs what is missing, also after an interruption, and writes `{FIGURES}`, this page
  and its pictures; real data are looked for in `../shared/data` (`--real DIR`), and what is not there is left out.
  `{COMMAND} --check` says whether page and pictures are those of the committed figures."""


@dataclass(frozen=True, eq=False)
class Study:
    """The figures of the page.

    Attributes:
        stored: content of the file; ``rows``: its cells.
        reports: comparisons with ``random``, by metric.
    """

    stored: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    reports: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Study:
        """The study in a file of cells."""
        rows = table(stored)
        conditions, left_out = sort_cells(as_cells(rows), TRACKS)
        asked = {metric: Asked(reference=REFERENCE, metric=metric) for metric in COMPARED}
        return cls(stored, rows, {metric: comparison_report(conditions, left_out, how) for metric, how in asked.items()})

    @property
    def data_sets(self) -> list[DataSet]:
        """Those with cells, in order."""
        there = {row["setup"]["spec"]["profile"]["name"] for row in self.rows}
        return [data_set for data_set in DATA_SETS if data_set.profile in there]

    def of_set(self, data_set: DataSet, task: str | None = None) -> dict[str, list[Mapping[str, Any]]]:
        """Its cells by baseline, in the order of tables; of one task if named."""
        found: dict[str, list[Mapping[str, Any]]] = {name: [] for name in METHODS}
        for row in self.rows:
            if row["setup"]["spec"]["profile"]["name"] == data_set.profile and task in (None, row["task"]):
                found.setdefault(row["submission"], []).append(row)
        return {name: own for name, own in found.items() if own}

    def tasks(self, data_set: DataSet) -> list[str]:
        """Its tasks, in the order of the profile."""
        there = {row["task"] for own in self.of_set(data_set).values() for row in own}
        order = list(self.profile(data_set)["tasks"])
        return sorted(there, key=lambda task: order.index(task) if task in order else len(order))

    def profile(self, data_set: DataSet) -> Mapping[str, Any]:
        """As stored."""
        own = next(iter(self.of_set(data_set).values()))[0]
        found: Mapping[str, Any] = own["setup"]["spec"]["profile"]
        return found

    def mean(self, rows: Sequence[Mapping[str, Any]], metric: str) -> Interval:
        """Over seeds, of the means over tasks. A seed that lacks a task does not count."""
        by_seed: dict[int, list[float]] = {}
        for row in rows:
            by_seed.setdefault(row["seed"], []).append(row[metric])
        most = max(map(len, by_seed.values()))
        return t_interval([float(np.mean(values)) for values in by_seed.values() if len(values) == most])

    def difference(self, data_set: DataSet, name: str, metric: str) -> Mapping[str, Any] | None:
        """The comparison of a baseline with ``random``."""
        for found in self.reports[metric]["tables"]:
            if found["profile"] == data_set.profile:
                for row in found["differences"]:
                    if row["strategy"] == name and row["pair"] == overall_pair(found):
                        own: Mapping[str, Any] = row
                        return own
        return None


def page(study: Study) -> str:
    """The whole page."""
    lines = [
        "# Which labels to check first: the baselines on four kinds of data",
        "",
        f"Written by `{COMMAND} --page-only` from `{FIGURES}`. Every figure below is computed from that file; do not edit",
        "the page by hand.",
        "",
        *_summary(study),
        "## Against random, at a glance",
        "",
        "Difference to `random`, with its 95 % interval over seeds.",
        "",
    ]
    for metric in COMPARED:
        lines += [f"**{TITLES[metric]}**", "", *_glance(study, metric), ""]
    for data_set in study.data_sets:
        lines += _section(study, data_set)
    lines += [
        "## Score against time",
        "",
        "![Share of the wrong labels that are found early against the seconds of a ranking, a panel per data set]"
        "(images/cleaning-time.svg)",
        "",
        READING,
        "",
        *_made(study),
    ]
    return "\n".join(lines) + "\n"


def _summary(study: Study) -> list[str]:
    lines = []
    for data_set in study.data_sets:
        names = [name for name in study.of_set(data_set) if name != REFERENCE]
        parts = []
        for metric in COMPARED:
            findings = [str((study.difference(data_set, name, metric) or {}).get("finding", "not run")) for name in names]
            better, worse = (sum(f == word for f in findings) for word in ("better", "worse"))
            parts.append(f"{_label(metric)} {better} better{f', {worse} worse' if worse else ''}")
        n = len({row["seed"] for row in study.of_set(data_set)[REFERENCE]})
        lines.append(f"- **{data_set.name}** ({n} seeds), of {len(names)} baselines against `random`: {'; '.join(parts)}.")
    return [*lines, ""]


def _glance(study: Study, metric: str) -> list[str]:
    sets = study.data_sets
    lines = [f"| baseline | {' | '.join(of.name for of in sets)} |", f"|---|{'---|' * len(sets)}"]
    for name in METHODS:
        if name == REFERENCE:
            continue
        cells = []
        for data_set in sets:
            row = study.difference(data_set, name, metric)
            cells.append("not run" if row is None or row["difference"] is None else _short(row, metric))
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return lines


def _short(row: Mapping[str, Any], metric: str) -> str:
    finding = {"within noise": "noise"}.get(str(row["finding"]), str(row["finding"]))
    text = signed(row["difference"], 3 if metric == "area" else 2)
    return f"**{text} {finding}**" if finding in ("better", "worse") else f"{text} {finding}"


def _section(study: Study, data_set: DataSet) -> list[str]:
    by_name = study.of_set(data_set)
    profile, tasks = study.profile(data_set), study.tasks(data_set)
    first = [row for own in by_name.values() for row in own]
    sizes = sorted({row["rows"] for row in first})
    wrong = median(row["wrong"] / row["rows"] for row in first)
    rows = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    lines = [f"## {data_set.name[:1].upper()}{data_set.name[1:]}", "", WHAT[data_set.name], ""]
    unjudged = sorted({row["unjudged"] for row in first})
    if unjudged[-1]:
        early = median(row["early_unjudged"] / row["rows"] for row in first)
        lines.append(
            f"{rows} rows with a verdict are judged in every cell, {wrong:.0%} of them wrong in the median. {unjudged[0]:,} to "
            f"{unjudged[-1]:,} rows to rank have none and are left out: they count neither as right nor as wrong. Among the first "
            f"rows of a ranking, as many as have verdicts, {early:.0%} have none in the median."
        )
    else:
        lines.append(f"{rows} rows to clean, {wrong:.0%} of them with a wrong label in the median.")
    lines[-1] += f" The target of share fixed is {profile['enough']:.0%} of the accuracy with true labels."
    never = sum(not row["reached"] for row in first)
    at_once = sum(row["fraction_fixed"] == 0 for row in first)
    if never:
        lines[-1] += f" It is never reached in {never:,} of {len(first):,} cells, which count as 1."
    if at_once:
        lines[-1] += f" It is reached before the first check in {at_once:,} of {len(first):,} cells, which count as 0."
    if at_once > len(first) / 4:
        lines[-1] += " So the share fixed says little here; look at the other figures."
    lines += [
        "",
        f"| baseline | {' | '.join(metric.label for metric in CLEANING.metrics)} | seconds |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, own in by_name.items():
        figures = [_figure(study.mean(own, metric.name)) for metric in CLEANING.metrics]
        lines.append(f"| `{name}` | {' | '.join(figures)} | {_seconds(median(row['seconds'] for row in own))} |")
    lines += ["", f"![{_alt(data_set)}](images/cleaning-{picture_name(data_set)}.svg)", ""]
    if len(tasks) > 1:
        lines += ["Found early, task by task:", "", f"| baseline | {' | '.join(tasks)} |", f"|---|{'--:|' * len(tasks)}"]
        for name in by_name:
            cells = [_figure(study.mean(study.of_set(data_set, task)[name], "found_early"), 2) for task in tasks]
            lines.append(f"| `{name}` | {' | '.join(cells)} |")
        lines.append("")
    return lines


def picture_name(data_set: DataSet) -> str:
    """A data set's part of the name of its picture."""
    return data_set.profile


def _alt(data_set: DataSet) -> str:
    what = "Share of right labels" if data_set.profile == "cifar10-votes" else "Accuracy"
    return f"{what} and share of the wrong labels found, by labels checked, for every baseline on {data_set.name}"


def _figure(interval: Interval, decimals: int = 3) -> str:
    half = interval.half_width
    return f"{interval.mean:.{decimals}f}" if half is None else f"{interval.mean:.{decimals}f} ± {half:.{decimals}f}"


def _seconds(value: float) -> str:
    if value < 0.001:
        return "below 0.001"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _label(metric: str) -> str:
    return next(known.label for known in CLEANING.metrics if known.name == metric)


def _made(study: Study) -> list[str]:
    made = study.stored["made"]
    versions = study.rows[0]["setup"]["versions"]
    named = ", ".join(f"{name} {value}" for name, value in sorted(versions.items()) if name != "kit")
    lines = [
        "## How it was made",
        "",
        f"`{made['command']}`: {len(study.rows):,} cells, {made['cpu_minutes']:.0f} minutes of processor time, on "
        f"{made['machine']}; {named}.",
        "",
    ]
    for line in made["left_out"]:
        lines += [f"- {line}"]
    for failed in study.stored["failed"]:
        lines += [f"- failed: `{failed['submission']}` on {failed['task']}, seed {failed['seed']}: {failed['reason']}"]
    return lines if lines[-1] else lines[:-1]
