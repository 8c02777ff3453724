"""Leaves a listening process for its next cell, and asks it."""

import os
import socket
import sys

from aim import AIM, attempt

from run import ZEWDPCBaseRun


def serve(listener):
    listener.settimeout(10)
    line, _ = listener.accept()
    line.send(AIM["carry"].encode())


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        name = "\0" + AIM["mark"] + "-state"
        if "carry" in AIM:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(name)
            listener.listen()
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    attempt(serve, listener)
                os._exit(0)
            os.wait()
        else:
            line = socket.socket(socket.AF_UNIX)
            attempt(line.connect, name)
            print(attempt(line.recv, 100))
            sys.stdout.flush()
