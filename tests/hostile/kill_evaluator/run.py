"""Kills the evaluator."""

import os
import signal
import time

from aim import AIM, attempt

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        attempt(os.kill, AIM["evaluator"], signal.SIGKILL)
        time.sleep(0.2)
