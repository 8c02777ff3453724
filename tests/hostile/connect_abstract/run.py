"""Connects to an abstract unix socket of the machine."""

import socket

from aim import AIM, attempt

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        line = socket.socket(socket.AF_UNIX)
        attempt(line.connect, "\0" + AIM["abstract"])
