"""Opens the files it was given again, to write: through /proc, by shared mappings, by cutting and by punching holes."""

import ctypes
import mmap
import os

from aim import LIBC, attempt, given, loot

from run import ZEWDPCBaseRun

PUNCH = 3


def spoil(file):
    if os.pwrite(file, b"spoilt", 100):
        loot("a given file was written")


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for number in given():
            attempt(spoil, number)
            for flags in (os.O_RDWR, os.O_WRONLY | os.O_APPEND, os.O_WRONLY | os.O_TRUNC, os.O_RDWR | os.O_DIRECT):
                again = attempt(os.open, f"/proc/self/fd/{number}", flags)
                if again is not None:
                    attempt(spoil, again)
            for file in (number, *([again] if again is not None else [])):
                attempt(os.ftruncate, file, 10)
                LIBC.fallocate(file, PUNCH, ctypes.c_long(0), ctypes.c_long(4096))
                area = attempt(mmap.mmap, file, 4096, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE)
                if area is not None:
                    area[:6] = b"spoilt"
                    loot("a given file is mapped to be written")
