"""Fills the disk of its checkpoint in a folder that it has taken its own rights to, up to 768 MiB."""

import os
import time

from aim import attempt, loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        folder = os.path.expanduser("~/checkpoint/locked")
        attempt(os.makedirs, folder)
        with open(os.path.join(folder, "full"), "wb") as file:
            os.chmod(folder, 0)
            for _ in range(8):
                file.write(b"\1" * (16 << 20))
            file.flush()
            time.sleep(1.5)
            for _ in range(40):
                file.write(b"\1" * (16 << 20))
            file.flush()
            time.sleep(1)
        loot("768 MiB for a second")
