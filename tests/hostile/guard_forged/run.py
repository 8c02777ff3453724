"""Takes its guard's line to the evaluator out of the guard's hands, reports its own end on it, and leaves a daemon."""

import ctypes
import os
import stat
import time

from aim import attempt

from run import ZEWDPCBaseRun

PIDFD_GETFD = 438


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        libc = ctypes.CDLL(None)
        guard = attempt(os.pidfd_open, os.getppid())
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(10)
            os._exit(0)
        os.wait()
        for number in range(3, 32) if guard is not None else ():
            taken = libc.syscall(PIDFD_GETFD, guard, number, 0)
            if taken >= 0 and stat.S_ISSOCK(os.fstat(taken).st_mode):
                os.write(taken, b'{"ended": true, "code": "\\u001b[2J all is well", "signal": null}\n' * 3)
        os._exit(0)
