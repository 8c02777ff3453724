"""Hangs in its import."""

import time

from run import ZEWDPCBaseRun

time.sleep(30)


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        pass
