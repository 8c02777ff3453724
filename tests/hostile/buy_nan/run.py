"""Buys NaN, as a value and as bytes."""

import numpy as np
from aim import attempt, channel

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        attempt(unlabelled_dataset.purchase_label, float("nan"))
        attempt(unlabelled_dataset.purchase_labels, [0, float("nan")])
        channel().request({"t": "buy"}, np.full(32, np.nan).tobytes())
