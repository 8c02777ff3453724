"""Strategies compared over several data sets of one profile: both levels of chance, data sets and seeds, in figures and tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.errors import ConfigurationError, DataError
from evaluator.history.groups import Condition, of_one_kind, over
from evaluator.history.predictions import read_predictions
from evaluator.history.reading import read_cells
from evaluator.report.families import FAILED, decide_over_sets
from evaluator.report.format import MARK, figure, signed
from evaluator.scoring.collapse import counts
from evaluator.scoring.levels import Levels, t_quantile, two_levels
from evaluator.scoring.paired import fewest_seeds, holm
from evaluator.specs import DATA_SET
from evaluator.tables import Block, Metric
from evaluator.track import Tracks
from evaluator.words import counted


def these_items(noun: str) -> str:
    """What every interval over the seeds of one data set leaves out. ``noun``: what an item is called (``Track.item_word``)."""
    return f"They speak of these {noun}s only: other {noun}s of the same kind may give another result, however many seeds there are"


ITEM_DRAWS = 400
"""How often the scored items of a data set are drawn anew."""


@dataclass(frozen=True, eq=False)
class OnSets:
    """A submission, or its difference to another, on several data sets: arrays (data sets, seeds).

    Attributes:
        values: NaN where a task is missing or failed.
        failed, collapsed: whether any cell behind a value failed, or collapsed.
    """

    values: np.ndarray
    failed: np.ndarray
    collapsed: np.ndarray

    def __sub__(self, other: OnSets) -> OnSets:
        return OnSets(self.values - other.values, self.failed | other.failed, self.collapsed | other.collapsed)


@dataclass(frozen=True, eq=False)
class Kind:
    """Conditions that differ only in their data sets: two or more, by the number of the data set."""

    members: tuple[Condition, ...]

    @property
    def first(self) -> Condition:
        """The condition of the first data set, whose names stand for all."""
        return self.members[0]

    def grid(self, digest: str, metric: str, tasks: Sequence[str]) -> OnSets:
        """The submission of a digest, mean over the tasks. The seeds are those of ``seeds``."""
        scores, failed, collapsed = [], [], []
        for condition in self.members:
            name = next((name for name in condition.strategies if condition.digests[name] == digest), "")
            values = [[condition.value((name, task, seed), metric) for task in tasks] for seed in self.seeds]
            cells = [[condition.cells.get((name, task, seed)) for task in tasks] for seed in self.seeds]
            scores.append(np.array(values).mean(axis=1))
            failed.append([any(cell is not None and not cell["scored"] for cell in of) for of in cells])
            collapsed.append([any(cell is not None and _collapsed(condition, cell) for cell in of) for of in cells])
        return OnSets(np.array(scores), np.array(failed), np.array(collapsed))

    def whole(self, digest: str, metric: str) -> OnSets | None:
        """A submission that got everything it could get, whatever the task (``Condition.whole``); None where a data set has no
        such cell."""
        scores, collapsed = [], []
        for condition in self.members:
            name = next((name for name in condition.strategies if condition.digests[name] == digest), None)
            found = None if name is None else condition.whole(name, metric)
            if found is None:
                return None
            own = [(seed, cell) for (of, _, seed), cell in condition.cells.items() if of == name and condition.track.whole(cell)]
            fell = {seed for seed, cell in own if _collapsed(condition, cell)}
            scores.append([found[0][condition.seeds.index(seed)] for seed in self.seeds])
            collapsed.append([seed in fell for seed in self.seeds])
        return OnSets(np.array(scores), np.zeros_like(scores, dtype=bool), np.array(collapsed))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that every data set has."""
        common = set(self.first.seeds).intersection(*(condition.seeds for condition in self.members))
        return tuple(sorted(common))


