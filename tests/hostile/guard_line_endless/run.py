"""Writes a line without end, and bytes that are no text, on its guard's line to the evaluator."""

import os
import time

from aim import attempt, guard_line

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        end = time.monotonic() + 0.7
        for line in guard_line():
            os.set_blocking(line, False)
            attempt(os.write, line, b"\0\xff\x1b[2J\n" * 200)
            while time.monotonic() < end and attempt(os.write, line, b"ended " * 10_000):
                continue
        time.sleep(30)
