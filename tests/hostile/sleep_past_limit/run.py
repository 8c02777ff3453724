"""Sleeps past the limit."""

import time

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        unlabelled_dataset.purchase_labels([0, 1])
        time.sleep(30)
