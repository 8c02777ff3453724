"""Images read from disk into arrays, over all cores.

How a file becomes an array: the first frame, turned upright by its EXIF orientation, as 8-bit RGB (grayscale is repeated over the
channels, palettes are looked up, 16-bit values keep their high byte, an alpha channel is dropped and the stored colours kept),
resized by Pillow's bicubic filter, whose support widens when it shrinks, so that nothing aliases. Images of a split are square and
all of one size: anything else would be distorted or cropped silently, so it is refused, unless the rules say how it becomes square
(``resize``).
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from evaluator.bounded import BoundsError, read_bytes
from evaluator.data.folders import Split
from evaluator.data.layout import MAX_IMAGE_BYTES, MAX_SIDE
from evaluator.data.processes import Processes
from evaluator.errors import DataError
from evaluator.machine import cores

MAX_SCANS = 100
"""Most scans of a JPEG. libjpeg writes 10 at most, other encoders up to twenty; every scan of a progressive JPEG costs a walk over
the whole image, and 700 kB have room for ten thousand. The scans are counted in the bytes, before anything is decoded."""
MAX_WORK = 2**31
"""Most pixels times scans of a JPEG: 32 scans of the largest image."""

_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_CHUNK = 64
_POOL_FROM = 400
"""Images from which a process pool pays: starting the pool costs about as much as decoding a few hundred images."""
_PNG_END = b"IEND\xaeB`\x82"


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
        DataError: not a whole PNG or JPEG, an animation, not square, longer than :data:`MAX_SIDE`, larger than
            ``MAX_IMAGE_BYTES``, or a JPEG of more than :data:`MAX_SCANS` scans.
    """
    if len(raw) > MAX_IMAGE_BYTES:
        raise DataError(f"{name} has {len(raw)} bytes; an image has at most {MAX_IMAGE_BYTES}. Shrink the image")
    if not raw:
        raise DataError(f"{name} has 0 bytes; expected a PNG or JPEG. Copy it again, or remove it with its row")
    try:
        with warnings.catch_warnings():
            # Pillow warns of large images and of odd metadata; the limit below decides, and it does not warn.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(raw), formats=("PNG", "JPEG")) as image:
                width, height = image.size
                if max(width, height) > MAX_SIDE:
                    raise DataError(
                        f"{name} has {width} x {height} pixels; the longest side allowed is {MAX_SIDE}. Shrink the image"
                    )
                if width != height and not resize and not any_shape:
                    raise DataError(
                        f"{name} has the wrong size, {width} x {height} pixels; expected a square image. Crop or pad it, or let "
                        'the rules do it: resize = "pad", "crop" or "stretch" in a file for --round or --profile'
                    )
                scans = _scans(raw) if image.format != "PNG" else 1
                if scans > MAX_SCANS or scans * width * height > MAX_WORK:
                    raise DataError(
                        f"{name} is a JPEG of {scans} scans, which would take minutes to decode; expected at most {MAX_SCANS}. "
                        "Save it again"
                    )
                frames = getattr(image, "n_frames", 1)
                if image.format == "PNG" and frames > 1:
                    raise DataError(f"{name} is an animation of {frames} frames; expected one image. Save its first frame")
                if image.format == "PNG" and _PNG_END not in raw:
                    raise DataError(
                        f"{name} is cut short (no end mark after {len(raw)} bytes). Copy it again, or remove it with its row"
                    )
                if ImageFile.LOAD_TRUNCATED_IMAGES:
                    raise DataError("Pillow is set to accept cut images (LOAD_TRUNCATED_IMAGES); leave that setting alone")
                upright = _rgb(ImageOps.exif_transpose(image))
                upright = upright if any_shape else _square(upright, resize)
                if size is not None and upright.size != (size, size):
                    upright = upright.resize((size, size), Image.Resampling.BICUBIC)
                return np.asarray(upright, np.uint8), (width, height)
    except DataError:
        raise
    except Exception as error:
        # Broken images make Pillow raise almost anything (OSError, SyntaxError, ValueError, struct.error, zlib.error, ...).
        unknown = isinstance(error, UnidentifiedImageError)
        reason = f"its first bytes are {raw[:8]!r}" if unknown else f"{type(error).__name__}: {str(error)[:120]}"
        raise DataError(
            f"{name} is no image that can be decoded ({reason}); expected a PNG or JPEG. Copy it again, or remove it with its row"
        ) from error


def _scans(raw: bytes) -> int:
    """The number of scans of a JPEG, counted in its markers from segment to segment; ends early above ``MAX_SCANS``.

    What lies in a segment (a preview of the camera) or behind the end of the image (a film) is no scan.
    """
    place, found = 0, 0
    while found <= MAX_SCANS and (marker := _MARKER.search(raw, place)):
        kind, place = marker[1], marker.end()
        if kind == b"\xd9":
            break
        if kind not in (b"\xd8", b"\x01"):  # all others have a length
            found += kind == b"\xda"
            place += max(2, int.from_bytes(raw[place : place + 2], "big"))
    return found


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # 16-bit grayscale; Pillow's own conversion would clip it at 255. The high byte is what it keeps of 16-bit colour.
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    return image if image.mode == "RGB" else image.convert("RGB")


def _square(image: Image.Image, resize: str) -> Image.Image:
    if image.width == image.height:
        return image
    side = min(image.size) if resize == "crop" else max(image.size)
    if resize == "stretch":
        return image.resize((side, side), Image.Resampling.BICUBIC)
    square = Image.new("RGB", (side, side))  # black
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


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
