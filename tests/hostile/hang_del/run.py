"""Hangs in __del__, of an object that it returns and of one that lives as long as its module."""

import time

from run import ZEWDPCBaseRun


class Sticky(list):
    def __del__(self):
        time.sleep(30)


KEPT = Sticky()


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        return Sticky()
