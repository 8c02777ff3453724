"""Takes shared memory without end, up to 3 GiB."""

import mmap
import time

from aim import loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        held = []
        for _ in range(48):
            area = mmap.mmap(-1, 64 << 20)
            area.write(b"\1" * len(area))
            held.append(area)
            time.sleep(0.02)
        loot(f"{64 * len(held)} MiB")
