"""Buys True and False, alone and as a mask over the pool."""

import numpy as np
from aim import AIM, attempt, channel, labels

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        mask = np.ones(AIM["pool"], bool)
        for value in (mask, mask.tolist(), [True, False]):
            rows = attempt(unlabelled_dataset.purchase_labels, value)
            if rows is not None:
                labels(dict(enumerate(rows)))
        attempt(unlabelled_dataset.purchase_label, True)
        # 64 bytes of a mask are eight integers that belong to no image.
        channel().request({"t": "buy"}, mask.tobytes())
