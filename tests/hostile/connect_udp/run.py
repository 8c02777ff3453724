"""Sends datagrams to a listener of the machine."""

import socket

from aim import AIM, attempt

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"labels", ("127.0.0.1", AIM["udp"])))
