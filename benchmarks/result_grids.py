"""Which stored cells belong to an experiment: a sweep's file, and what of it is stored."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.result_cells import HASH
from evaluator.errors import ConfigurationError
from evaluator.history.groups import READ, Condition, sort_cells
from evaluator.history.store import read_cells
from evaluator.purchase.pairs import choose_pairs
from evaluator.purchase.profiles import profile_named
from evaluator.submission.source import read_source
from evaluator.sweep.settings import Settings, read_settings
from evaluator.training.recipes import fitted, load_pipeline

Cell = dict[str, Any]
"""A cell with the fields of ``conditions.READ``."""


@dataclass(frozen=True)
class Grid:
    """The cells that a sweep's file asks for.

    Attributes:
        submissions: digest of the files as they are now, by name.
        pairs: how each came into the sweep, by name.
        proxy: whether its pipelines are proxies; all are, or none.
    """

    name: str
    settings: Settings
    submissions: dict[str, str]
    pairs: dict[str, str]
    pipelines: tuple[str, ...]
    splits: tuple[str, ...]
    proxy: bool

    @classmethod
    def read(cls, file: Path) -> Grid:
        """The grid of a file; no data are read.

        Raises:
            KitError: a file, submission, pipeline or pair that is not there or makes no sense.
        """
        settings, _ = read_settings({}, file)
        profile = profile_named(settings.profile)
        weights = settings.starting_weights or profile.weights
        asked = [load_pipeline(name) for name in settings.pipelines or (profile.pipeline,)]
        if len({pipeline.proxy for pipeline in asked}) > 1:
            raise ConfigurationError(f"{file} asks for a proxy and a full training; give each a file of its own")
        return cls(
            name=file.stem,
            settings=settings,
            submissions={source.name: source.digest for source in map(read_source, settings.submissions)},
            pairs={named.pair.name: named.kind for named in choose_pairs(settings.pairs, profile, settings.round_seed)},
            pipelines=tuple(fitted(pipeline, profile.image_size, weights).name for pipeline in asked),
            splits=settings.score_split or (profile.round.score_split,),
            proxy=asked[0].proxy,
        )

    @property
    def size(self) -> int:
        """Number of its cells."""
        of = (self.submissions, self.pairs, self.pipelines, self.settings.label_quality, self.splits)
        size = self.settings.seeds
        for members in of:
            size *= len(members)
        return size

    @property
    def seeds(self) -> range:
        """Numbers of its repetitions."""
        return range(self.settings.first_seed, self.settings.first_seed + self.settings.seeds)

    def unfinished(self, kept: Iterable[Cell]) -> range:
        """Its repetitions from the first one on of which a scored cell of today's submissions is not among ``kept``."""
        scored = (cell["spec"] for cell in kept if cell["scored"] and self.holds(cell["spec"]))
        held = Counter(s["seed"] for s in scored if s["submission_digest"] == self.submissions[s["submission"]])
        each = self.size // self.settings.seeds
        return range(next((seed for seed in self.seeds if held[seed] < each), self.seeds.stop), self.seeds.stop)

    def holds(self, spec: dict[str, Any]) -> bool:
        """Whether a cell of this spec is one of the grid, in whatever version of submission and kit."""
        wanted = self.settings
        return (
            spec["submission"] in self.submissions
            and spec["profile"]["name"] == wanted.profile
            and spec["pair"] in self.pairs
            and spec["seed"] in self.seeds
            and spec["root_seed"] == wanted.root_seed
            and spec["pipeline"]["name"] in self.pipelines
            and spec["label_quality"] in wanted.label_quality
            and spec["score_split"] in self.splits
        )

    def as_dict(self, taken: int) -> dict[str, Any]:
        """What the page says of it. ``taken``: cells that are stored."""
        return {
            "name": self.name,
            "profile": self.settings.profile,
            "pipelines": list(self.pipelines),
            "submissions": list(self.submissions),
            "pairs": self.pairs,
            "seeds": self.settings.seeds,
            "label_qualities": list(self.settings.label_quality),
            "score_splits": list(self.splits),
            "cells": self.size,
            "stored": taken,
        }


@dataclass(frozen=True, eq=False)
class Gathered:
    """What is stored of some grids.

    Attributes:
        conditions: as ``compare`` would sort them.
        grid_of: name of the grid of every cell, by hash.
        left_out: what was found and not taken, and versions that are not today's, a line each.
    """

    conditions: list[Condition]
    grid_of: dict[str, str]
    left_out: list[str]

    def cells(self, proxy: bool) -> list[tuple[str, Cell]]:
        """Cells that were taken, with their grids, in an order that does not depend on the folders they lay in."""
        of = [condition for condition in self.conditions if condition.proxy == proxy]
        return [(self.grid_of[cell["cell"]], cell) for condition in of for _, cell in sorted(condition.cells.items())]


def gather(grids: Sequence[Grid], folders: Iterable[Path], kept: Iterable[Cell] = ()) -> Gathered:
    """The cells of ``grids`` that lie in folders of results.

    Of a submission that was run in several versions that of today counts; where it was not run at all, the one with the most cells
    does, and that is said. What remains is sorted by ``sort_cells``, under the rules that most cells share.

    Args:
        kept: cells that were gathered before; one that lies in a folder, too, is taken from there.

    Raises:
        ConfigurationError: a folder that holds no results.
    """
    found: dict[str, Cell] = {}
    grid_of: dict[str, str] = {}
    left_out = []
    for folder in folders:
        for path, cell, why in read_cells(folder, READ):
            grid = None if cell is None else next((grid for grid in grids if grid.holds(cell["spec"])), None)
            if cell is None:
                left_out.append(f"{path.name} {why}")
            elif grid is not None and not (cell["cell"][:HASH] in found and found[cell["cell"][:HASH]]["scored"]):
                found[cell["cell"][:HASH]] = {name: cell[name] for name in READ}
                grid_of[cell["cell"]] = grid.name
    for cell in kept:
        grid = next((grid for grid in grids if grid.holds(cell["spec"])), None)
        if grid is not None and not (cell["cell"][:HASH] in found and found[cell["cell"][:HASH]]["scored"]):
            found[cell["cell"][:HASH]] = cell
            grid_of[cell["cell"]] = grid.name
    today = {name: digest for grid in grids for name, digest in grid.submissions.items()}
    kept, said = _one_version(list(found.values()), today)
    conditions, others = sort_cells(kept)
    for condition in conditions:
        left_out += condition.left_out
    return Gathered(conditions, grid_of, left_out + said + others)


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
