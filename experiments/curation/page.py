"""The part of ``docs/curation.md`` that shows what changed data are worth, from the committed figures alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from benchmarks.pages import Region
from evaluator.curation.recipes import recipe_named
from evaluator.scoring.intervals import t_interval, wilson_of_share
from evaluator.scoring.paired import holm
from experiments.curation.cells import answers
from experiments.curation.compared import Difference, difference
from experiments.curation.edits import CONDITIONS, DROPPED, WHAT
from experiments.curation.study import DATA_SETS, DataSet

COMMAND = "python -m experiments.curation"
FIGURES = "experiments/cells/curation.json"
REGION = Region("proof", f"{COMMAND} --page-only")
COMPARED = (
    ("cleanlab_dropped", "as_given"),
    ("careful", "as_given"),
    ("augmented", "as_given"),
    ("boosted", "as_given"),
    ("combined", "as_given"),
    ("boosted", "augmented"),
)
"""(new, old): the differences of the page, in this order."""
ALPHA = 0.05


@dataclass(frozen=True, eq=False)
class Study:
    """The figures. ``stored``: content of the file."""

    stored: Mapping[str, Any]

    @property
    def data_sets(self) -> list[DataSet]:
        """Those with cells, in order."""
        there = {cell["data"] for cell in self.stored["cells"]}
        return [data_set for data_set in DATA_SETS if data_set.name in there]

    def of(self, data_set: DataSet, condition: str) -> list[Mapping[str, Any]]:
        """The cells of a condition, by seed."""
        own = [cell for cell in self.stored["cells"] if (cell["data"], cell["condition"]) == (data_set.name, condition)]
        return sorted(own, key=lambda cell: cell["seed"])

    @cached_property
    def differences(self) -> dict[tuple[str, str, str], tuple[Difference, float]]:
        """By (data set, new, old): the difference, and its p after Holm's correction over all differences of the page."""
        found = {}
        for data_set in self.data_sets:
            for new, old in COMPARED:
                (seeds, right), (others, before) = answers(self.of(data_set, new)), answers(self.of(data_set, old))
                common = sorted(set(seeds) & set(others))
                if len(common) < 2:
                    continue
                rows = [[own.index(seed) for seed in common] for own in (seeds, others)]
                found[data_set.name, new, old] = difference(right[rows[0]], before[rows[1]])
        corrected = holm(np.array([value.p for value in found.values()])) if found else []
        return {key: (value, float(p)) for (key, value), p in zip(found.items(), corrected, strict=True)}

    def finding(self, data_set: DataSet, new: str, old: str) -> str:
        """``better``, ``worse``, ``within noise``, or ``not run``."""
        pair = self.differences.get((data_set.name, new, old))
        if pair is None:
            return "not run"
        if pair[1] >= ALPHA:
            return "within noise"
        return "better" if pair[0].mean > 0 else "worse"


def text(study: Study) -> str:
    """The part of the page."""
    lines = [
        f"Written by `{COMMAND} --page-only` from `{FIGURES}`; every figure below is computed from that file.",
        "",
        *_verdicts(study),
        "",
    ]
    for data_set in study.data_sets:
        lines += _section(study, data_set)
    return "\n".join([*lines, *_reading(study)]) + "\n"


def _verdicts(study: Study) -> list[str]:
    lines = []
    for new, old, what in (
        ("cleanlab_dropped", "as_given", "Dropping the most doubtful labels helps (the direction of the walk-through)"),
        ("careful", "as_given", "Careful cleaning helps"),
        ("boosted", "augmented", "Boosting gains over as many random augmentations"),
    ):
        said = []
        for data_set in study.data_sets:
            pair = study.differences.get((data_set.name, new, old))
            if pair is None:
                continue
            shown = {"better": "**shown**", "worse": "**the contrary is shown**"}.get(
                study.finding(data_set, new, old), "not shown"
            )
            said.append(f"on {data_set.title[:1].lower()}{data_set.title[1:]}, {shown} ({_interval(pair[0])})")
        lines.append(f"- {what}: {'; '.join(said)}." if said else f"- {what}: not run.")
    return lines


