"""One PNG or JPEG as an array: the kit's one way to decode an image, for both sides of the wall.

How a file becomes an array: the first frame, turned upright by its EXIF orientation, as 8-bit RGB (grayscale is repeated over the
channels, palettes are looked up, 16-bit values keep their high byte, an alpha channel is dropped and the stored colours kept),
resized by Pillow's bicubic filter, whose support widens when it shrinks, so that nothing aliases.
"""

from __future__ import annotations

import io
import re
import warnings
from typing import Any

import numpy as np

MAX_SIDE = 8192
"""Images with a longer side are refused before they are decoded."""
MAX_SCANS = 100
"""Most scans of a JPEG. libjpeg writes 10 at most, other encoders up to twenty; every scan of a progressive JPEG costs a walk over
the whole image, and 700 kB have room for ten thousand. The scans are counted in the bytes, before anything is decoded."""
MAX_WORK = 2**31
"""Most pixels times scans of a JPEG: 32 scans of the largest image."""

_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_PNG_END = b"IEND\xaeB`\x82"


class NoImageError(Exception):
    """The bytes are no image that is taken. The message follows the file's name: ``is cut short (...)``."""


def decoded(
    raw: bytes, size: int | None = None, resize: str = "", *, any_shape: bool = False, most_side: int = MAX_SIDE
) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode one PNG or JPEG: uint8 (size, size, 3), and the (width, height) it was stored with.

    Args:
        raw: the file's bytes.
        size: side in pixels of the answer; None keeps the size it was stored with, or that of the square made of it.
        resize: how an image that is not square becomes square: ``pad`` (black borders of equal width), ``crop`` (the middle) or
            ``stretch``; empty refuses it.
        any_shape: an image that is not square stays as it is, uint8 (h, w, 3); ``size`` is then None.
        most_side: longest side in pixels.

    Raises:
        NoImageError: not a whole PNG or JPEG, an animation, not square, a side longer than ``most_side``, or a JPEG of more than
            ``MAX_SCANS`` scans.
    """
    from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

    if not raw:
        raise NoImageError("has 0 bytes; expected a PNG or JPEG. Copy it again, or remove it with its row")
    try:
        with warnings.catch_warnings():
            # Pillow warns of large images and of odd metadata; the limit below decides, and it does not warn.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(raw), formats=("PNG", "JPEG")) as image:
                width, height = image.size
                if max(width, height) > most_side:
                    raise NoImageError(f"has {width} x {height} pixels; the longest side allowed is {most_side}. Shrink the image")
                if width != height and not resize and not any_shape:
                    raise NoImageError(
                        f"has the wrong size, {width} x {height} pixels; expected a square image. Crop or pad it, or let "
                        'the rules do it: resize = "pad", "crop" or "stretch" in a file for --round or --profile'
                    )
                rounds = scans(raw) if image.format != "PNG" else 1
                if rounds > MAX_SCANS or rounds * width * height > MAX_WORK:
                    raise NoImageError(
                        f"is a JPEG of {rounds} scans, which would take minutes to decode; expected at most {MAX_SCANS}. "
                        "Save it again"
                    )
                frames = getattr(image, "n_frames", 1)
                if image.format == "PNG" and frames > 1:
                    raise NoImageError(f"is an animation of {frames} frames; expected one image. Save its first frame")
                if image.format == "PNG" and _PNG_END not in raw:
                    raise NoImageError(
                        f"is cut short (no end mark after {len(raw)} bytes). Copy it again, or remove it with its row"
                    )
                if ImageFile.LOAD_TRUNCATED_IMAGES:
                    raise NoImageError("meets a Pillow that accepts cut images (LOAD_TRUNCATED_IMAGES); leave that setting alone")
                upright = _rgb(ImageOps.exif_transpose(image))
                upright = upright if any_shape else _square(upright, resize)
                if size is not None and upright.size != (size, size):
                    upright = upright.resize((size, size), Image.Resampling.BICUBIC)
                return np.asarray(upright, np.uint8), (width, height)
    except NoImageError:
        raise
    except Image.DecompressionBombError as error:
        many = re.search(r"\d+", str(error))  # Pillow refuses before it tells width and height
        seen = f"{many[0]} pixels" if many else "far too many pixels"
        raise NoImageError(f"has {seen}; the longest side allowed is {most_side}. Shrink the image") from None
    except Exception as error:
        # Broken images make Pillow raise almost anything (OSError, SyntaxError, ValueError, struct.error, zlib.error, ...).
        unknown = isinstance(error, UnidentifiedImageError)
        reason = f"its first bytes are {raw[:8]!r}" if unknown else f"{type(error).__name__}: {str(error)[:120]}"
        raise NoImageError(
            f"is no image that can be decoded ({reason}); expected a PNG or JPEG. Copy it again, or remove it with its row"
        ) from error


def scans(raw: bytes) -> int:
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


def without_colour(pixels: np.ndarray) -> np.ndarray:
    """The image as (h, w) if its three channels are equal, else as it is: uint8 (h, w) or (h, w, 3)."""
    if pixels.ndim == 3 and (pixels[..., :1] == pixels).all():
        return np.ascontiguousarray(pixels[..., 0])
    return pixels


def _rgb(image: Any) -> Any:
    from PIL import Image

    if image.mode.startswith("I"):
        # 16-bit grayscale; Pillow's own conversion would clip it at 255. The high byte is what it keeps of 16-bit colour.
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    return image if image.mode == "RGB" else image.convert("RGB")


def _square(image: Any, resize: str) -> Any:
    from PIL import Image

    if image.width == image.height:
        return image
    side = min(image.size) if resize == "crop" else max(image.size)
    if resize == "stretch":
        return image.resize((side, side), Image.Resampling.BICUBIC)
    square = Image.new("RGB", (side, side))  # black
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square
