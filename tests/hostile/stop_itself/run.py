"""Stops itself and all its processes with SIGSTOP shortly before the end of its clock."""

import os
import signal
import time

from aim import AIM, children_do

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        children_do(lambda number: os.kill(os.getpid(), signal.SIGSTOP), 5)
        time.sleep(AIM["seconds"] - 0.1)
        os.kill(0, signal.SIGSTOP)
        time.sleep(30)
