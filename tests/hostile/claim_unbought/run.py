"""Returns labels of the whole pool as bought, having bought two."""

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        unlabelled_dataset.purchase_labels([0, 1])
        return {index: [1] * 8 for index in range(len(unlabelled_dataset))}
