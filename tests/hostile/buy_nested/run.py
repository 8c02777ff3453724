"""Buys lists of lists, arrays of two dimensions, and a list that holds itself."""

import numpy as np
from aim import attempt

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        endless = []
        endless.append(endless)
        for value in ([[0, 1], [2, 3]], np.arange(64).reshape(8, 8), endless, [[[[0]]]], [range(64)]):
            attempt(unlabelled_dataset.purchase_labels, value)
