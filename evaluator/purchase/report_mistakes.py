"""The worst mistakes of the trained models, as pictures with true and predicted classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluator.errors import KitError
from evaluator.purchase.report_sets import ShownSets
from evaluator.report.format import percent
from evaluator.sections import Gallery, Material, Picture, Section
from evaluator.words import counted

MOST = 12
"""Mistakes that are shown."""
MOST_CELLS = 60
"""Cells whose predictions are read."""
TITLE = "The worst mistakes"


def mistakes(cells: Sequence[Mapping[str, Any]], sets: ShownSets, material: Material) -> Section:
    """The images that the models got most wrong, by the mean cross-entropy of their probabilities over the cells.

    Args:
        cells: scored, of one submission and split.
    """
    split, images = sets.scored
    kept, thresholds, notes = [], [], []
    for cell in cells[:MOST_CELLS]:
        try:
            found = material.predictions(cell)
        except KitError as error:
            notes.append(f"{error}.")
            material.warn(notes[-1])
            continue
        if found is not None and found.shape == split.labels.shape:
            kept.append(found.astype(np.float64))
            chosen = (cell.get("training") or {}).get("thresholds") or [0.5] * found.shape[1]
            thresholds.append(chosen if len(chosen) == found.shape[1] else [0.5] * found.shape[1])
    if not kept:
        return Section(TITLE, (), (*notes, "No predictions are stored with these cells."))
    probabilities = np.stack(kept)
    decided = probabilities >= np.asarray(thresholds)[:, None, :]
    truth = split.labels.astype(bool)
    wrong = (decided != truth).any(axis=2).sum(axis=0)
    order = worst(probabilities.mean(axis=0), truth, wrong)
    pictures = []
    for number, pixels in zip(order, images.gather(order), strict=True):
        mean, share = probabilities[:, number].mean(axis=0), decided[:, number].mean(axis=0)
        lines = _lines(split.classes, truth[number], share > 0.5, mean)
        often = f"wrong in {wrong[number]} of {counted(len(kept), 'cell')}"
        pictures.append(Picture(pixels, (often, *lines), f"{split.files[number]}. {' '.join(lines)}, {often}"))
    caption = (
        f"{counted(len(order), 'image')} of {len(truth):,} of the {sets.split} split with the largest cross-entropy, mean over "
        f"{counted(len(kept), 'cell')} of this report. Predicted: by more than half of the cells, with the mean probability."
    )
    right = float(np.mean(wrong == 0))
    notes.append(f"{percent(right)} of the {len(truth):,} scored images have every class right in all of these cells.")
    return Section(
        TITLE, (Gallery("Images that the models got most wrong", caption, tuple(pictures), 150),) if pictures else (), tuple(notes)
    )


def worst(mean: np.ndarray, truth: np.ndarray, wrong: np.ndarray, most: int = MOST) -> list[int]:
    """The numbers of the images with the largest cross-entropy, the largest first, among those that any cell got wrong.

    Args:
        mean: float (images, classes), mean probabilities; ``truth``: bool, of the same shape.
        wrong: int (images,), cells that got the image wrong.
    """
    clipped = np.clip(np.where(truth, mean, 1 - mean), 1e-4, 1.0)
    loss = -np.log(clipped).sum(axis=1)
    order = np.lexsort((np.arange(len(loss)), -loss))
    return [int(number) for number in order if wrong[number]][:most]


def _lines(classes: Sequence[str], truth: np.ndarray, predicted: np.ndarray, mean: np.ndarray) -> tuple[str, str]:
    def named(chosen: np.ndarray, figures: bool) -> str:
        found = [c + (f" {p:.2f}" if figures else "") for c, there, p in zip(classes, chosen, mean, strict=True) if there]
        return ", ".join(found) or "no class"

    return f"true: {named(truth, False)}", f"predicted: {named(predicted, True)}"
