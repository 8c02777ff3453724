"""Connects to a unix socket of the machine, such as a container engine's."""

import socket

from aim import AIM, attempt

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for path in (AIM["unix"], f"/proc/{AIM['evaluator']}/root{AIM['unix']}"):
            line = socket.socket(socket.AF_UNIX)
            attempt(line.connect, path)
