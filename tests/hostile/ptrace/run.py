"""Attaches to the evaluator as a debugger, and reads its memory with process_vm_readv."""

import ctypes
import os
from pathlib import Path

from aim import AIM, attempt, grep

from run import ZEWDPCBaseRun

ATTACH, DETACH = 16, 17


class Area(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def search(libc, pid):
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        area, rights, *_ = line.split()
        start, end = (int(part, 16) for part in area.split("-"))
        if rights.startswith("rw") and end - start < 1 << 28:
            buffer = ctypes.create_string_buffer(end - start)
            ours, theirs = Area(ctypes.addressof(buffer), end - start), Area(start, end - start)
            if libc.process_vm_readv(pid, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0) > 0:
                grep(buffer.raw)


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        libc = ctypes.CDLL(None, use_errno=True)
        libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
        for pid in (AIM["evaluator"], os.getppid()):
            if libc.ptrace(ATTACH, pid, None, None) == 0:
                os.waitpid(pid, 0x40000000)
                attempt(search, libc, pid)
                libc.ptrace(DETACH, pid, None, None)
            else:
                attempt(search, libc, pid)