def kinds(conditions: Sequence[Condition]) -> list[Kind]:
    """The shown conditions of which several data sets are stored."""
    groups: list[list[Condition]] = []
    for condition in conditions:
        group = next((group for group in groups if of_one_kind(group[0], condition)), None)
        if group is None:
            groups.append([condition])
        else:
            group.append(condition)
    return [Kind(tuple(sorted(group, key=lambda c: c.rules[DATA_SET]))) for group in groups if len(group) > 1]


def level_table(
    kind: Kind, metric: str, reference: str | None, ceiling: str | None, wanted: float, alpha: float, root: int
) -> dict[str, Any]:
    """The figures of conditions that differ only in their data sets, JSON-able.

    Args:
        reference: name of the reference in the first condition; None if there is none.
        ceiling: the same of the ceiling. Where it got everything on every data set it has a mean, whatever its task, and is in no
            test.
        wanted: half-width for which the needed data sets are computed.

    Its p values are corrected by Holm within the table; ``families.correct_together`` corrects them with those of other tables.
    """
    first, seeds = kind.first, kind.seeds
    held = [name for name in first.strategies if all(first.digests[name] in c.digests.values() for c in kind.members)]
    everything = None if ceiling in (None, reference) else kind.whole(first.digests[str(ceiling)], metric)
    compared = [name for name in held if everything is None or name != ceiling]
    tasks = [t for t in over(first, compared or first.strategies, first.tasks) if all(t in c.tasks for c in kind.members)]
    grids = {name: kind.grid(first.digests[name], metric, tasks) for name in compared}
    if everything is not None:
        grids[str(ceiling)] = everything

    def row(name: str, base: str | None) -> dict[str, Any]:
        of = grids[name] if base is None else grids[name] - grids[base]
        whole = ~np.isnan(of.values).any(axis=0)
        failures = int(grids[name].failed.sum()) + (0 if base is None else int(grids[base].failed.sum()))
        found = two_levels(of.values[:, whole], 1 - alpha, wanted, root) if whole.any() and not failures else None
        left_out = [seed for seed, there in zip(seeds, whole, strict=True) if not there]
        fell = counts(list(zip(of.values[:, whole].ravel().tolist(), of.collapsed[:, whole].ravel().tolist(), strict=True)))
        return {"strategy": name, "levels": _row(found, fell), "failed": failures, "left_out": left_out}

    others = [row(name, reference) for name in compared if name != reference] if reference in compared else []
    p = np.array([row["levels"]["p"] if row["levels"] and row["levels"]["p"] is not None else np.nan for row in others])
    adjusted = holm(p) if len(p) else p
    for found, value in zip(others, adjusted, strict=True):
        decide_over_sets(found, float(value), int((~np.isnan(p)).sum()), alpha)
    return {
        "track": first.track.name,
        "profile": first.rules["profile"]["name"],
        "pipeline": first.pipeline["name"],
        "proxy": first.proxy,
        "score_split": first.rules["score_split"],
        **{name: first.rules[name] for name in first.track.spec_rules},
        "word": first.track.task_word,
        "metric": metric,
        "reference": reference,
        "data_sets": [condition.rules[DATA_SET] for condition in kind.members],
        "seeds": list(seeds),
        "over_pairs": list(tasks),
        "items": "",
        "means": [row(name, None) for name in grids],
        "differences": others,
    }


