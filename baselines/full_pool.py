"""The whole pool, where the budget allows: the ceiling, for reference only.

Under the budget of a pair it buys what it can pay for, in order of position, which is an order drawn at random. It keeps no
model, so where a round scores a submission's own predictions it predicts no damage anywhere.
"""

from __future__ import annotations

from run import ZEWDPCBaseRun


class FullPool(ZEWDPCBaseRun):
    """Everything that can be bought."""

    def purchase_phase(self, unlabelled_dataset, budget):
        unlabelled_dataset.purchase_labels(range(min(budget, len(unlabelled_dataset))))
