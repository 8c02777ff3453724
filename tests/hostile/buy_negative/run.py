"""Buys negative indices, by the market and past it."""

import numpy as np
from aim import AIM, attempt, channel, labels

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        known = {}
        for index in range(-AIM["pool"], 0):
            label = attempt(unlabelled_dataset.purchase_label, index)
            if label is not None:
                known[index + AIM["pool"]] = label
            answer, blob = channel().request({"t": "buy"}, np.array([index]).tobytes())
            if answer["t"] == "sold":
                known[index + AIM["pool"]] = np.frombuffer(blob, np.uint8)
        labels(known)
