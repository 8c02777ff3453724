"""Buys a random set of labels in one batch."""

import numpy as np

from run import ZEWDPCBaseRun


class RandomBuyer(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset, budget, seed):
        chosen = np.random.default_rng(seed).permutation(len(unlabelled_dataset))[:budget]
        labels = unlabelled_dataset.purchase_labels(chosen)
        return dict(zip(chosen.tolist(), labels, strict=True))
