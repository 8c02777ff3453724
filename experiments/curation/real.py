"""The images of 2021 with a test set that nobody trains on: kept out of the given data, without copies, with careful labels.

The folder is that of a participant's publication: ``raw`` and ``hand_cleaned`` with ``train`` and ``val``, and ``label_book``. What
careful cleaning kept is known by its pixels. The original's test set was never published, so a part of the kept images becomes
one, class by class. Images with equal or nearly equal pixels are one group, and a group lies on one side: what is tested has no
copy among what is given.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluator.curation.curated import pixel_digest
from evaluator.curation.images import LabelledImages, class_names, joined, read_images
from evaluator.curation.leaks import calibrate, near_pairs, perceptual_hashes
from evaluator.data.edits import Edit, EditTable
from evaluator.errors import DataError
from evaluator.files import temporary_folder
from evaluator.seeds import generator

SHARE = 0.33
"""Of the groups of kept images, how many are tested."""
ROOT_SEED = 2022
PARTS = ("raw/train", "raw/val", "hand_cleaned/train", "hand_cleaned/val", "label_book")
EDITS = "careful.csv"


@dataclass(frozen=True)
class HeldOut:
    """What was made of the images, counted.

    Attributes:
        train, val: given images; ``tested``: of the held-out test set; ``near``: bits up to which two hashes were a group.
        relabelled, dropped: given images that careful cleaning gives another label, or takes out.
    """

    train: int
    val: int
    tested: int
    near: int
    relabelled: int
    dropped: int


def missing(folder: Path) -> str:
    """Why there are no such images, in words; empty if there are."""
    lost = [part for part in PARTS if not (folder / part).is_dir()]
    return f"{folder} has no folder {lost[0]}" if lost else ""


def hold_out(source: Path, folder: Path) -> HeldOut:
    """Write ``train``, ``val``, ``test``, ``label_book`` and the careful cleaning as edits into ``folder``, unless it is there.

    Args:
        source: the unpacked images.

    Returns:
        The counts, also of a folder that was there.

    Raises:
        DataError: the images are not what was expected.
    """
    classes = class_names(source / "raw" / "train")
    raw = joined([read_images(source / "raw" / split, classes, prefix=f"{split}/") for split in ("train", "val")])
    book = read_images(source / "label_book", classes, prefix="label_book/")
    careful = careful_labels(source, classes)
    digests = [pixel_digest(pixels) for pixels in raw.pixels]
    barred = {pixel_digest(pixels) for pixels in book.pixels}
    distance = max(0, calibrate(raw.pixels, raw.labels, 0).distance)
    groups = groups_of(raw, distance)
    truth = np.array([careful.get(digest, -1) for digest in digests])
    tested = drawn(groups, truth, np.array([digest in barred for digest in digests]))
    given = ~tested
    edits = []
    for row in np.flatnonzero(given).tolist():
        if truth[row] < 0:
            edits.append(Edit(raw.ids[row], "drop"))
        elif truth[row] != raw.labels[row]:
            edits.append(Edit(raw.ids[row], "relabel", classes[truth[row]]))
    # Of a group one image is tested: a further copy would count its answer twice.
    once = np.flatnonzero(tested & _first_kept(groups, tested))
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(folder.parent, folder.name) as made:
            for row in np.flatnonzero(given).tolist():
                _copy(source / "raw" / raw.ids[row], made / raw.ids[row])
            for row in once.tolist():
                name = raw.ids[row].replace("/", "-")
                _copy(source / "raw" / raw.ids[row], made / "test" / classes[truth[row]] / name)
            shutil.copytree(source / "label_book", made / "label_book")
            EditTable(tuple(edits)).write(made / EDITS)
            os.replace(made, folder)
    splits = np.array([name.startswith("train/") for name in raw.ids])
    return HeldOut(
        train=int((given & splits).sum()),
        val=int((given & ~splits).sum()),
        tested=len(once),
        near=distance,
        relabelled=sum(edit.action == "relabel" for edit in edits),
        dropped=sum(edit.action == "drop" for edit in edits),
    )


def careful_labels(source: Path, classes: tuple[str, ...]) -> Mapping[str, int]:
    """Labels by digest of the pixels, of the images that careful cleaning kept.

    Raises:
        DataError: it gave equal pixels two labels.
    """
    found: dict[str, int] = {}
    for split in ("train", "val"):
        part = read_images(source / "hand_cleaned" / split, classes)
        for pixels, label in zip(part.pixels, part.labels.tolist(), strict=True):
            digest = pixel_digest(pixels)
            if found.setdefault(digest, label) != label:
                raise DataError(
                    f"{source / 'hand_cleaned'}: equal images have the labels {classes[found[digest]]} and {classes[label]}"
                )
    return found


def groups_of(images: LabelledImages, distance: int) -> np.ndarray:
    """int64 (n,), equal for images that are linked by hashes at most ``distance`` bits apart: the lowest row of each group."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(images)
    pairs = near_pairs(perceptual_hashes(images.pixels), None, distance)
    links = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, members = connected_components(links, directed=False)
    lowest = np.full(members.max() + 1, n, np.int64)
    np.minimum.at(lowest, members, np.arange(n))
    found: np.ndarray = lowest[members]
    return found


def drawn(groups: np.ndarray, truth: np.ndarray, barred: np.ndarray) -> np.ndarray:
    """bool (n,): the images of the groups that are tested.

    Args:
        groups: as of ``groups_of``. ``truth``: careful labels, -1 for images that were taken out. ``barred``: images that nobody
            may train on. A group with an image of either kind, or with two labels, is not tested.
    """
    names = np.unique(groups)
    usable, label = [], []
    for name in names.tolist():
        rows = np.flatnonzero(groups == name)
        held = np.unique(truth[rows])
        if len(held) == 1 and held[0] >= 0 and not barred[rows].any():
            usable.append(name)
            label.append(int(held[0]))
    chosen: list[int] = []
    for number in sorted(set(label)):
        own = [name for name, of in zip(usable, label, strict=True) if of == number]
        order = generator(ROOT_SEED, "curation study", "test", number).permutation(len(own))
        chosen += [own[place] for place in order[: round(SHARE * len(own))].tolist()]
    return np.isin(groups, chosen)


def _first_kept(groups: np.ndarray, tested: np.ndarray) -> np.ndarray:
    first = np.zeros(len(groups), bool)
    rows = np.flatnonzero(tested)
    first[rows[np.unique(groups[rows], return_index=True)[1]]] = True
    return first


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
