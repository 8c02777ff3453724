"""Locks the files that all cells see, by every kind of lock, in a daemon that is to hold them for the next cell."""

import fcntl
import os
import time

from aim import AIM, attempt, daemon, loot, visible

from run import ZEWDPCBaseRun


def hold(files):
    for file in files:
        attempt(fcntl.flock, file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        attempt(fcntl.lockf, file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    time.sleep(12)


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        # Not the kit's or the interpreter's: another attack may run beside this one.
        own = [path for path in visible() if path.startswith(("/proc", os.path.dirname(os.path.abspath(__file__))))]
        files = [file for file in (attempt(os.open, path, os.O_RDONLY) for path in own) if file is not None]
        if "carry" in AIM:
            daemon(hold, files)
            time.sleep(0.3)
            return
        for file in files:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.flock(file, fcntl.LOCK_UN)
            except BlockingIOError:
                loot("a lock of an earlier cell")
