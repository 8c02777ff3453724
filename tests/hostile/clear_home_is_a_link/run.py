"""Removes its home and puts a link to the organiser's folder in its place."""

import os
import shutil

from aim import AIM, HOME, attempt

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        attempt(shutil.rmtree, HOME)
        attempt(os.symlink, AIM["victim"], HOME)
