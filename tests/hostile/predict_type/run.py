"""Returns predictions that are texts."""

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        pass

    def prediction_phase(self, test_dataset):
        return [["yes"] * len(test_dataset.classes)] * len(test_dataset)
