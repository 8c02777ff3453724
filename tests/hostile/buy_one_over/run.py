"""Buys one label more than the budget in one batch, and then as often as it likes."""

from aim import AIM, attempt, labels

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        unlabelled_dataset._market.remaining = 1000
        unlabelled_dataset._market.budget = 1000
        rows = attempt(unlabelled_dataset.purchase_labels, range(AIM["budget"] + 1))
        known = dict(enumerate(() if rows is None else rows))
        for index in range(AIM["pool"]):
            label = attempt(unlabelled_dataset.purchase_label, index)
            if label is not None:
                known[index] = label
        labels(known)
