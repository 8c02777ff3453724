"""Leaves shared memory, System V's and POSIX's, for its next cell, and looks for it."""

import ctypes
import sys
from pathlib import Path

from aim import AIM, attempt

from run import ZEWDPCBaseRun

CREATE = 0o1000


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        libc = ctypes.CDLL(None)
        libc.shmat.restype = ctypes.c_void_p
        segment = libc.shmget(AIM["key"], 4096, 0o666 | (CREATE if "carry" in AIM else 0))
        if segment >= 0:
            address = libc.shmat(segment, None, 0)
            if "carry" in AIM:
                ctypes.memmove(address, AIM["carry"].encode(), len(AIM["carry"]))
            else:
                print(ctypes.string_at(address))
        attempt(self.posix)
        sys.stdout.flush()

    def posix(self):
        path = f"/dev/shm/{AIM['mark']}-posix"
        if "carry" in AIM:
            with open(path, "w") as file:
                file.write(AIM["carry"])
        else:
            print(Path(path).read_text())
