"""Leaves a file for the worker that comes after a restart, beside its checkpoint, in every folder that it may write."""

import os
import socket

from aim import AIM, attempt, loot

from run import ZEWDPCBaseRun

NAME = AIM["mark"] + "-restart"
PLACES = [f"{place}/{NAME}" for place in ("/dev/shm", "/tmp", "/var/tmp", "/run", "/dev", os.path.expanduser("~"))]


class Attack(ZEWDPCBaseRun):
    def pre_training_phase(self, training_dataset):
        for place in PLACES:
            attempt(os.mkdir, place)
            attempt(socket.socket(socket.AF_UNIX).bind, place + "-socket")

    def purchase_phase(self, unlabelled_dataset):
        for place in PLACES:
            if os.path.lexists(place) or os.path.lexists(place + "-socket"):
                loot(f"found again: {place}")

    def save_checkpoint(self, path):
        open(os.path.join(path, "saved"), "w").close()

    def load_checkpoint(self, path):
        pass
