"""Crashes the interpreter."""

import ctypes

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        ctypes.string_at(0)
