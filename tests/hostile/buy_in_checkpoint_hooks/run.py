"""Buys in its checkpoint hooks, before and after the purchase phase, by the market and past it."""

import os

import numpy as np
from aim import channel, loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        unlabelled_dataset.purchase_labels(range(2))

    def save_checkpoint(self, path):
        self.buy("save_checkpoint")
        open(os.path.join(path, "saved"), "w").close()

    def load_checkpoint(self, path):
        self.buy("load_checkpoint")

    def buy(self, where):
        for index in (0, 5):
            answer, _ = channel().request({"t": "buy"}, np.array([index]).tobytes())
            if answer["t"] == "sold":
                loot(f"a label in {where}")
