"""Buys indices that are floats, whole and broken, as values and as bytes."""

import numpy as np
from aim import attempt, channel, labels

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for value in (0.0, 1.5, np.float64(3), float("inf")):
            attempt(unlabelled_dataset.purchase_label, value)
        rows = attempt(unlabelled_dataset.purchase_labels, np.arange(64.0))
        if rows is not None:
            labels(dict(enumerate(rows)))
        channel().request({"t": "buy"}, np.arange(1.0, 64.0).tobytes())
