"""Removes its home and puts a file in its place, or a pipe in the place of the checkpoint folder."""

import os
import shutil

from aim import AIM, HOME, attempt

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        if "carry" in AIM:
            attempt(shutil.rmtree, HOME)
            attempt(os.open, HOME, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0)
        else:
            attempt(shutil.rmtree, f"{HOME}/checkpoint")
            attempt(os.mkfifo, f"{HOME}/checkpoint")

    def save_checkpoint(self, path):
        pass

    def load_checkpoint(self, path):
        pass
