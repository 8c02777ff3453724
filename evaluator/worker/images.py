"""The image cache as the worker sees it: files that every process maps and none can change.

Arrays are marked as read-only, and NumPy refuses to write to them. Libraries that ignore the mark (a tensor that shares the memory)
write to a private copy of the page, by the kernel's copy-on-write: no signal ends the process, and nobody else sees it.
"""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path
from typing import BinaryIO

import numpy as np

MAP_NORESERVE = 0x4000
"""Of Linux; Python names it from 3.13 on."""


def opened(path: str | Path) -> BinaryIO:
    """Open a file to read from its start. A file that came by descriptor is not opened again: this user might not be allowed to."""
    folder, _, name = str(path).rpartition("/")
    if folder == f"/proc/{os.getpid()}/fd" and name.isdigit():
        file = os.fdopen(os.dup(int(name)), "rb")
        file.seek(0)
        return file
    return open(path, "rb")


def map_images(path: str | Path) -> np.ndarray:
    """Map a ``.npy`` file of images without reading it.

    Returns:
        Read-only uint8 array (n, H, W, 3); pages are loaded when they are touched.

    Raises:
        ValueError: the file is not a C-ordered uint8 array of that shape, or is shorter than it says.
    """
    with opened(path) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        offset = file.tell()
        if fortran or dtype != np.uint8 or len(shape) != 4 or shape[3] != 3:
            raise ValueError(f"{path} holds {dtype} {shape}; a C-ordered uint8 array (n, H, W, 3) was expected")
        size = int(np.prod(shape))
        if os.fstat(file.fileno()).st_size < offset + size:
            raise ValueError(f"{path} is shorter than its header says")
        if size == 0:
            return np.zeros(shape, np.uint8)
        mapped = _private(file.fileno(), offset + size)
    images = np.frombuffer(mapped, np.uint8, count=size, offset=offset).reshape(shape)
    images.setflags(write=False)
    return images


def map_bytes(path: str | Path) -> np.ndarray:
    """Map a file of plain bytes without reading it: read-only uint8 (n,)."""
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        found = np.frombuffer(_private(file.fileno(), size), np.uint8, count=size) if size else np.zeros(0, np.uint8)
    found.setflags(write=False)
    return found


def _private(descriptor: int, size: int) -> mmap.mmap:
    """Map a file so that what this process writes is its own. No memory is set aside for it: hardly anything is ever written."""
    flags = getattr(mmap, "MAP_PRIVATE", 2) | (MAP_NORESERVE if sys.platform.startswith("linux") else 0)
    try:
        return mmap.mmap(descriptor, size, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    except OSError:  # a machine that promises no more memory than it has
        return mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)


def map_embeddings(path: str | Path) -> np.ndarray:
    """Map a ``.npy`` file of embeddings without reading it: read-only float32 (n, d), in the order of the cache's rows.

    As with images, what ignores the mark (a tensor that is changed in place) changes a private copy.

    Raises:
        ValueError: the file is no C-ordered float32 table.
    """
    with opened(path) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        place = file.tell()
        try:
            mapped = np.memmap(file, dtype, "c", place, shape, "F" if fortran else "C")
        except OSError:  # a machine that promises no more memory than it has
            mapped = np.memmap(file, dtype, "r", place, shape, "F" if fortran else "C")
        mapped.flags.writeable = False
    if mapped.dtype != np.float32 or mapped.ndim != 2 or not mapped.flags.c_contiguous:
        raise ValueError(f"{path} holds {mapped.dtype} {mapped.shape}; a C-ordered float32 array (n, d) was expected")
    return mapped


def map_rows(path: str | Path) -> np.ndarray:
    """Map the file that says which row of the cache every image of a pool is, without reading it.

    Returns:
        Read-only uint32 array (n,); pages are loaded when they are touched.

    Raises:
        ValueError: the file is no whole number of rows.
    """
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size % 4:
            raise ValueError(f"{path} has {size} bytes; rows of 4 bytes each were expected")
        if size == 0:
            return np.zeros(0, np.uint32)
        mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    return np.frombuffer(mapped, np.uint32)
