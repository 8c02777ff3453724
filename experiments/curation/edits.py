"""What is done to the data: every condition as a table of edits, made by the tools that a participant has.

Draws follow the seed of the cell: another seed has other folds, another pool and other random augmentations. ``as_given`` and
``careful`` draw nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluator.curation.boost import Boosted, BoostRules, boost
from evaluator.curation.boosting import EDITS, Remembered, recipe_fit, write_boosted
from evaluator.curation.features import best_network, embedder
from evaluator.curation.held_out import HeldOut, held_out_probabilities
from evaluator.curation.issues import find_issues
from evaluator.curation.pool import Pool, PoolFeatures
from evaluator.curation.recipes import recipe_named
from evaluator.curation.toolset import ToolSet, squared
from evaluator.data.edits import Edit, EditTable
from evaluator.seeds import generator

CONDITIONS = ("as_given", "cleanlab_dropped", "careful", "augmented", "boosted", "combined")
WHAT = {
    "as_given": "nothing is changed",
    "cleanlab_dropped": "the most doubtful {dropped:.1%} of the labels are dropped, as the walk-through dropped 142 of 2,880: "
    "quality scores of cleanlab, five folds of a linear model on frozen features",
    "careful": "wrong labels corrected and junk taken out: by one person's cleaning of the images of 2021, by the truth of "
    "embedded images",
    "augmented": "random augmentations of the training set join it, as many as `boosted` adds",
    "boosted": "augmentations join that look like validation images which a short training gets wrong",
    "combined": "`cleanlab_dropped`, then as many boosted augmentations of what is left",
}
DROPPED = 142 / 2880
"""Share of the images that the walk-through with cleanlab dropped."""
SIDE = 64
"""Pixels per side of images that are made, and of what the frozen network sees."""
NEIGHBOURS = 20
DRIVER = "quick"
"""The recipe whose mistakes boosting asks about: the fixed model in a fifth of its time."""


@dataclass(frozen=True)
class Room:
    """How much is made. ``added``: augmentations that join; ``pool``: those that are searched."""

    added: int
    pool: int


@dataclass(frozen=True, eq=False)
class Maker:
    """Makes the edits of one seed, below a folder of its own.

    Attributes:
        data: what participants see; ``careful``: the careful cleaning as edits.
        cache: for probabilities and features.
    """

    data: ToolSet
    careful: EditTable
    room: Room
    seed: int
    folder: Path
    cache: Path
    said: Callable[[str], None]

    def path(self, condition: str) -> Path:
        """The table of a condition; it is made where it is missing.

        Raises:
            KitError: cleanlab or a network is missing, or a file cannot be written.
        """
        place = self.folder / condition
        table = place / f"{condition}.csv"
        if not table.is_file():
            self.said(f"seed {self.seed}: making {condition}")
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make(condition, place, table)
        return table

    def _make(self, condition: str, place: Path, table: Path) -> None:
        if condition in ("augmented", "boosted", "combined"):
            dropped = self._dropped() if condition == "combined" else np.zeros(0, np.int64)
            kept = np.ones(len(self.data.images), bool)
            kept[dropped] = False
            made = self._drawn(kept) if condition == "augmented" else self._boosted(kept)
            found, pool, labels = made
            whole = [Edit(self.data.images.ids[row], "drop") for row in dropped.tolist()]
            part = place.with_name(f".{condition}.part")
            if part.exists():
                import shutil

                shutil.rmtree(part)
            added = write_boosted(found, pool, labels, self.data.classes, part)
            (part / EDITS).unlink()
            EditTable((*whole, *added)).write(part / table.name)
            part.rename(place)
            return
        edits = {
            "as_given": lambda: (),
            "cleanlab_dropped": lambda: tuple(Edit(self.data.images.ids[row], "drop") for row in self._dropped().tolist()),
            "careful": lambda: tuple(self.careful),
        }[condition]()
        place.mkdir(exist_ok=True)
        EditTable(edits).write(table)

    def _dropped(self) -> np.ndarray:
        """Rows of the most doubtful labels, but never the last images of a class in a split."""
        how = HeldOut(seed=self.seed, network=best_network(), size=SIDE)
        p = held_out_probabilities(self.data, how, self.cache)
        issues = find_issues(self.data.images.ids, self.data.classes, self.data.labels, p)
        return issues.to_drop(count=round(DROPPED * len(self.data.images)))

    def _drawn(self, kept: np.ndarray) -> tuple[Boosted, Pool, np.ndarray]:
        """As many augmentations of the pool as boosting adds, at random."""
        pool, labels, barred = self._pool(kept)
        allowed = np.flatnonzero(~barred[pool.parent(np.arange(pool.size))])
        chosen = np.sort(generator(self.seed, "curation study", "random").choice(allowed, self.room.added, replace=False))
        empty = np.zeros(0, np.int64)
        return Boosted(chosen, pool.parent(chosen), (), empty, empty), pool, labels

    def _boosted(self, kept: np.ndarray) -> tuple[Boosted, Pool, np.ndarray]:
        pool, labels, barred = self._pool(kept)
        train, val = np.flatnonzero(~self.data.validation & kept), np.flatnonzero(self.data.validation & kept)
        pixels = squared(self.data.images.pixels, SIDE)
        embed = embedder(best_network(), SIDE)
        answers = self.data.labels[val]
        rules = BoostRules(neighbours=NEIGHBOURS, rounds=1, limit=len(train) + len(val) + self.room.added)
        found = boost(
            (pixels[train], labels),
            (pixels[val], answers),
            self.data.groups[val],
            pool,
            _once(recipe_fit(recipe_named(DRIVER), len(self.data.classes), answers, self.seed, lambda share: None)),
            Remembered(embed).keep,
            rules,
            barred=barred,
            vectors=PoolFeatures(pool, embed, self.cache),
        )
        if len(found.numbers) < self.room.added:
            self.said(f"seed {self.seed}: boosting added {len(found.numbers)} of {self.room.added} augmentations")
        return found, pool, labels

    def _pool(self, kept: np.ndarray) -> tuple[Pool, np.ndarray, np.ndarray]:
        """The pool, the labels of its parents, and which parents are barred: those with a copy in the validation set."""
        train = np.flatnonzero(~self.data.validation & kept)
        barred = np.isin(self.data.groups[train], self.data.groups[self.data.validation & kept])
        parents = squared([self.data.images.pixels[row] for row in train.tolist()], SIDE)
        return Pool(parents, self.room.pool, self.seed), self.data.labels[train], barred


def _once(fit: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """A training that runs once: boosting trains a last time to report what it gained, and here the judge does that."""
    found: list[np.ndarray] = []

    def train(*given: np.ndarray) -> np.ndarray:
        if not found:
            found.append(fit(*given))
        return found[0]

    return train
