"""Leaves with os._exit(0) in the middle of its purchases, so that all seems well."""

import os

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        unlabelled_dataset.purchase_labels([0, 1])
        os._exit(0)
