"""Leaves files for its next cell in every folder that it may write, and looks for them."""

import os
import sys
from pathlib import Path

from aim import AIM, attempt

from run import ZEWDPCBaseRun


def write(path):
    with open(path, "w") as file:
        file.write(AIM["carry"])


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        home = os.path.expanduser("~")
        here = os.path.dirname(os.path.abspath(__file__))
        folders = (home, os.path.dirname(home), os.path.join(home, "checkpoint"), here, "/tmp", "/var/tmp", "/dev/shm", "/run")
        for folder in folders:
            path = os.path.join(folder, AIM["mark"])
            if "carry" in AIM:
                attempt(write, path)
            elif os.path.exists(path):
                print(path, Path(path).read_text())
        sys.stdout.flush()
