"""Looks for the images of the prediction phase while it still may buy: among its descriptors, mappings and objects."""

import gc
import os

import numpy as np
from aim import AIM, attempt, given, loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def pre_training_phase(self, training_dataset):
        self.look("pre-training")

    def purchase_phase(self, unlabelled_dataset):
        self.look("purchase")

    def save_checkpoint(self, path):
        self.look("a checkpoint hook")

    def look(self, where):
        late = bytes([AIM["late_pixel"]]) * 64
        for number in given():
            if late in (attempt(os.pread, number, 4096, 0) or b""):
                loot(f"the images of the last phase in {where}, descriptor {number}")
        for array in [found for found in gc.get_objects() if isinstance(found, np.ndarray)]:
            if array.ndim == 4 and array.size and array.flat[0] == AIM["late_pixel"]:
                loot(f"the images of the last phase in {where}, as an array")
        with open("/proc/self/maps") as file:
            if any("prediction.npy" in line for line in file):
                loot(f"the images of the last phase are mapped in {where}")
