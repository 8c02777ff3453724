"""What is wrong with a label, by what a source of corrections says: the three kinds of label errors.

With a class per image the kinds follow from the valid labels alone, as in the published re-evaluation of ImageNet: (1)
*mislabelled*, another label is the only right label; (2) *several*, more than one label is right, whether or not the given label is
among them; (3) *none*, no label fits.

Where an image may have any number of labels, a set of several is no error. There the kinds say what is wrong with the given set:
(1) *mislabelled*, it holds a label that is wrong, and another label is right or remains; (2) *incomplete*, all its labels are right
and others are missing; (3) *none*, no label is right, though some were given.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from evaluator.audit.sets import LabelSets


class Kind(IntEnum):
    """Of an image's label. ``KEPT``: the source leaves it as it is."""

    KEPT = 0
    MISLABELLED = 1
    SEVERAL = 2
    NONE = 3


NAMES = {Kind.KEPT: "kept", Kind.MISLABELLED: "mislabelled", Kind.SEVERAL: "several", Kind.NONE: "none"}
"""What tables, files and ``--where`` call them."""
MULTI_NAMES = NAMES | {Kind.SEVERAL: "incomplete"}
"""The same where an image may have any number of labels."""


def kinds_of(given: LabelSets, valid: LabelSets, *, multi: bool) -> np.ndarray:
    """The kind of each image: int8 (n,), values of ``Kind``.

    Args:
        given: the labels as given; ``valid``: those that are right.
        multi: whether an image may have any number of labels.
    """
    same = given.equal(valid)
    empty = valid.sizes == 0
    several = given.subset(valid) if multi else valid.sizes > 1
    found = np.where(empty, Kind.NONE, np.where(several, Kind.SEVERAL, Kind.MISLABELLED))
    return np.where(same, Kind.KEPT, found).astype(np.int8)


def counts_of(kinds: np.ndarray) -> dict[Kind, int]:
    """How many images are of each kind."""
    return {kind: int((kinds == kind).sum()) for kind in Kind}
