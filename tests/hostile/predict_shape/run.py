"""Returns predictions of the wrong shape."""

import numpy as np

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        pass

    def prediction_phase(self, test_dataset):
        return np.zeros((3, 1, 4, 1, 5, 9, 2, 6, 5, 1))
