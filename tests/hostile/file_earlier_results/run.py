"""Reads the ledgers in the results of earlier cells."""

import glob
import os

from aim import AIM, read

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for path in glob.glob(os.path.join(AIM["results"], "**"), recursive=True):
            if os.path.isfile(path):
                read(path)
        read(os.path.join(AIM["results"], "earlier.json"))
