"""Moves the offset and changes the flags of the files it was given, for the cell that is given them next."""

import fcntl
import os

from aim import AIM, attempt, given, loot

from run import ZEWDPCBaseRun

PLACE = 77_777


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for number in given():
            if "carry" in AIM:
                attempt(os.lseek, number, PLACE, os.SEEK_SET)
                attempt(fcntl.fcntl, number, fcntl.F_SETFL, os.O_NONBLOCK | os.O_APPEND | os.O_DIRECT | os.O_NOATIME)
                attempt(fcntl.fcntl, number, fcntl.F_SETOWN, os.getpid())
            elif os.lseek(number, 0, os.SEEK_CUR) == PLACE or fcntl.fcntl(number, fcntl.F_GETFL) & (os.O_NONBLOCK | os.O_APPEND):
                loot(f"descriptor {number} is as an earlier cell left it")
