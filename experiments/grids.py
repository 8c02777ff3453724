"""Which stored cells belong to an experiment: the cells that a sweep's file asks for, and those of them that are stored."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluator.cli.tracks import TRACKS
from evaluator.errors import ConfigurationError
from evaluator.history.groups import READ, Condition, sort_cells
from evaluator.history.reading import read_cells
from evaluator.purchase.profiles import profile_named
from evaluator.purchase.track import PURCHASE
from evaluator.submission.source import read_source
from evaluator.sweep.settings import Settings, read_settings
from evaluator.training.recipes import fitted, load_pipeline
from experiments.columns import HASH, pack
from experiments.tuning import is_tuning, refuse

FIELDS = (*READ, *PURCHASE.figure_members)
"""What is read of a cell."""
Cell = dict[str, Any]
"""A cell with these fields."""


@dataclass(frozen=True)
class Grid:
    """The cells that a sweep's file asks for.

    Attributes:
        submissions: digest of each submission's files as they are now, by name.
        pairs: kind of each pair (``public``, ...), by name.
        recipes: the pipelines as they are today (``Pipeline.as_dict``), by name; ``splits``: names.
        proxy: whether all its pipelines are proxies; otherwise none is.
    """

    name: str
    settings: Settings
    submissions: dict[str, str]
    pairs: dict[str, str]
    recipes: dict[str, dict[str, Any]]
    splits: tuple[str, ...]
    proxy: bool

    @classmethod
    def read(cls, file: Path) -> Grid:
        """The grid of a sweep's file; no images are read.

        Raises:
            KitError: a file, submission, pipeline or pair is missing or is not valid.
        """
        settings, _ = read_settings({}, PURCHASE, file)
        profile = profile_named(settings.profile)
        weights = settings.starting_weights or profile.weights
        asked = [load_pipeline(name) for name in settings.pipelines or (profile.pipeline,)]
        if len({pipeline.proxy for pipeline in asked}) > 1:
            raise ConfigurationError(f"{file}: pipelines contains a proxy and a full training; give each a file of its own")
        planned = (
            {"seed": seed, "data_set": number, "root_seed": settings.root_seed}
            for seed in settings.seed_numbers
            for number in settings.data_set_numbers
        )
        refuse(planned, str(file))
        return cls(
            name=file.stem,
            settings=settings,
            submissions={source.name: source.digest for source in map(read_source, settings.submissions)},
            pairs={task.name: task.kind for task in PURCHASE.tasks(settings.options, settings.profile)},
            recipes={own.name: own.as_dict() for own in (fitted(p, profile.image_size, weights) for p in asked)},
            splits=settings.score_split or (profile.round.score_split,),
            proxy=asked[0].proxy,
        )

    @property
    def pipelines(self) -> tuple[str, ...]:
        """Names of its pipelines."""
        return tuple(self.recipes)

    @property
    def size(self) -> int:
        """Number of its cells."""
        of = (self.submissions, self.pairs, self.pipelines, self.qualities, self.splits, self.data_sets)
        size = self.settings.seeds
        for members in of:
            size *= len(members)
        return size

    @property
    def qualities(self) -> tuple[float, ...]:
        """Its label qualities."""
        return self.settings.options["label_quality"]

    @property
    def data_sets(self) -> tuple[int, ...]:
        """Numbers of its data sets; 0 is the profile's own."""
        return self.settings.data_set_numbers

    @property
    def seeds(self) -> range:
        """Its seeds."""
        return self.settings.seed_numbers

    def unfinished(self, kept: Iterable[Cell]) -> range:
        """Its seeds from the first whose scored cells of today's submissions and recipes are not all among ``kept``."""
        held = (cell["spec"] for cell in kept if cell["scored"] and self.holds(cell["spec"]))
        scored = (spec for spec in held if spec["pipeline"] == self.recipes[spec["pipeline"]["name"]])
        found = Counter(s["seed"] for s in scored if s["submission_digest"] == self.submissions[s["submission"]])
        each = self.size // self.settings.seeds
        return range(next((seed for seed in self.seeds if found[seed] < each), self.seeds.stop), self.seeds.stop)

    def holds(self, spec: dict[str, Any]) -> bool:
        """Whether a cell of this spec belongs to the grid, whatever the version of its submission, its recipe and the kit."""
        wanted = self.settings
        return (
            spec["track"] == PURCHASE.name
            and spec["submission"] in self.submissions
            and spec["profile"]["name"] == wanted.profile
            and spec["task"] in self.pairs
            and spec["seed"] in self.seeds
            and spec.get("data_set", 0) in self.data_sets
            and spec["root_seed"] == wanted.root_seed
            and not (wanted.public_seeds and spec.get("secret"))
            and spec["pipeline"]["name"] in self.pipelines
            and spec["label_quality"] in self.qualities
            and spec["score_split"] in self.splits
        )

    def as_dict(self, taken: int) -> dict[str, Any]:
        """What the page says about it. ``taken``: number of its cells that are stored."""
        return {
            "name": self.name,
            "profile": self.settings.profile,
            "pipelines": list(self.pipelines),
            "submissions": list(self.submissions),
            "pairs": self.pairs,
            "seeds": self.settings.seeds,
            "data_sets": list(self.data_sets),
            "label_qualities": list(self.qualities),
            "score_splits": list(self.splits),
            "cells": self.size,
            "stored": taken,
        }


