"""Hides what it writes in folders that lie deeper than any path can name, up to 1 GiB."""

import os
import time

from aim import attempt, loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        attempt(os.mkdir, os.path.expanduser("~/checkpoint"))
        os.chdir(os.path.expanduser("~/checkpoint"))
        for _ in range(40):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        with open("full", "wb") as file:
            for _ in range(8):
                file.write(b"\1" * (16 << 20))
        time.sleep(1.5)
        with open("more", "wb") as file:
            for _ in range(40):
                file.write(b"\1" * (16 << 20))
        time.sleep(1)
        loot("768 MiB for a second")
