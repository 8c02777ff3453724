"""Reads large files again and again, so that the page cache grows; that is no offence, and must not be punished as one."""

import os
import sys
import time

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        total, end = 0, time.monotonic() + 1
        for place, _, files in os.walk(sys.prefix):
            for name in files:
                if time.monotonic() > end or total > 1 << 30:
                    return
                try:
                    with open(os.path.join(place, name), "rb") as file:
                        total += len(file.read(64 << 20))
                except OSError:
                    continue
