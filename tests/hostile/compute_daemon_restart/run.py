"""Leaves a daemon that computes on while its worker is restarted, and asks it for what it found."""

import os
import socket
import time

from aim import AIM, attempt, daemon, loot

from run import ZEWDPCBaseRun

NAME = "\0" + AIM["mark"] + "-worked"


def serve(listener):
    started = time.monotonic()
    listener.settimeout(8)
    line, _ = listener.accept()
    line.send(f"{time.monotonic() - started:.2f}".encode())


def leave():
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(NAME)
    listener.listen()
    daemon(serve, listener)


def ask():
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(NAME)
        return line.recv(100).decode()


class Attack(ZEWDPCBaseRun):
    def pre_training_phase(self, training_dataset):
        attempt(leave)

    def purchase_phase(self, unlabelled_dataset):
        answer = attempt(ask)
        if answer:
            loot(f"{answer} s of a daemon's computing across a restart")

    def save_checkpoint(self, path):
        open(os.path.join(path, "saved"), "w").close()

    def load_checkpoint(self, path):
        pass
