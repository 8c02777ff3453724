"""A map of a data set: every image a point of a plane, images that look alike near each other, and where validation has none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluator.curation.features import colours
from evaluator.curation.neighbours import unit
from evaluator.curation.rebalance import gaps
from evaluator.curation.toolset import ToolSet
from evaluator.report.projection import COMPONENTS, principal, tsne
from evaluator.sections import Cloud, Gallery, Picture, Section
from evaluator.words import counted

GALLERY = 24
"""Training images without a validation image near them that are shown."""
MOST_CLASSES = 24
"""Classes that have a map of their own."""


@dataclass(frozen=True, eq=False)
class DataMap:
    """A map.

    Attributes:
        points: float64 (n, 2), of all images. ``explained``: in words, how many dimensions became two.
        uncovered: bool (n,), training images further from every validation image of their class than 95 % of the training images
            are from their nearest other training image.
        distance: float64 (n,), cosine distance of training images to the nearest validation image of their class; NaN of others.
    """

    points: np.ndarray
    explained: str
    uncovered: np.ndarray
    distance: np.ndarray


def data_map(data: ToolSet, features: np.ndarray, projection: str) -> DataMap:
    """Place all images.

    Args:
        features: float (n, d). ``projection``: ``pca`` or ``tsne``.

    Raises:
        ConfigurationError: ``tsne`` was asked for, and openTSNE is not installed.
    """
    directions = unit(features)
    count = min(COMPONENTS, *directions.shape) if projection == "tsne" else 2
    points, explained = principal(np.asarray(directions, np.float64), count)
    if projection == "tsne":
        points, said = tsne(points), f"t-SNE (openTSNE) of {count} principal components of frozen features"
    else:
        said = f"The first two principal components of frozen features; they explain {explained[:2].sum():.0%} of the variance"
    across, within = gaps(directions, data.labels, data.validation, data.groups)
    train = np.flatnonzero(~data.validation)
    distance, uncovered = np.full(len(features), np.nan), np.zeros(len(features), bool)
    distance[train] = across
    uncovered[train] = across > np.quantile(within, 0.95)
    return DataMap(points[:, :2], said, uncovered, distance)


def map_section(data: ToolSet, found: DataMap) -> Section:
    """The map of all images, of each class, and the images that validation lacks most."""
    parts: list[Cloud | Gallery] = [all_images(data, found)]
    for label in range(min(len(data.classes), MOST_CLASSES)):
        rows = np.flatnonzero(data.labels == label)
        if len(rows) > 1:
            parts.append(_cloud(f"Label {data.classes[label]}", found, rows, data))
    worst = [i for i in np.argsort(-np.nan_to_num(found.distance, nan=-1.0), kind="stable")[:GALLERY] if found.uncovered[i]]
    if worst:
        pictures = tuple(
            Picture(
                colours(data.images.pixels[i][None])[0],
                (data.classes[data.labels[i]], f"{found.distance[i]:.3f}"),
                data.images.ids[i],
            )
            for i in worst
        )
        parts.append(Gallery("Furthest from validation", "cosine distance to the nearest validation image of the label", pictures))
    notes = (
        f"{found.explained}. Points near each other look alike; the axes have no unit.",
        "A training image counts as far from validation where its nearest validation image of the same label is further away than, "
        "for 95 % of the training images, the nearest other training image of that label. Distances are those of the features, "
        "and not of the picture, in which points may lie near each other that are not alike.",
    )
    return Section("Where validation has no images", tuple(parts), notes)


def all_images(data: ToolSet, found: DataMap) -> Cloud:
    """The map of all images."""
    return _cloud("All images", found, np.arange(len(data.labels)), data)


def _cloud(title: str, found: DataMap, rows: np.ndarray, data: ToolSet) -> Cloud:
    kinds = (
        ("validation", np.flatnonzero(data.validation[rows])),
        ("training, far from validation", np.flatnonzero(found.uncovered[rows])),
    )
    groups = tuple((name, tuple(members.tolist())) for name, members in kinds)
    train, val = int((~data.validation[rows]).sum()), int(data.validation[rows].sum())
    caption = f"{counted(train, 'training image')}, {counted(val, 'validation image')}."
    return Cloud(title, caption, found.points[rows], groups, "training")
