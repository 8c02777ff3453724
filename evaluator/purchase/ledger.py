"""The ledger: the labels that were bought, in order. Only the evaluator writes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Purchase:
    """One label sold.

    Attributes:
        order: number of the purchase in the cell; 0 is the first.
        index: the index that the submission used, in this cell's shuffled order.
        image: the canonical number of the image in its split (files sorted by name).
        seconds: time of the purchase on the shared clock, from the start of the pre-training phase.
        label: the label vector as it was sold.
    """

    order: int
    index: int
    image: int
    seconds: float
    label: tuple[int, ...]


@dataclass
class Ledger:
    """Purchases in order; the only source of bought labels for training, replay and ``purchases.csv``."""

    purchases: list[Purchase] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.purchases)

    def __iter__(self) -> Iterator[Purchase]:
        return iter(self.purchases)

    def canonical(self, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
        """The bought images and labels in canonical order of the images, not in order of purchase.

        Returns:
            (int64 images (m,), uint8 labels (m, n_classes)).
        """
        # Sorting arrays of numbers is faster than sorting the purchases, which are scattered in memory.
        images = np.array([purchase.image for purchase in self.purchases], np.int64)
        labels = np.array([purchase.label for purchase in self.purchases], np.uint8).reshape(len(images), n_classes)
        order = np.argsort(images, kind="stable")
        return images[order], labels[order]

    def as_rows(self) -> list[dict[str, object]]:
        """JSON-able rows; ``from_rows`` reads them back."""
        return [
            {"order": p.order, "index": p.index, "image": p.image, "seconds": round(p.seconds, 6), "label": list(p.label)}
            for p in self.purchases
        ]

    @classmethod
    def from_rows(cls, rows: list[dict[str, Any]]) -> Ledger:
        """The ledger of a stored result."""
        return cls([Purchase(r["order"], r["index"], r["image"], r["seconds"], tuple(r["label"])) for r in rows])
