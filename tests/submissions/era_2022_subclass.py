"""In the style of 2022: label by label, the old argument names, the old exception with its slip of the pen, a dict back."""

import numpy as np
from evaluator.dataset import ZEWDPCBaseDataset, ZEWDPCProtectedDataset
from evaluator.exceptions import OutOfBudetException

from run import ZEWDPCBaseRun


class ZEWDPCRun(ZEWDPCBaseRun):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.seen = 0

    def pre_training_phase(self, training_dataset: ZEWDPCBaseDataset, compute_budget=10**10, register_progress=lambda x: False):
        print("pre-training with", compute_budget, "seconds")
        for sample in training_dataset:
            assert sample["image"].shape == (8, 8, 3)
            assert set(np.unique(sample["label"])) <= {0, 1}
            self.seen += 1
            register_progress(self.seen / len(training_dataset))

    def purchase_phase(
        self,
        unlabelled_dataset: ZEWDPCProtectedDataset,
        training_dataset: ZEWDPCBaseDataset,
        purchase_budget=1000,
        compute_budget=10**10,
        register_progress=lambda x: False,
    ):
        purchased = {}
        for sample in unlabelled_dataset:
            idx = sample["idx"]
            try:
                purchased[idx] = unlabelled_dataset.purchase_label(idx)
            except OutOfBudetException:
                break
            register_progress(len(purchased) / purchase_budget)
        assert len(purchased) == purchase_budget
        return purchased

    def prediction_phase(self, test_dataset: ZEWDPCBaseDataset, register_progress=lambda x: False):
        predictions = []
        for _ in test_dataset:
            predictions.append(np.random.randint(2, size=6))
        return np.array(predictions)

    def save_checkpoint(self, path):
        with open(path, "w") as file:
            file.write(str(self.seen))

    def load_checkpoint(self, path):
        with open(path) as file:
            self.seen = int(file.read())
