"""PNG files whose bytes depend on the pixels alone.

What a library compresses differs between versions of zlib, zlib-ng and Pillow. A data set is known by the bytes of its files, so
images are written without compression. Sensor noise hardly compresses: files are half as large again as at the fastest level.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

_BLOCK = 65_535  # most bytes of a stored block (RFC 1951, 3.2.4)


def stored_png(image: np.ndarray) -> bytes:
    """The PNG file of an image, uint8 (h, w, 3) RGB or (h, w) gray, with rows as they are, in stored blocks."""
    height, width = image.shape[:2]
    colours = 3 if image.ndim == 3 else 1
    rows = np.zeros((height, 1 + colours * width), np.uint8)  # every row begins with its filter; 0: none
    rows[:, 1:] = image.reshape(height, -1)
    raw = rows.tobytes()
    blocks = [raw[start : start + _BLOCK] for start in range(0, len(raw), _BLOCK)]
    stored = b"".join(
        struct.pack("<BHH", number == len(blocks), len(block), len(block) ^ 0xFFFF) + block
        for number, block in enumerate(blocks, 1)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if colours == 3 else 0, 0, 0, 0)  # 8 bits, RGB or gray, not interlaced
    content = b"\x78\x01" + stored + struct.pack(">I", zlib.adler32(raw))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", content) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
