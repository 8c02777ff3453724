"""Reads /proc/<evaluator>/environ and the command lines of all processes."""

import os

from aim import evaluators, read

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for pid in evaluators():
            read(f"/proc/{pid}/environ")
        for name in filter(str.isdigit, os.listdir("/proc")):
            read(f"/proc/{name}/cmdline")
