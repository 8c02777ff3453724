"""Connects to a listener of the machine by TCP."""

import socket

from aim import AIM, attempt

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        attempt(lambda: socket.create_connection(("127.0.0.1", AIM["tcp"]), 0.5).send(b"labels"))
        attempt(lambda: socket.create_connection(("localhost", AIM["tcp"]), 0.5).send(b"labels"))
