"""Returns predictions for 50 million images, which take no memory until somebody copies them."""

import numpy as np

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        pass

    def prediction_phase(self, test_dataset):
        return np.broadcast_to(np.float64(0.5), (50_000_000, 8))
