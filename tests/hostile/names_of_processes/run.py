"""Gives its processes names that look like lines of /proc: brackets, states, parents, newlines; then leaves them running."""

import ctypes
import os
import time

from aim import LIBC, daemon

from run import ZEWDPCBaseRun

NAMES = (b") Z 1 1 1 (", b"a\nPPid:\t1", b"x) S 0 0 0", b"\xff\xfe(((", b"Threads:\t0\n", b"))))))))")


def sleep(name):
    LIBC.prctl(15, ctypes.c_char_p(name), 0, 0, 0)
    time.sleep(12)


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for name in NAMES:
            daemon(sleep, name)
            if os.fork() == 0:
                sleep(name)
                os._exit(0)