def add_items(kind: Kind, table: dict[str, Any], root: Path, tracks: Tracks, places: Path) -> str:
    """Say in a table of ``level_table`` which part of the variance of each mean the scored items have, from kept predictions.

    The items of every data set are drawn anew; the variance of its mean over tasks and seeds is due to them, and is a part of what
    data sets differ by.

    Returns:
        Why it cannot be said, in words; empty if it can.
    """
    wanted = {
        cell["cell"]: place
        for condition in kind.members
        for place, cell in condition.cells.items()
        if place[1] in table["over_pairs"] and place[2] in table["seeds"] and cell["scored"]
    }
    track = kind.first.track
    drawn: dict[tuple[str, int], dict[tuple[str, int], np.ndarray]] = {}
    try:
        for _, cell, _ in read_cells(root, tracks):
            if cell is None or cell["cell"] not in wanted:
                continue
            kept = read_predictions(root, cell)
            scores = None if kept is None else track.drawn_scores(cell, kept, table["metric"], ITEM_DRAWS, places)
            if scores is None:
                return "The part of the scored items is not known: cells have no predictions that were kept."
            of = drawn.setdefault((cell["spec"]["submission_digest"], cell["spec"].get(DATA_SET, 0)), {})
            of[cell["spec"]["task"], cell["spec"]["seed"]] = scores
    except (ConfigurationError, DataError) as error:
        return f"The part of the scored items is not known: {error}."
    for row in (*table["means"], *table["differences"]):
        levels = row["levels"]
        base = table["reference"] if "finding" in row else None
        if levels is None or (kind.first.digests[row["strategy"]], table["data_sets"][0]) not in drawn:
            continue  # a ceiling has its cells at other tasks
        variances = []
        for number in table["data_sets"]:
            own, other = (drawn[kind.first.digests[name], number] if name else {} for name in (row["strategy"], base))
            places_of = [place for place in own if base is None or place in other]
            means = np.mean([own[place] - (other[place] if base else 0.0) for place in places_of], axis=0)
            variances.append(float(np.var(means, ddof=1)))
        part = float(np.mean(variances))
        of_mean = ((levels["high"] - levels["low"]) / 2 / t_quantile(levels["data_sets"] - 1, levels["level"])) ** 2
        levels["item_deviation"] = part**0.5
        levels["item_share"] = min(1.0, part / levels["data_sets"] / of_mean) if of_mean > 0 else 0.0
    return ""


def _row(found: Levels | None, fell: dict[str, Any]) -> dict[str, Any] | None:
    return None if found is None else asdict(found) | fell | {"item_deviation": None, "item_share": None}


def _collapsed(condition: Condition, cell: dict[str, Any]) -> bool:
    return bool(cell["scored"]) and condition.track.collapsed(cell["metrics"])


def mark(row: dict[str, Any]) -> str:
    """A sign behind a finding that rests on collapsed cells."""
    return f" {MARK}" if row["levels"] and row["levels"]["collapsed"] else ""


def level_blocks(table: dict[str, Any], metric: Metric, wanted: float) -> Iterator[Block]:
    """Tables of a comparison over data sets: scores, differences, and what more seeds and data sets would bring."""
    of = f"{counted(len(table['data_sets']), 'data set')} x {counted(len(table['seeds']), 'seed')}"
    many = (
        f"mean over {counted(len(table['over_pairs']), table['word'])}"
        if len(table["over_pairs"]) > 1
        else "at " + "".join(table["over_pairs"])
    )
    means = sorted(table["means"], key=_height)
    rows: tuple[tuple[str, ...], ...] = tuple(
        (row["strategy"], figure(_bounds(row["levels"]), metric.decimals), _count(row)) for row in means
    )
    yield Block(f"{metric.score_label}, {many}, over {of}", ("strategy", "score over data sets", "seeds"), rows)
    others = sorted(table["differences"], key=_height)
    if not others:
        return
    name = table["reference"]
    rows = tuple(
        (
            row["strategy"],
            signed(_bounds(row["levels"]), metric.decimals),
            "-" if row["p_holm"] is None else "<0.001" if row["p_holm"] < 0.001 else f"{row['p_holm']:.3f}",
            row["finding"] + mark(row),
            signed(_bounds(row["levels"], "other_"), metric.decimals),
        )
        for row in others
    )
    headers = ("strategy", f"to {name} over data sets", "p corrected", "finding", "on one other data set")
    yield Block(f"difference to {name}, {many}, over {of}", headers, rows)
    known = [row for row in others if row["levels"] and row["levels"]["floor"] is not None]
    form = f"{{:.{metric.decimals + 1}f}}"
    items = all(row["levels"]["item_share"] is not None for row in known)
    if known:
        rows = tuple(
            (
                row["strategy"],
                form.format(found["data_set_deviation"]),
                form.format(found["seed_deviation"]),
                f"{found['data_set_share']:.0%}",
                *((form.format(found["item_deviation"]), f"{found['item_share']:.0%}") if items else ()),
                form.format((found["high"] - found["low"]) / 2),
                form.format(found["floor"]),
                "> 10000" if found["enough"] is None else str(found["enough"]),
            )
            for row in known
            for found in [row["levels"]]
        )
        columns = (
            "strategy",
            "sd of data sets",
            "sd of seeds",
            "share of data sets",
            *(("sd of scored items", "share of scored items") if items else ()),
            "half-width",
            "with any number of seeds",
            f"data sets for {wanted:g}",
        )
        yield Block("what more seeds and more data sets would bring", columns, rows)


