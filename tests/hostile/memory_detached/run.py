"""Fills memory that no process has mapped: files in memory, up to 3 GiB."""

import os
import time

from aim import loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        held = []
        for number in range(48):
            descriptor = os.memfd_create(f"part{number}")
            os.write(descriptor, b"\1" * (64 << 20))
            held.append(descriptor)
            time.sleep(0.02)
        loot(f"{64 * len(held)} MiB")