def _section(study: Study, data_set: DataSet) -> list[str]:
    there = {condition: own for condition in CONDITIONS if (own := study.of(data_set, condition))}
    seeds = max(len(own) for own in there.values())
    images = next(iter(there.values()))[0]["images"]
    made = study.stored["made"]["sets"].get(data_set.name, {})
    book = next(iter(there.values()))[0]["changes"]["left_out"]
    lines = [f"### {data_set.title}", "", _about(data_set, seeds, images, made, book), ""]
    lines += [
        "| data | train + val | accuracy, over seeds | over test images | label book | best validation |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for condition, own in there.items():
        values = [cell["accuracy"] for cell in own]
        wilson = wilson_of_share(float(np.mean(values)), images)
        changes = own[0]["changes"]
        book, validation = (np.mean([cell[name] for cell in own]) for name in ("book_accuracy", "validation_accuracy"))
        lines.append(
            f"| `{condition}` | {changes['train']:,} + {changes['val']:,} | {_over_seeds(values)} | "
            f"{wilson.low:.3f} to {wilson.high:.3f} | {book:.3f} | {validation:.3f} |"
        )
    lines += [
        "",
        "| difference in accuracy | 95 % interval | p (Holm) | finding | more seeds would shrink |",
        "|---|--:|--:|---|--:|",
    ]
    for new, old in COMPARED:
        pair = study.differences.get((data_set.name, new, old))
        if pair is not None:
            found, p = pair
            lines.append(
                f"| `{new}` - `{old}`: {found.mean:+.3f} | {found.low:+.3f} to {found.high:+.3f} | {_p(p)} | "
                f"{study.finding(data_set, new, old)} | {found.seeds_share:.0%} of its variance |"
            )
    return [*lines, ""]


def _about(data_set: DataSet, seeds: int, images: int, made: Mapping[str, Any], book: int) -> str:
    said = recipe_named(data_set.recipe).said
    judged = f"Judged by `{data_set.recipe}` ({said}), {seeds} seeds, {images:,} test images. All seeds share the images."
    if not data_set.real:
        return (
            "`--profile quick`: 600 + 240 images drawn by the kit, 16 % with a wrong label and 10 % junk, which is far more than "
            f"in 2021. {judged}"
        )
    return (
        f"As a participant published them. {made['tested']:,} images that careful cleaning kept were held out as the test set, "
        f"with their careful labels; nothing that has equal or nearly equal pixels (up to {made['near']} of 256 bits) is left in "
        f"the given data. What is given: {made['train']:,} + {made['val']:,} images, of which careful cleaning relabels "
        f"{made['relabelled']:,} and drops {made['dropped']:,}; {book:,} are in the label book as well, and nobody trains on "
        f"those. {judged}"
    )


def _reading(study: Study) -> list[str]:
    made = study.stored["made"]
    what = [f"`{name}`: {WHAT[name].format(dropped=DROPPED)}" for name in CONDITIONS]
    sizes = ", ".join(f"{of.room.added:,} ({of.title[:1].lower()}{of.title[1:]})" for of in study.data_sets)
    versions = ", ".join(f"{name} {value}" for name, value in sorted(made["versions"].items()))
    lines = [
        "### How to read it, and how to make it again",
        "",
        *(f"- {line}." for line in what),
        f"- Augmentations that join: {sizes}, from pools of {DATA_SETS[0].room.pool:,}. Folds, pools and random draws differ from "
        "seed to seed; `as_given` and `careful` are the same data for every seed.",
        "- An interval of an accuracy over seeds is Student's, that over test images is Wilson's, each without the other. The "
        "interval of a difference has both (a crossed model: every training answers every image), and it is called better or worse "
        f"if its p is below {ALPHA:g} after Holm's correction over all {len(study.differences)} differences of this page. Anything "
        "else is within noise, which does not mean equal.",
        "- It speaks of these given images. Other given images of the same kind are a level of their own, of which one data set "
        "says nothing.",
        "- The best validation accuracy is no measure here: it rises where wrong labels and hard images leave val.",
        f"- `{made['command']}` runs what is missing, also after an interruption; real images are looked for in {made['looked']}. "
        f"{made['machine']}; {versions}; features of {made['network']}; {made['cpu_minutes']:.0f} minutes of processor time.",
    ]
    return [*lines, *(f"- {line}" for line in made["left_out"])]


def _over_seeds(values: Sequence[float]) -> str:
    found = t_interval(values)
    return f"{found.mean:.3f}" + ("" if found.half_width is None else f" ± {found.half_width:.3f}")


def _interval(found: Difference) -> str:
    return f"{found.mean:+.3f}, {found.low:+.3f} to {found.high:+.3f}"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
