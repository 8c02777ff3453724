"""Computes in a thread that lives on after its phase, and counts what it could do before the next phase began."""

import threading
import time

import numpy as np
from aim import loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        self.beats = []
        threading.Thread(target=self.work, daemon=True).start()
        unlabelled_dataset.purchase_labels(range(3))
        self.ended = time.monotonic()
        return {"idx": "a" * 100_000}

    def work(self):
        while True:
            self.beats.append(time.monotonic())
            time.sleep(0.001)

    def prediction_phase(self, test_dataset):
        between = [beat for beat in self.beats if self.ended < beat < time.monotonic()]
        if len(between) > 1 and between[-1] - between[0] > 1:
            loot(f"{between[-1] - between[0]:.1f} s between two phases")
        return np.zeros((len(test_dataset), len(test_dataset.classes)))
