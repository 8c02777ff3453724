"""The data sets that a participant's phases are given.

A data set is a sequence of items; an item is a dict with ``idx``, ``image`` and, where the set is labelled, ``label``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .images import map_embeddings, map_images


class ImageDataset(Sequence):
    """Images, and labels where they are known.

    ``len``, iteration, ``dataset[i]``, ``dataset[-1]``; a slice or an array of positions gives a data set of its own, whose items
    keep the ``idx`` that they have here. Images come straight from the mapped cache: nothing is copied until it is changed.
    Items go through ``torch.utils.data.DataLoader`` as they are; ``torch()`` gives (float tensor, label tensor) pairs.

    Args:
        path: the image cache, a ``.npy`` file of uint8 (n, H, W, 3).
        rows: row of the file for every image of this data set, int array (m,); None takes the file as it lies.
        labels: int array (m, classes) of 0 and 1, or None.
        classes: names of the classes, in the order of the label vector.
        embeddings: file of the images' embeddings, float32 (n, d), whose rows are those of ``path``; None where the
            rules give none.
        without_labels: message of the error where labels are asked for and there are none.
    """

    def __init__(
        self,
        path: str,
        rows: np.ndarray | None,
        labels: np.ndarray | None,
        classes: Sequence[str],
        *,
        indices: np.ndarray | None = None,
        mapped: np.ndarray | None = None,
        embeddings: str | None = None,
        without_labels: str = "this data set has no labels",
    ) -> None:
        self._path = str(path)
        self._file = map_images(path) if mapped is None else mapped
        self._rows = np.arange(len(self._file)) if rows is None else np.asarray(rows)
        self._whole = rows is None
        self._labels = labels
        self.classes = tuple(classes)
        self._indices = indices
        self._embeddings = None if embeddings is None else str(embeddings)
        self._gathered: np.ndarray | None = None
        self._without_labels = without_labels

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return self._subset(np.arange(*key.indices(len(self))))
        if isinstance(key, (list, np.ndarray)) and np.ndim(key) == 1:
            positions = np.asarray(key)
            if positions.dtype == bool and len(positions) == len(self):
                positions = np.flatnonzero(positions)
            if positions.size == 0:
                positions = positions.astype(np.int64)
            return self._subset(positions)
        position = operator.index(key)
        if not -len(self) <= position < len(self):
            raise IndexError(f"position {position} is out of range; the data set has {len(self)} images")
        position %= len(self)
        number = position if self._indices is None else int(self._indices[position])
        item = {"idx": number, "image": self._file[self._rows[position]]}
        if self._labels is not None:
            item["label"] = self._labels[position]
        return item

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[position] for position in range(len(self)))

    def __repr__(self) -> str:
        height, width = self._file.shape[1:3]
        known = "labelled" if self._labels is not None else "without labels"
        return f"<{type(self).__name__}: {len(self)} images of {width} x {height}, {known}, {len(self.classes)} classes>"

    def _subset(self, positions: np.ndarray) -> ImageDataset:
        labels = None if self._labels is None else self._labels[positions]
        rows = self._rows[positions]  # refuses what is no position
        # Not from ``indices``, which would be made for all images to number a few.
        indices = positions.astype(np.int64) % len(self) if self._indices is None else self._indices[positions]
        return ImageDataset(
            self._path,
            rows,
            labels,
            self.classes,
            indices=indices,
            mapped=self._file,
            embeddings=self._embeddings,
            without_labels=self._without_labels,
        )

    @property
    def indices(self) -> np.ndarray:
        """The ``idx`` of every image, int64 (n,). Made when first asked for: the start of a phase does not wait for it."""
        if self._indices is None:
            self._indices = np.arange(len(self))
        return self._indices

    @property
    def images(self) -> np.ndarray:
        """All images as one read-only uint8 array (n, H, W, 3).

        The mapped file itself where the order is the file's own. A shuffled set (the pool) is gathered into memory on first use,
        which costs n x H x W x 3 bytes and belongs to your clock; ``dataset[i]["image"]`` never copies.
        """
        if self._whole:
            return self._file
        if self._gathered is None:
            gathered = self._file[self._rows]
            gathered.setflags(write=False)
            self._gathered = gathered
        return self._gathered

    @property
    def embeddings(self) -> np.ndarray | None:
        """What the scored network makes of the images before it has learnt from any label: a new float32 array (n, d), or None.

        Made once by the evaluator and the same for everybody; only where the profile gives them. Not charged, but for reading.
        """
        return None if self._embeddings is None else np.asarray(map_embeddings(self._embeddings)[self._rows])

    @property
    def labels(self) -> np.ndarray:
        """All labels, int64 (n, classes).

        Raises:
            AttributeError: the set has none.
        """
        if self._labels is None:
            raise AttributeError(self._without_labels)
        return self._labels

    def pil(self, position: int) -> Any:
        """Image ``position`` as a ``PIL.Image.Image``."""
        from PIL import Image

        return Image.fromarray(self[position]["image"])

    def torch(self, transform: Callable[[Any], Any] | None = None) -> Any:
        """This data set for ``torch.utils.data.DataLoader``.

        An item is ``(image, label)``, or the image alone where there are no labels: image float32 (3, H, W) in 0..1, or what
        ``transform`` (called with the PIL image) returns; label float32 (classes,).
        """
        from .torch_view import TorchView

        return TorchView(self, transform)

    def __getstate__(self) -> dict[str, Any]:
        # DataLoader workers started by spawn get the path and map the file again, instead of a copy of every image.
        return {**self.__dict__, "_file": None, "_gathered": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._file = map_images(self._path)
