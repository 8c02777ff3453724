"""Puts a link to the results in the place of its checkpoint folder, and lets the evaluator go on with it."""

import os
import shutil

from aim import AIM, attempt

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def pre_training_phase(self, training_dataset):
        path = os.path.expanduser("~/checkpoint")
        attempt(shutil.rmtree, path)
        attempt(os.symlink, AIM["results"], path)

    def purchase_phase(self, unlabelled_dataset):
        attempt(shutil.rmtree, os.path.expanduser("~/checkpoint"))

    def save_checkpoint(self, path):
        pass

    def load_checkpoint(self, path):
        pass
