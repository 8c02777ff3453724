"""Embeddings of a split's images under frozen weights, computed once for all cells: one memory-mapped float32 file.

The file is named by a hash of the images, network, weights, size and normalisation that made them, and of everything that decides
the last bit: device, number format, threads, version of torch, and ``VERSION``. So an old file is never read for other images or
weights.
The index (``.json``) is written last and makes the embeddings whole: it holds their checksum, and without it there are none.
Rows are in canonical order, which a worker must not learn: the files are readable by their owner alone (mode 0600), as the list of
rows of the decoded images is.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from evaluator.data.arrays import ArrayFile, map_npy
from evaluator.errors import DataError, TrainingError
from evaluator.seeds import derive
from evaluator.training import device as devices
from evaluator.training.cpu.allocator import kept_memory
from evaluator.training.cpu.convolutions import quicken
from evaluator.training.cpu.folding import forward_only
from evaluator.training.cuda import depthwise
from evaluator.training.memory import halving, in_room
from evaluator.training.need import of_predictions
from evaluator.training.network import build_network, features
from evaluator.training.pipeline import Pipeline
from evaluator.training.predict import evaluating, through
from evaluator.training.weights import load_starting_weights, starting_weights_identity

VERSION = 2
"""Part of every file's name; raised when the computing of embeddings changes."""
_CHUNK = 1024
"""Images that are read at a time."""
_opened: dict[Path, np.memmap] = {}
"""What this process has mapped and checked already, by index."""


@dataclass(frozen=True)
class ImageSource:
    """Images that are to be embedded.

    Attributes:
        digest: of their content; ``count`` and ``size``: how many, and their side in pixels.
        gather: images by canonical index, uint8 (m, size, size, 3).
        folder: where their embeddings are kept.
    """

    digest: str
    count: int
    size: int
    gather: Callable[[range], np.ndarray]
    folder: Path


