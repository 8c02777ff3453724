"""Kills its parent, having cut the wire that would take it along, and leaves a daemon."""

import ctypes
import os
import signal
import time

from aim import attempt

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        parent = os.getppid()
        ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            time.sleep(10)
            os._exit(0)
        attempt(os.kill, parent, signal.SIGKILL)
        time.sleep(0.3)
