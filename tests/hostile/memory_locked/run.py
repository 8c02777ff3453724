"""Takes huge pages, and locks its memory so that it cannot be taken away, up to 1,400 MiB."""

import mmap
import time

from aim import LIBC, MIB, loot

from run import ZEWDPCBaseRun

HUGE, POPULATE, LOCKED = 0x40000, 0x8000, 0x2000


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        LIBC.mlockall(7)
        held = []
        for _ in range(28):
            for kind in (HUGE | POPULATE, LOCKED | POPULATE, POPULATE):
                try:
                    held.append(mmap.mmap(-1, 50 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | kind))
                    break
                except OSError:
                    continue
            held[-1].madvise(14)  # MADV_HUGEPAGE
            for at in range(0, 50 * MIB, 4096):
                held[-1][at] = 1
            time.sleep(0.05)
        time.sleep(1.2)
        loot(f"{50 * len(held)} MiB")
