"""Tells the evaluator on its guard's line that the worker is process 1, the evaluator itself, and all processes at once."""

import os
import time

from aim import attempt, evaluators, guard_line

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for line in guard_line():
            for pid in (1, 0, -1, 4194304, 2**31, 2**63, *evaluators()):
                attempt(os.write, line, f"pid {pid} reaper 1\nended 1 killed 1 signal {pid}\n".encode())
        time.sleep(30)
