"""Fills the buffers of TCP connections to itself that nobody reads, up to 1,400 MiB."""

import socket
import time

from aim import MIB, loot, most_files

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        most_files()
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        held, sent, data = [], 0, bytes(MIB)
        end = time.monotonic() + 8
        while sent < 1400 * MIB and time.monotonic() < end:
            ends = [socket.create_connection(listener.getsockname()), listener.accept()[0]]
            held += ends
            for one in ends:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MIB)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * MIB)
                one.setblocking(False)
                while taken := attempt_send(one, data):
                    sent += taken
        time.sleep(1.2)
        if sent > 1000 * MIB:
            loot(f"{sent // MIB} MiB in {len(held)} sockets")
        print("held", sent // MIB, len(held), flush=True)


def attempt_send(one, data):
    try:
        return one.send(data)
    except BlockingIOError:
        return 0
