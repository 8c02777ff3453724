"""In the style of 2022: the base class itself was edited, with a helper module beside it."""

import numpy as np
from evaluator.exceptions import OutOfBudgetException
from helper import first


class ZEWDPCBaseRun:
    def __init__(self):
        self.evaluation_state = None

    def pre_training_phase(self, training_dataset, register_progress=lambda x: False):
        self.rates = np.mean([sample["label"] for sample in training_dataset], axis=0)
        register_progress(1.0)

    def purchase_phase(self, unlabelled_dataset, training_dataset, purchase_budget=1000, register_progress=lambda x: False):
        purchased = {}
        for index in first(len(unlabelled_dataset)):
            try:
                purchased[index] = unlabelled_dataset.purchase_label(index)
            except OutOfBudgetException:
                break
        return purchased

    def prediction_phase(self, test_dataset, register_progress=lambda x: False):
        return [[int(rate > 0.5) for rate in self.rates] for _ in range(len(test_dataset))]

    def save_checkpoint(self, checkpoint_folder):
        np.save(checkpoint_folder + "/rates.npy", self.rates)

    def load_checkpoint(self, checkpoint_folder):
        self.rates = np.load(checkpoint_folder + "/rates.npy")
