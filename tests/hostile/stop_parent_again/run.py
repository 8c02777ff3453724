"""Leaves a daemon that stops its parent's process again whenever it is continued, and sleeps past the limit."""

import os
import signal
import time

from aim import attempt

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        parent = os.getppid()
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                end = time.monotonic() + 12
                while time.monotonic() < end:
                    os.kill(parent, signal.SIGSTOP)
            os._exit(0)
        attempt(os.wait)
        time.sleep(30)
