"""Buys without reading the answers, so that the evaluator's own writing blocks."""

import numpy as np
from aim import frame, write

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        while True:
            write(frame({"t": "buy"}, np.zeros(64, np.int64).tobytes()) * 1_000, 30)
