"""Asks for namespaces of its own by every call that makes them, and enters those of others by descriptors."""

import ctypes
import os
import struct

from aim import LIBC, attempt, loot

from run import ZEWDPCBaseRun

CLONE, CLONE3, UNSHARE, SETNS = 56, 435, 272, 308
KINDS = (0x10000000, 0x00020000, 0x20000000, 0x40000000, 0x08000000, 0x04000000, 0x02000000)
CHILD = 17


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for kind in KINDS:
            for flags in (kind, kind | 0x10000000):
                if os.fork() == 0:
                    if LIBC.syscall(UNSHARE, flags) == 0:
                        loot(f"unshare with {flags:#x}")
                    os._exit(0)
                os.wait()
                arguments = ctypes.create_string_buffer(struct.pack("8Q", flags, 0, 0, 0, CHILD, 0, 0, 0))
                for make in (
                    lambda flags=flags: LIBC.syscall(CLONE, flags | CHILD, 0, 0, 0, 0),
                    lambda arguments=arguments: LIBC.syscall(CLONE3, arguments, 64),
                ):
                    child = make()
                    if child == 0:
                        os._exit(0)
                    if child > 0:
                        attempt(os.waitpid, child, 0)
                        loot(f"a child with {flags:#x}")
        for pid in ("1", "self", str(os.getppid())):
            for name in attempt(os.listdir, f"/proc/{pid}/ns") or ():
                place = attempt(os.open, f"/proc/{pid}/ns/{name}", os.O_RDONLY)
                if place is not None and LIBC.syscall(SETNS, place, 0) == 0:
                    loot(f"the namespace {name} of {pid}")