def level_notes(table: dict[str, Any], alpha: float, family: str = "report") -> list[str]:
    """How the figures over data sets were computed, one line each. ``family``: as ``compare --family``."""
    level = f"{100 * (1 - alpha):g} %"
    numbers = ", ".join(map(str, table["data_sets"]))
    seeds = len(table["seeds"])
    same = "same seed" if seeds == 1 else f"same {seeds} seeds"
    found = [
        f"Data sets {numbers} of the profile {table['profile']}, each with the {same}. "
        f"Brackets: {level} t intervals over the means of the data sets."
    ]
    if table["differences"]:
        lies = (
            "where the true difference on one more data set of this profile lies"
            if seeds > 1
            else "where the difference of one seed on one more data set of this profile would lie, because the chance of the seed "
            "cannot be told from that of the data set"
        )
        few = fewest_seeds(alpha)
        found.append(
            f"on one other data set: {lies} (generalised prediction interval). p: of no difference over data sets, the larger of "
            f"the t-test's and of the one corrected for skewness, {_corrected(table, family)}. A finding also needs p < {alpha:g} "
            f"of the sign-flip test over the data sets, and so {few} of them or more."
        )
        if seeds > 1:
            found.append(
                "sd of data sets, sd of seeds: how far the difference moves from data set to data set, and from seed to seed on "
                "one, both estimated. share of data sets: of the variance of the mean; more seeds cannot lower it. with any number "
                "of seeds: the half-width that more seeds on these data sets come near to, if these estimates are right. A share "
                "of 0 % says that the part of the data sets is too small to be told from that of the seeds."
            )
    found += [table["items"]] if table.get("items") else []
    failed = [row["strategy"] for row in table["differences"] if row["failed"]]
    if failed:
        found.append(f"{', '.join(failed)}: no mean and no finding, because cells failed there or in the reference.")
    if any(row["levels"] and row["levels"]["collapsed"] for row in table["means"]):
        found.append(
            f"{MARK}: so many of the data sets and seeds have a collapsed cell, whose score needs no learning; "
            '"without" is the mean over the others. A finding with the mark rests on them.'
        )
    return found


def _corrected(table: dict[str, Any], family: str) -> str:
    if family != "report":
        return "with Holm's correction over the strategies of this table"
    shared = max((row["family"] for row in table["differences"]), default=0)
    return f"corrected together with all tests of this report ({counted(shared, 'strategy', 'strategies')} under all conditions)"


def _bounds(levels: dict[str, Any] | None, which: str = "") -> dict[str, Any] | None:
    if levels is None:
        return None
    found = {"mean": levels["mean"], "low": levels[f"{which}low"], "high": levels[f"{which}high"]}
    found["n"] = levels["data_sets"] * levels["seeds"]
    return found if which else found | {name: levels[name] for name in ("collapsed", "without")}


def _count(row: dict[str, Any]) -> str:
    return str(row["levels"]["seeds"]) if row["levels"] else FAILED if row["failed"] else "0"


def _height(row: dict[str, Any]) -> tuple[float, str]:
    return (-row["levels"]["mean"] if row["levels"] else float("inf"), row["strategy"])
