"""Fills its own folder and its checkpoint, up to 2 GiB."""

import os

from aim import attempt, loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        total = 0

        def fill(path):
            nonlocal total
            with open(path, "wb") as file:
                for _ in range(64):
                    file.write(b"\1" * (16 << 20))
                    total += 16

        home = os.path.expanduser("~")
        attempt(os.mkdir, os.path.join(home, "checkpoint"))
        for path in (os.path.join(home, "full"), os.path.join(home, "checkpoint", "full")):
            attempt(fill, path)
        if total >= 1500:
            loot(f"{total} MiB")
