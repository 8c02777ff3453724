"""Reads the environment that the evaluator was started with, as far as it was handed on."""

import os

from aim import grep, read

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        grep(repr(dict(os.environ)).encode())
        read("/proc/self/environ")
