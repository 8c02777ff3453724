"""Buys a list of ten million indices, by the market and, as long as a frame may be, past it."""

import numpy as np
from aim import attempt, frame, write

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        attempt(unlabelled_dataset.purchase_labels, np.zeros(10_000_000, np.int64))
        attempt(unlabelled_dataset.purchase_labels, [0] * 1_000_000)
        write(frame({"t": "buy"}, np.zeros(8_000_000, np.int64).tobytes()), 3)
