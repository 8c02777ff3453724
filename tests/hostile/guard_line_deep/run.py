"""Writes JSON nested 2,000 deep and numbers of 4,000 digits on its guard's line to the evaluator, then leaves a daemon."""

import os
import time

from aim import attempt, daemon, guard_line

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        daemon(time.sleep, 12)
        for line in guard_line():
            for text in (
                b"[" * 2000,
                b'{"pid": ' + b"9" * 4300 + b"}",
                b"pid " + b"9" * 4000,
                b"ended 1 code 99999999999999999999",
            ):
                attempt(os.write, line, text + b"\n")
        os._exit(0)
