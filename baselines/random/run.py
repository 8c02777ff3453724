"""Labels at random: the floor that every other strategy is measured against.

In a folder of its own, for a file ``random.py`` on the path of the other baselines would take the place of Python's module. It
keeps no model, so where a round scores a submission's own predictions it predicts no damage anywhere.
"""

from __future__ import annotations

import numpy as np

from run import ZEWDPCBaseRun


class Random(ZEWDPCBaseRun):
    """Every set of images of the budget's size is as likely as the other."""

    def purchase_phase(self, unlabelled_dataset, budget, seed):
        n = len(unlabelled_dataset)
        unlabelled_dataset.purchase_labels(np.random.default_rng(seed).choice(n, min(budget, n), replace=False))
