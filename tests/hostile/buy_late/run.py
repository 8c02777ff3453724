"""Buys in the prediction phase, past the market that is closed."""

import numpy as np
from aim import attempt, channel, loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        self.pool = unlabelled_dataset

    def prediction_phase(self, test_dataset):
        if attempt(self.pool.purchase_label, 0) is not None:
            loot("a label of the closed market")
        answer, _ = channel().request({"t": "buy"}, np.arange(3).tobytes())
        if answer["t"] == "sold":
            loot("labels after the purchase phase")
        return np.zeros((len(test_dataset), len(test_dataset.classes)))
