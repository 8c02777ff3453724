"""Buys the same index many times in one batch, next to more new ones than the budget has."""

import numpy as np
from aim import attempt, channel, labels

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        known = {}
        for batch in ([7] * 64, [7, 7, 7, 8, 8], [8] * 30 + list(range(20, 50)), [7, 9, 7, 9, 10, 11, 12]):
            answer, blob = channel().request({"t": "buy"}, np.array(batch).tobytes())
            if answer["t"] == "sold":
                known |= dict(zip(batch, np.frombuffer(blob, np.uint8).reshape(len(batch), -1), strict=True))
            attempt(unlabelled_dataset.purchase_labels, batch)
        labels(known)
