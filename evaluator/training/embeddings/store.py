"""Embeddings of a split's images under frozen weights, computed once for all cells: one memory-mapped float32 file.

Which images, network, weights, size and normalisation made them stands in a hash that names the file, with everything that decides
the last bit: device, number format, threads, version of torch, and ``VERSION``. So other images or weights never meet an old file.
The index (``.json``) is written last and makes the embeddings whole: it holds their checksum, and without it there are none.
Rows are in canonical order, which a worker must not learn: the files are readable by their owner alone (mode 0600), as the list of
rows of the decoded images is.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evaluator.errors import DataError, TrainingError
from evaluator.seeds import derive
from evaluator.training import device as devices
from evaluator.training.cpu.allocator import kept_memory
from evaluator.training.cpu.convolutions import quicken
from evaluator.training.cpu.folding import forward_only
from evaluator.training.embeddings.frozen import BATCH_SIZES
from evaluator.training.memory import halving
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
        pipeline: one of which ``proxy`` holds.
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
        if kept.index in _opened:
            return _opened[kept.index]
        try:
            images.folder.mkdir(parents=True, exist_ok=True)
            found, _ = kept.read()
            if found is None:
                with kept.locked():
                    found, damage = kept.read()  # another evaluator may have made it while this one waited
                    if damage:
                        print(f"warning: the embeddings {kept.index} are damaged ({damage}); they are made anew", file=sys.stderr)
                    if found is None:
                        kept.clear()
                        doing = f"while embedding {images.count} images"
                        keeping = kept_memory() if where.type == "cpu" else nullcontext()
                        with keeping, devices.answering(where, lambda: doing), devices.repeatable(where):
                            found = kept.write(images.count, _embedded(pipeline, images, where, about["weights"]), progress)
        except OSError as error:
            raise DataError(
                f"the embeddings in {images.folder} cannot be written or read ({error}); free some space or give another folder"
            ) from error
    _opened[kept.index] = found
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
        "device": torch.cuda.get_device_name(where) if cuda else "cpu",
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
    model = model.to(where, memory_format=torch.channels_last)
    if where.type == "cpu":
        model = forward_only(quicken(model))
    number_format = devices.number_format(where, pipeline.precision)

    def forward(x: torch.Tensor) -> torch.Tensor:
        with devices.autocast(where, number_format):
            return features(model, x).float()

    for start in range(0, images.count, _CHUNK):
        chunk = torch.from_numpy(images.gather(range(start, min(start + _CHUNK, images.count))))
        with evaluating(model), torch.inference_mode():
            found = halving(
                lambda size, chunk=chunk: through(chunk, where, pipeline, forward, size).cpu().numpy(), BATCH_SIZES[where.type]
            )
        bad = ~np.isfinite(found).all(axis=1)
        if bad.any():
            raise TrainingError(
                f"the embedding of image {start + int(np.argmax(bad))} is not finite in {number_format}, pipeline "
                f"{pipeline.name!r}; expected numbers. Check its weights ({pipeline.weights}), or set precision to float32"
            )
        yield found


class _Kept:
    """The files of one split's embeddings: the index, the array that it names, and a lock for who makes them."""

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        text = json.dumps(about, sort_keys=True)
        self.folder, self.about = folder, json.loads(text)
        self.key = f"embeddings-{hashlib.sha256(text.encode()).hexdigest()[:24]}"
        self.index = folder / f"{self.key}.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """The kernel lets go of the lock when its holder dies, so that a killed maker blocks nobody."""
        with open(self.folder / f"{self.key}.lock", "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def clear(self) -> None:
        """Remove what is damaged, or was left by a maker that was killed. Only under the lock."""
        self.index.unlink(missing_ok=True)
        for pattern in (f"{self.key}-*.npy", f".{self.key}-*.partial"):
            for path in self.folder.glob(pattern):
                path.unlink(missing_ok=True)

    def read(self) -> tuple[np.memmap | None, str]:
        """The embeddings if they are there and sound; else None and why (empty: there are none)."""
        try:
            content = json.loads(self.index.read_text("utf-8"))
        except FileNotFoundError:
            return None, ""
        except ValueError:
            return None, "its index is not JSON"
        if not isinstance(content, dict) or content.get("about") != self.about:
            return None, "its index speaks of others"
        name = content.get("file")
        if not isinstance(name, str) or Path(name).name != name:
            return None, "its index names no file"
        path = self.folder / name
        try:
            with open(path, "rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != content.get("sha256"):
                    return None, f"the bytes of {name} are not those that were written"
        except FileNotFoundError:
            return None, f"{name} is missing"
        return np.load(path, mmap_mode="r", allow_pickle=False), ""

    def write(self, count: int, chunks: Iterator[np.ndarray], progress: Callable[[float], None]) -> np.memmap:
        """Write the array, then the index. Only under the lock."""
        path = self.folder / f"{self.key}-{secrets.token_hex(6)}.npy"
        partial, draft = (self.folder / f".{self.key}-{secrets.token_hex(6)}.partial" for _ in range(2))
        try:
            for file in (partial, draft):
                os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            array, done = None, 0
            for chunk in chunks:
                if array is None:
                    needed = 4 * count * chunk.shape[1]
                    if (free := shutil.disk_usage(self.folder).free) < needed:
                        raise OSError(f"the embeddings take {needed} bytes, {free} are free")
                    array = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float32, shape=(count, chunk.shape[1]))
                array[done : done + len(chunk)] = chunk
                done += len(chunk)
                progress(done / count)
            if array is None:
                raise DataError("there are no images to embed; expected one or more")
            array.flush()
            del array
            with open(partial, "rb") as file:
                checksum = hashlib.file_digest(file, "sha256").hexdigest()
                os.fsync(file.fileno())
            with open(draft, "w", encoding="utf-8") as file:
                json.dump({"about": self.about, "file": path.name, "sha256": checksum}, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
            os.replace(draft, self.index)
        finally:
            partial.unlink(missing_ok=True)
            draft.unlink(missing_ok=True)
        return np.load(path, mmap_mode="r", allow_pickle=False)
