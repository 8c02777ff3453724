"""Buys while a restarted worker imports it, before the clock runs again."""

import os

import numpy as np
from aim import channel, loot

from run import ZEWDPCBaseRun

answer, _ = channel().request({"t": "buy"}, np.arange(2).tobytes())
if answer["t"] == "sold":
    loot("labels at import")


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        pass

    def save_checkpoint(self, path):
        open(os.path.join(path, "saved"), "w").close()

    def load_checkpoint(self, path):
        pass
