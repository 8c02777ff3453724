"""Prints without end, up to 10 GB or a second."""

import os
import time

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        block, end = b"x" * (1 << 20), time.monotonic() + 1
        for number in range(10_000):
            os.write(1 + number % 2, block)
            if time.monotonic() > end:
                break