@dataclass(frozen=True, eq=False)
class Gathered:
    """The stored cells of some grids.

    Attributes:
        conditions: cells as ``python -m evaluator compare`` sorts them.
        grid_of: name of the grid of every cell, by hash.
        left_out: what was found and not taken, and submissions of which no cell is of today's version, a line each.
    """

    conditions: list[Condition]
    grid_of: dict[str, str]
    left_out: list[str]

    def cells(self, proxy: bool) -> list[tuple[str, Cell]]:
        """(name of the grid, cell) of the cells that were taken, in an order that does not depend on their folders."""
        of = [condition for condition in self.conditions if condition.proxy == proxy]
        return [(self.grid_of[cell["cell"]], cell) for condition in of for _, cell in sorted(condition.cells.items())]


def gather(grids: Sequence[Grid], folders: Iterable[Path], kept: Iterable[Cell] = ()) -> Gathered:
    """The cells of ``grids`` that are stored in folders of results.

    Where several versions of a submission were run, the cells of today's version are taken; where today's version was not run,
    those of the version with the most cells, and ``left_out`` says so. ``sort_cells`` then keeps the rules that most cells share.

    Args:
        kept: cells that were gathered before; a cell that is also in a folder is taken from the folder.

    Raises:
        ConfigurationError: a folder has no results.
    """
    found: dict[str, Cell] = {}
    grid_of: dict[str, str] = {}
    left_out: list[str] = []
    tuning = 0
    for folder in folders:
        for path, cell, why in read_cells(folder, TRACKS, FIELDS):
            grid = None if cell is None else next((grid for grid in grids if grid.holds(cell["spec"])), None)
            if cell is None:
                left_out.append(f"{path.name} {why}")
            elif is_tuning(cell["spec"]):
                tuning += 1
            elif grid is not None and not (cell["cell"][:HASH] in found and found[cell["cell"][:HASH]]["scored"]):
                found[cell["cell"][:HASH]] = cell
                grid_of[cell["cell"]] = grid.name
    if tuning:
        left_out.append(f"{tuning} cells of seeds for tuning, which are never published (experiments/tuning.py)")
    for cell in kept:
        grid = next((grid for grid in grids if grid.holds(cell["spec"])), None)
        if grid is not None and not (cell["cell"][:HASH] in found and found[cell["cell"][:HASH]]["scored"]):
            found[cell["cell"][:HASH]] = cell
            grid_of[cell["cell"]] = grid.name
    today = {name: digest for grid in grids for name, digest in grid.submissions.items()}
    kept, said = _one_version(list(found.values()), today)
    conditions, others = sort_cells(kept, TRACKS)
    for condition in conditions:
        left_out += condition.left_out
    return Gathered(conditions, grid_of, left_out + said + others)


def packed(grids: Sequence[Grid], folders: Sequence[Path], kept: Sequence[Cell] = ()) -> dict[bool, str]:
    """The text of the two files of cells, by whether it is the proxy's; a file without an experiment is left out.

    Raises:
        KitError: a folder has no results.
    """
    gathered = gather(grids, folders, kept)
    texts = {}
    for proxy in (False, True):
        own = [grid for grid in grids if grid.proxy == proxy]
        cells = gathered.cells(proxy)
        stored = Counter(name for name, _ in cells)
        if own:
            texts[proxy] = pack(cells, [grid.as_dict(stored[grid.name]) for grid in own], gathered.left_out)
    return texts


def _one_version(cells: Sequence[Cell], today: dict[str, str]) -> tuple[list[Cell], list[str]]:
    versions: dict[str, Counter[str]] = defaultdict(Counter)
    for cell in cells:
        versions[cell["spec"]["submission"]][cell["spec"]["submission_digest"]] += 1
    chosen, said = {}, []
    for name, counts in sorted(versions.items()):
        chosen[name] = today[name] if today[name] in counts else max(counts, key=lambda digest: (counts[digest], digest))
        if chosen[name] != today[name]:
            said.append(f"{name} has changed since it was run: the figures are those of version {chosen[name][:8]}")
        if others := sum(counts.values()) - counts[chosen[name]]:
            said.append(f"{others} cells of other versions of {name}")
    return [cell for cell in cells if chosen[cell["spec"]["submission"]] == cell["spec"]["submission_digest"]], said
