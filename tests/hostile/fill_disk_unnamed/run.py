"""Fills the disk of its checkpoint with a file that has no name any more, up to 768 MiB."""

import os
import time

from aim import attempt, loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        folder = os.path.expanduser("~/checkpoint")
        attempt(os.mkdir, folder)
        with open(os.path.join(folder, "gone"), "wb") as file:
            os.unlink(file.name)
            for _ in range(8):
                file.write(b"\1" * (16 << 20))
            file.flush()
            time.sleep(1.5)
            for _ in range(40):
                file.write(b"\1" * (16 << 20))
            file.flush()
            time.sleep(1)
        loot("768 MiB for a second")
