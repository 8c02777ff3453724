"""Returns predictions that are NaN and infinite."""

import numpy as np

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        pass

    def prediction_phase(self, test_dataset):
        values = np.zeros((len(test_dataset), len(test_dataset.classes)))
        values[3, 3], values[5, 5] = np.nan, np.inf
        return values
