"""The rows of a sheet of a data set: images with labels, predictions, quality and what checks found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evaluator.curation.issues import LabelIssues
from evaluator.curation.toolset import ToolSet
from evaluator.data.image_checks import ImageChecks, check_images
from evaluator.report.sheet.rows import SheetRow

ISSUE, OTHER_SPLIT, OTHER_LABEL = "label issue", "also in the other split", "copy with another label"


def sheet_rows(
    data: ToolSet, issues: LabelIssues | None = None, checks: ImageChecks | None = None, chosen: np.ndarray | None = None
) -> list[SheetRow]:
    """Rows of images, the most doubtful first where issues are given.

    Args:
        issues: of all images, in their order.
        checks: of all images; made where they are not given.
        chosen: numbers of the images that are shown, in this order; None for all.
    """
    checks = checks or check_images(data.images.pixels)
    order = chosen if chosen is not None else issues.worst_first() if issues is not None else np.arange(len(data.images))
    predicted = issues.predicted() if issues is not None else [""] * len(data.images)
    loss = issues.loss() if issues is not None else None
    groups = _groups(checks.copies)
    found = []
    for i in np.asarray(order).tolist():
        numbers: dict[str, float] = {}
        flags = list(checks.flags[i])
        if issues is not None and loss is not None:
            numbers = {"quality": float(issues.quality[i]), "loss": float(loss[i])}
            flags = [ISSUE] * bool(issues.flagged[i]) + flags
        numbers |= {
            "brightness": float(checks.brightness[i]),
            "sharpness": float(checks.sharpness[i]),
            "information": float(checks.information[i]),
            "width": float(checks.width[i]),
            "height": float(checks.height[i]),
        }
        copies = groups.get(int(checks.copies[i]), [])
        if len(copies) > 1:
            flags += _of_copies(copies, i, data.validation, data.labels)
        found.append(
            SheetRow(
                data.images.ids[i],
                data.images.pixels[i],
                data.classes[data.labels[i]],
                predicted[i],
                data.splits[i],
                numbers,
                tuple(flags),
                data.images.ids[copies[0]] if len(copies) > 1 else "",
            )
        )
    return found


def _groups(copies: np.ndarray) -> dict[int, list[int]]:
    groups: dict[int, list[int]] = {}
    for place, first in enumerate(copies.tolist()):
        groups.setdefault(first, []).append(place)
    return groups


def _of_copies(copies: Sequence[int], own: int, validation: np.ndarray, labels: np.ndarray) -> list[str]:
    others = [i for i in copies if i != own]
    said = [OTHER_SPLIT] if any(validation[i] != validation[own] for i in others) else []
    return said + ([OTHER_LABEL] if any(labels[i] != labels[own] for i in others) else [])
