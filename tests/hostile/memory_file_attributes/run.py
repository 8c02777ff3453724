"""Writes extended attributes of 60 KiB to files without a byte, in every file system that lies in memory."""

import os
import time

from aim import HOME, MIB, children_do, loot

from run import ZEWDPCBaseRun

PLACES = (HOME, "/dev/shm") if HOME == "/scratch" else (HOME,)


def write(number):
    done = 0
    place = PLACES[number % len(PLACES)]
    for file in range(400):
        path = f"{place}/noted{number}-{file}"
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        for part in range(6):
            os.setxattr(path, f"user.{part}", bytes(60_000))
            done += 60_000
    with open(f"{HOME}/done", "a") as file:
        file.write(f"{done}\n")


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        children_do(write, 8)
        time.sleep(4)
        try:
            with open(f"{HOME}/done") as file:
                done = sum(map(int, file))
        except OSError:
            return
        if done > 700 * MIB:
            loot(f"{done // MIB} MiB of attributes")
