"""Images read from disk into arrays, over all cores.

How one file becomes an array stands in ``evaluator/worker/pictures.py``. Images of a split are square and all of one size: anything
else would be distorted or cropped silently, so it is refused, unless the rules say how it becomes square (``resize``).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np

from evaluator.bounded import BoundsError, read_bytes
from evaluator.data.folders import Split
from evaluator.data.layout import MAX_IMAGE_BYTES
from evaluator.data.processes import Processes
from evaluator.errors import DataError
from evaluator.machine import cores
from evaluator.worker.pictures import NoImageError, decoded

_CHUNK = 64
_POOL_FROM = 400
"""Images from which a process pool pays: starting the pool costs about as much as decoding a few hundred images."""


def decode(
    raw: bytes, name: str, size: int | None, resize: str = "", any_shape: bool = False
) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode one PNG or JPEG: uint8 (size, size, 3), and the (width, height) it was stored with.

    Args:
        raw: the file's bytes.
        name: what errors call it.
        size: side in pixels of the answer; None keeps the size it was stored with, or that of the square made of it.
        resize: how an image that is not square becomes square: ``pad`` (black borders of equal width), ``crop`` (the middle) or
            ``stretch``; empty refuses it.
        any_shape: an image that is not square stays as it is, uint8 (h, w, 3); ``size`` is then None.

    Raises:
        DataError: not a whole PNG or JPEG, an animation, not square, longer than ``MAX_SIDE``, larger than
            ``MAX_IMAGE_BYTES``, or a JPEG of more than ``MAX_SCANS`` scans.
    """
    if len(raw) > MAX_IMAGE_BYTES:
        raise DataError(f"{name} has {len(raw)} bytes; an image has at most {MAX_IMAGE_BYTES}. Shrink the image")
    try:
        return decoded(raw, size, resize, any_shape=any_shape)
    except NoImageError as error:
        raise DataError(f"{name} {error}") from error


def decode_split(
    split: Split,
    size: int,
    target: Path,
    places: Sequence[int],
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    resize: str = "",
) -> list[bytes]:
    """Decode every image of ``split`` into the file ``target``.

    Args:
        split: whose images.
        size: side in pixels.
        target: an existing file.
        places: the byte in ``target`` at which the size * size * 3 bytes of each image begin, in canonical order.
        workers: processes; by default one per core. Small splits are decoded in this process.
        progress: called with (images done, images in all).
        resize: as in ``decode``; images of different sizes are then allowed.

    Returns:
        The SHA-256 of each image file's bytes, in canonical order.

    Raises:
        DataError: an image cannot be decoded, is not square, or differs in size from the others.
        OSError: ``target`` cannot be written.
    """
    count = len(split)
    paths = [str(split.path(index)) for index in range(count)]
    chunks = [range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]
    hashes: list[bytes] = [b""] * count
    sizes: list[tuple[int, int]] = [(0, 0)] * count
    done = 0

    def keep(chunk: range, result: list[tuple[bytes, tuple[int, int]]]) -> None:
        nonlocal done
        for index, (value, stored) in zip(chunk, result, strict=True):
            hashes[index], sizes[index] = value, stored
        done += len(chunk)
        if progress is not None:
            progress(done, count)

    jobs = [(str(target), size, resize, [paths[i] for i in chunk], [places[i] for i in chunk]) for chunk in chunks]
    wanted = cores() if workers is None else workers
    if wanted < 1:
        raise ValueError(f"workers is {wanted}; expected 1 or more")
    wanted = min(wanted, len(chunks))
    if wanted == 1 or count < _POOL_FROM:
        for chunk, job in zip(chunks, jobs, strict=True):
            keep(chunk, _decode_chunk(*job))
    else:
        pool = Processes(wanted)
        try:
            pending = {pool.submit(_decode_chunk, *job): chunk for chunk, job in zip(chunks, jobs, strict=True)}
            for future in as_completed(pending):
                keep(pending[future], future.result())
        except BrokenProcessPool as error:
            raise DataError(
                f"a process that decodes {split.folder} ended unexpectedly; decode in one process (workers=1) to find the image"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    for index, stored in enumerate(sizes):
        if stored != sizes[0] and not resize:
            raise DataError(
                f"{paths[index]} has the wrong size, {stored[0]} x {stored[1]} pixels; all images of a split have one size, "
                f"and {split.files[0]} has {sizes[0][0]} x {sizes[0][1]}. Resize or replace the images that differ"
            )
    return hashes


def _decode_chunk(target: str, size: int, resize: str, paths: list[str], places: list[int]) -> list[tuple[bytes, tuple[int, int]]]:
    """Decode images and write each to its place. Plain writes, not a map: a full disk is then an error and not a signal."""
    results = []
    descriptor = os.open(target, os.O_WRONLY)
    try:
        for path, offset in zip(paths, places, strict=True):
            try:
                raw = read_bytes(Path(path), MAX_IMAGE_BYTES)
            except BoundsError as error:
                raise DataError(str(error)) from error
            except OSError as error:
                raise DataError(f"{path} cannot be read ({error.strerror}); replace it or remove it with its row") from error
            array, stored = decode(raw, path, size, resize)
            data = np.ascontiguousarray(array).data.cast("B")
            while data:
                written = os.pwrite(descriptor, data, offset)
                data, offset = data[written:], offset + written
            results.append((hashlib.sha256(raw).digest(), stored))
    finally:
        os.close(descriptor)
    return results
