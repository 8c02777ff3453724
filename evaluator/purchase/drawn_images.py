"""The score of a stored cell on scored images that are drawn anew, from kept predictions: their part of the chance."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.data.folders import read_split
from evaluator.errors import DataError
from evaluator.places import data_set_place
from evaluator.purchase.rounds import tables_besides
from evaluator.purchase.sets import numbered
from evaluator.purchase.spec import PurchaseSpec
from evaluator.seeds import generator


def drawn_scores(cell: Mapping[str, Any], predictions: np.ndarray, metric: str, draws: int, places: Path) -> np.ndarray:
    """Values of a metric (draws,) on images drawn with replacement from the scored split, the same for all cells of a data set.

    Args:
        cell: as stored; ``predictions``: its probabilities (images, classes).
        places: folder of data sets and of the cache.

    Raises:
        DataError: the data are not there, or are not those of the cell.
    """
    spec = PurchaseSpec.from_dict(cell["spec"])
    folder = data_set_place(numbered(spec.profile, spec.data_set).data_folder, places) / spec.score_split
    truth, digest = _truth(folder, tuple(spec.profile.round.classes), places)
    if digest != spec.data.get(spec.score_split) or truth.shape != predictions.shape:
        raise DataError(f"{folder} is not what the cells were run on; the part of the images cannot be said")
    thresholds = (cell.get("training") or {}).get("thresholds") or [0.5] * truth.shape[1]
    decided = (predictions.astype(np.float64) >= np.asarray(thresholds)).astype(np.int64)
    counts = _counts(digest, len(truth), draws)
    if metric != "macro_f1":
        wrong = decided != truth
        return counts @ (wrong.mean(axis=1) if metric == "hamming_loss" else ~wrong.any(axis=1)) / len(truth)
    hits, total = counts @ (decided & truth), counts @ (decided + truth)
    return np.divide(2 * hits, total, out=np.zeros(total.shape), where=total > 0).mean(axis=1)


@lru_cache(maxsize=64)
def _truth(folder: Path, classes: tuple[str, ...], places: Path) -> tuple[np.ndarray, str]:
    split = read_split(folder, classes, stat_cache=places / ".cache" / "hashes.json", besides=tables_besides(classes))
    return split.labels.astype(np.int64), split.digest


@lru_cache(maxsize=64)
def _counts(digest: str, images: int, draws: int) -> np.ndarray:
    """How often each image is drawn, int64 (draws, images)."""
    return generator(0, "drawn images", digest).multinomial(images, np.full(images, 1 / images), size=draws)
