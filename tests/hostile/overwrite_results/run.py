"""Writes over the results of earlier cells, and adds one of its own."""

import os

from aim import AIM, attempt

from run import ZEWDPCBaseRun


def write(path):
    with open(path, "w") as file:
        file.write('{"score": 1.0}')


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        attempt(write, os.path.join(AIM["results"], "earlier.json"))
        attempt(write, os.path.join(AIM["results"], "forged.json"))
        attempt(os.rename, os.path.join(AIM["results"], "earlier.json"), os.path.join(AIM["results"], "gone.json"))
