"""What the study runs: every condition on every data set and seed, as cells of the kit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pages import write_json
from evaluator.curation.evaluation import evaluate
from evaluator.curation.folders import oracle_edits
from evaluator.curation.recipes import recipe_named
from evaluator.curation.rules import Judges, profile_named
from evaluator.curation.sets import VAL, CurationSets, sets_of
from evaluator.curation.toolset import ToolSet
from evaluator.data.edits import EditTable
from evaluator.sandbox.tiers import choose
from experiments.curation import real
from experiments.curation.edits import CONDITIONS, Maker, Room

ROOT_SEED = 2022
MADE = "curation-study.json"
"""Below the folder of results: what the real images became."""


@dataclass(frozen=True)
class DataSet:
    """A data set of the study.

    Attributes:
        name: in cells; ``title``: on the page. ``profile``: of the kit; ``recipe``: that judges.
        real: folder below that of real data; empty for embedded data.
    """

    name: str
    title: str
    profile: str
    recipe: str
    seeds: int
    room: Room
    real: str = ""


DATA_SETS = (
    DataSet("roman", "The images of 2021", "roman", "fixed", 5, Room(added=500, pool=10_000), real="roman-numerals"),
    DataSet("quick", "Embedded numerals, small", "quick", "quick", 10, Room(added=300, pool=10_000)),
)


def missing(data_set: DataSet, folder: Path) -> str:
    """Why a data set cannot be run, in words; empty if it can."""
    return real.missing(folder / data_set.real) if data_set.real else ""


def prepared(data_set: DataSet, images: Path, out: Path) -> tuple[CurationSets, EditTable]:
    """The data, and the careful cleaning as edits.

    Args:
        images: folder of real data, unpacked; ``out``: of results.

    Raises:
        KitError: the data are not there or not good.
    """
    profile = profile_named(data_set.profile)
    if not data_set.real:
        sets = sets_of(profile, ROOT_SEED, None, None, None)
        return sets, oracle_edits(sets.load())
    folder = out / "data" / data_set.name
    counted = real.hold_out(images / data_set.real, folder)
    write_json(out / MADE, asdict(counted))
    return sets_of(profile, ROOT_SEED, folder, None, None), EditTable.read(folder / real.EDITS)


def run(
    out: Path,
    images: Path,
    cache: Path,
    data_sets: Sequence[DataSet] = DATA_SETS,
    seeds: range | None = None,
    workers: int = 1,
    said: Callable[[str], None] = print,
) -> Iterator[str]:
    """Run what is missing, seed by seed, so that an interrupted run has whole seeds. Yields the hash of every cell.

    Args:
        out: folder of results; ``images``: of real data; ``cache``: of features and probabilities.
        seeds: of every data set; None for its own number. ``workers``: trainings side by side.

    Raises:
        KitError: data are not good, a tool is missing, or a folder cannot be written.
    """
    for data_set in data_sets:
        if why := missing(data_set, images):
            said(f"{data_set.title} is left out: {why}")
            continue
        sets, careful = prepared(data_set, images, out)
        data = sets.load()
        shown = ToolSet(data.classes, data.given, np.array([item.split == VAL for item in data.items]))
        for seed in range(data_set.seeds) if seeds is None else seeds:
            maker = Maker(shown, careful, data_set.room, seed, out / "edits" / data_set.name / str(seed), cache, said)
            found = evaluate(
                [maker.path(condition) for condition in CONDITIONS],
                sets,
                Judges.of(recipe_named(data_set.recipe)),
                seeds=range(seed, seed + 1),
                root_seed=ROOT_SEED,
                out=out,
                sandbox=lambda: choose("auto"),
                workers=workers,
                finished=lambda text, name=data_set.name: said(f"{name}: {text}"),  # type: ignore[misc]
            )
            for entry in found:
                yield from (result.spec.digest() for result in entry.results)


def condition_of(cell: Any) -> str:
    """The condition of a stored cell."""
    return str(cell["spec"]["submission"])