def embeddings_of(
    pipeline: Pipeline,
    images: ImageSource,
    *,
    device: str = "cpu",
    threads: int | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> np.memmap:
    """Embeddings of all images in canonical order, float32 (count, d), read-only; from the store where they are there.

    Several evaluators may call this at once: one computes, the others wait and read. A file that does not fit its checksum is named
    on stderr and made anew; it is read through once per process.

    Args:
        pipeline: with ``proxy`` true.
        device, threads: what they are computed with where they are not there.
        progress: called with the share that is computed; never where they are there.

    Raises:
        ValueError: a pipeline that is no proxy.
        WeightsError: the weights cannot be had.
        TrainingError: an embedding is not finite, or not one image fits into memory.
        DataError: the folder cannot be written.
    """
    if not pipeline.proxy:
        raise ValueError(f"pipeline {pipeline.name!r} is no proxy: its embeddings differ from cell to cell")
    where = devices.resolve(device)
    with devices.threads(threads) as used:
        about = _about(pipeline, images, where, used)
        kept = _Kept(images.folder, about)
        if kept.files.index in _opened:
            return _opened[kept.files.index]

        def make() -> np.memmap:
            doing = f"while embedding {images.count} images"
            keeping = kept_memory() if where.type == "cpu" else nullcontext()
            with keeping, devices.answering(where, lambda: doing), devices.repeatable(where):
                return kept.write(images.count, _embedded(pipeline, images, where, about["weights"]), progress)

        try:
            found = kept.files.obtained(kept.read, make)
        except OSError as error:
            raise DataError(
                f"the embeddings in {images.folder} cannot be written or read ({error}); free some space, or name another --cache"
            ) from error
    _opened[kept.files.index] = found
    return found


@lru_cache(maxsize=64)
def weights_of(weights: str, architecture: str) -> str:
    """Identity of starting weights, hashed once per process.

    Raises:
        WeightsError: the weights cannot be had.
    """
    return starting_weights_identity(weights, architecture)


def _about(pipeline: Pipeline, images: ImageSource, where: torch.device, threads: int) -> dict[str, Any]:
    """Everything that decides the embeddings, to the bit."""
    cuda = where.type == "cuda"
    return {
        "version": VERSION,
        "images": images.digest,
        "count": images.count,
        "stored_size": images.size,
        "image_size": pipeline.image_size,
        "architecture": pipeline.architecture,
        "weights": weights_of(pipeline.weights, pipeline.architecture),
        "mean": list(pipeline.mean),
        "std": list(pipeline.std),
        "device": f"{torch.cuda.get_device_name(where)}, {depthwise.form()}" if cuda else "cpu",
        "number_format": devices.number_format(where, pipeline.precision),
        "threads": None if cuda else threads,
        "torch": torch.__version__,
    }


def _embedded(pipeline: Pipeline, images: ImageSource, where: torch.device, identity: str) -> Iterator[np.ndarray]:
    """Embeddings chunk by chunk."""
    # Every feature layer is loaded, so that the seed is of no consequence.
    model = build_network(pipeline.architecture, 1, seed=derive(0, "embeddings"), image_size=pipeline.image_size)
    loaded = load_starting_weights(model, pipeline.weights, pipeline.architecture)
    if loaded != identity:
        raise TrainingError(
            f"the weights {pipeline.weights!r} changed while they were used ({identity}, then {loaded}); start again"
        )
    model = devices.placed(model, where)
    model = forward_only(quicken(model)) if where.type == "cpu" else depthwise.fitted(model)
    number_format = devices.number_format(where, pipeline.precision)

    def forward(x: torch.Tensor) -> torch.Tensor:
        with devices.autocast(where, number_format):
            return features(model, x).float()

    def need() -> int:
        return of_predictions(pipeline, 0)

    for start in range(0, images.count, _CHUNK):
        chunk = torch.from_numpy(images.gather(range(start, min(start + _CHUNK, images.count))))

        def embed(size: int, chunk: torch.Tensor = chunk) -> np.ndarray:
            return through(chunk, where, pipeline, forward, size).cpu().numpy()

        with evaluating(model), torch.inference_mode():
            found = in_room(where, need, partial(halving, embed, devices.images_at_once(where.type, pipeline.image_size)))
        bad = ~np.isfinite(found).all(axis=1)
        if bad.any():
            raise TrainingError(
                f"the embedding of image {start + int(np.argmax(bad))} is not finite in {number_format}, pipeline "
                f"{pipeline.name!r}; expected numbers. Check its weights ({pipeline.weights}), or set precision to float32"
            )
        yield found


class _Kept:
    """The embeddings of one split under one frozen network, on disk."""

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        text = json.dumps(about, sort_keys=True)
        self.about = json.loads(text)
        key = f"embeddings-{hashlib.sha256(text.encode()).hexdigest()[:24]}"
        self.files = ArrayFile(folder, key, ".json", "file", "file of embeddings")

    def read(self) -> tuple[np.memmap | None, str]:
        """The embeddings if they are there and sound; else None and why (empty: there are none)."""
        content, damage = self.files.content()
        if content is None:
            return None, damage
        if content.get("about") != self.about:
            return None, "its index belongs to other embeddings"
        path, damage = self.files.path(content, verify=True)
        if path is None:
            return None, damage
        try:
            return _mapped(path), ""
        except ValueError as error:
            return None, str(error)

    def write(self, count: int, chunks: Iterator[np.ndarray], progress: Callable[[float], None]) -> np.memmap:
        """Write the array chunk by chunk, then the index."""

        def fill(file: BinaryIO) -> dict[str, Any]:
            array, done = None, 0
            for chunk in chunks:
                if array is None:
                    needed = 4 * count * chunk.shape[1]
                    if (free := shutil.disk_usage(self.files.folder).free) < needed:
                        raise OSError(f"the embeddings take {needed} bytes, {free} are free")
                    array = np.lib.format.open_memmap(file.name, mode="w+", dtype=np.float32, shape=(count, chunk.shape[1]))
                array[done : done + len(chunk)] = chunk
                done += len(chunk)
                progress(done / count)
            if array is None:
                raise DataError("there are no images to embed; expected at least 1")
            array.flush()
            return {"about": self.about}

        return _mapped(self.files.publish(fill, permissions=0o600))


def _mapped(path: Path) -> np.memmap:
    return map_npy(path, np.float32, 2)
