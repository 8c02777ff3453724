"""Maps a file of 3 GiB in its own folder, and writes to every page."""

import mmap
import os

from aim import loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        with open(os.path.expanduser("~/large"), "w+b") as file:
            file.truncate(3 << 30)
            area = mmap.mmap(file.fileno(), 3 << 30)
            for start in range(0, 3 << 30, 16 << 20):
                area[start : start + (16 << 20)] = b"\1" * (16 << 20)
        loot("3 GiB")
