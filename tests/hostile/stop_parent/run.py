"""Stops its parent with SIGSTOP, and sleeps past the limit."""

import os
import signal
import time

from aim import attempt

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        attempt(os.kill, os.getppid(), signal.SIGSTOP)
        time.sleep(30)
