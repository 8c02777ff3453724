"""The data sets that a report shows images and labels of: those that the cells were run on, and no others.

Nothing is decoded for a report. Images come from the cache that the run left; where it is gone, the report has no pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.data.cache import CachedImages, stored_images
from evaluator.data.folders import Split, read_split
from evaluator.errors import ConfigurationError, DataError
from evaluator.places import data_set_place
from evaluator.purchase.rounds import tables_besides
from evaluator.purchase.sets import DrawnSets, RoundSets, draw_root, numbered
from evaluator.purchase.spec import PurchaseSpec
from evaluator.secret import FILE, read_secret
from evaluator.sections import Material

Cell = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class ShownSets:
    """The sets of a report. ``sets``: pool and scored split; ``split``: name of the scored split."""

    sets: RoundSets
    split: str

    def pool(self, cell: Cell) -> tuple[Split, CachedImages]:
        """The pool of a cell, which its seed may have drawn."""
        sets = _drawn(self.sets, PurchaseSpec.from_dict(cell["spec"]))
        return sets.splits["unlabelled"], sets.images["unlabelled"]

    def pool_labels(self, cell: Cell) -> np.ndarray:
        """The labels of the whole pool, uint8 (images, classes)."""
        return self.pool(cell)[0].labels

    def pool_images(self, cell: Cell, numbers: Sequence[int]) -> tuple[np.ndarray, list[str]]:
        """Images of the pool by their canonical numbers, uint8 (n, H, W, 3), and the names of their files.

        Raises:
            IndexError: the pool has no such image.
        """
        split, images = self.pool(cell)
        return images.gather(list(numbers)), [split.files[number] for number in numbers]

    @property
    def scored(self) -> tuple[Split, CachedImages]:
        """The scored split."""
        return self.sets.splits[self.split], self.sets.images[self.split]


def shown_sets(cells: Sequence[Cell], material: Material) -> tuple[ShownSets | None, str]:
    """The sets of the cells (of one submission), or None and why they are not shown, as a sentence."""
    if not material.pictures:
        return None, "Pictures, the map and the frequencies in the pool were left out (--no-pictures)."
    spec = PurchaseSpec.from_dict(cells[0]["spec"])
    try:
        sets = material.data if isinstance(material.data, RoundSets) else _read(spec, material)
        wrong = [name for name in ("unlabelled", spec.score_split) if sets.digests().get(name) != spec.data.get(name)]
        if wrong:
            raise DataError(f"the data in {sets.folder} is not what the cells were run on ({', '.join(wrong)} differ)")
        _drawn(sets, spec)
    except (ConfigurationError, DataError) as error:
        return None, f"No pictures, no map: {error}."
    return ShownSets(sets, spec.score_split), ""


def _drawn(sets: RoundSets, spec: PurchaseSpec) -> RoundSets | DrawnSets:
    """The sets with the pool of a cell; only where its seed drew the pool the secret is needed.

    Raises:
        ConfigurationError: the cell is of another secret.
    """
    if "unlabelled" not in spec.profile.drawn:
        return sets
    profile = replace(spec.profile, drawn={"unlabelled": spec.profile.drawn["unlabelled"]})  # the training set is not read
    return sets.drawn(profile, draw_root(sets.secret, spec), spec.seed)


def _read(spec: PurchaseSpec, material: Material) -> RoundSets:
    """The two splits as they lie on the disk, with the images that are already decoded.

    Raises:
        DataError: a split or its decoded images are not there.
        ConfigurationError: the file of the secret cannot be read.
    """
    profile = numbered(spec.profile, spec.data_set)
    if Path(profile.data_folder).name != profile.data_folder and material.folder is None:
        raise ConfigurationError(f"the cells name the data folder {profile.data_folder[:80]!r}; expected a plain name. Use --data")
    folder, cache = material.folder or data_set_place(profile.data_folder, material.places), material.places / ".cache"
    besides = tables_besides(profile.round.classes)
    splits, images = {}, {}
    for name in dict.fromkeys(("unlabelled", spec.score_split)):
        splits[name] = read_split(folder / name, profile.round.classes, stat_cache=cache / "hashes.json", besides=besides)
        found = stored_images(splits[name], profile.image_size, cache, profile.resize)
        if found is None:
            raise DataError(f"{cache} holds no decoded images of {folder / name}; run any cell on them to decode them")
        images[name] = found
    secret = read_secret(material.secret or material.results / FILE) if spec.secret and profile.drawn else None
    return RoundSets(folder, splits, images, secret)
