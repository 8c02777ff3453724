"""Buys indices beyond the pool, up to the largest of 64 bits and past it."""

import numpy as np
from aim import AIM, attempt, channel

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for index in (AIM["pool"], 2**31, 2**62, 2**63 - 1, 2**63, 2**64, 10**400):
            attempt(unlabelled_dataset.purchase_label, index)
            attempt(unlabelled_dataset.purchase_labels, [0, index])
        for number in (AIM["pool"], 2**63 - 1, -(2**63)):
            channel().request({"t": "buy"}, np.array([0, number]).tobytes())
