"""Leaves a key for its next cell in every keyring that outlives a process: of the user, of its session, the persistent one."""

import ctypes

from aim import AIM, LIBC

from run import ZEWDPCBaseRun

ADD_KEY, KEYCTL, SEARCH, READ, PERSISTENT = 248, 250, 10, 11, 22


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        name = AIM["mark"].encode()
        rings = [-3, -4, -5, LIBC.syscall(KEYCTL, PERSISTENT, -1, -3)]
        for ring in rings:
            if "carry" in AIM:
                LIBC.syscall(ADD_KEY, b"user", name + b"-left", AIM["carry"].encode(), len(AIM["carry"]), ring)
            else:
                key = LIBC.syscall(KEYCTL, SEARCH, ring, b"user", name + b"-left", 0)
                held = ctypes.create_string_buffer(4096)
                if key > 0 and LIBC.syscall(KEYCTL, READ, key, held, 4096) > 0:
                    print(held.value.decode(), flush=True)
