"""Leaves names that are no text, that steer a terminal, that look like options, and of every length."""

import os

from aim import HOME, attempt

from run import ZEWDPCBaseRun

NAMES = (
    b"\xff\xfe\xed\xa0\x80",
    b"\x1b[2J\x1b]0;x\x07",
    b"new\nline\r",
    b"-rf",
    b"--",
    b" ",
    b"a (deleted)",
    b"\\x41",
    b"%s%n",
    b"~",
    b"$HOME",
)


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for place in (HOME, f"{HOME}/checkpoint"):
            os.makedirs(place, exist_ok=True)
            for name in (*NAMES, *(bytes([byte]) * length for byte in (0x80, 0x41) for length in range(1, 256, 5))):
                path = os.path.join(os.fsencode(place), name)
                if attempt(os.mkdir, path) is None:
                    attempt(os.close, attempt(os.open, os.path.join(path, name[:200]), os.O_CREAT | os.O_WRONLY, 0))

    def save_checkpoint(self, path):
        pass

    def load_checkpoint(self, path):
        pass

    def prediction_phase(self, test_dataset):
        raise RuntimeError(os.fsdecode(NAMES[0] + NAMES[1]))
