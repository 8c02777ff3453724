"""Buys in the pre-training phase, past the market."""

import numpy as np
from aim import channel, loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def pre_training_phase(self, training_dataset):
        answer, _ = channel().request({"t": "buy"}, np.arange(3).tobytes())
        if answer["t"] == "sold":
            loot("labels before the purchase phase")

    def purchase_phase(self, unlabelled_dataset):
        pass
