"""Sends files without a name through sockets and closes them, so that they lie in a queue and in no process."""

import os
import socket
import time

from aim import HOME, MIB, loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        ours, theirs = socket.socketpair()
        full = 0
        for number in range(24):
            file = os.open(f"{HOME}/part", os.O_RDWR | os.O_CREAT)
            os.unlink(f"{HOME}/part")
            os.posix_fallocate(file, 0, 32 * MIB)
            socket.send_fds(ours, [b"x"], [file])
            os.close(file)
            full += 32 * MIB
            time.sleep(0.02)
            print(number, theirs.fileno(), flush=True)
        time.sleep(1)
        loot(f"{full // MIB} MiB in a queue")
