"""Leaves folders without rights, names that are no text, and links to what must not be cleared away."""

import os

from aim import AIM, attempt

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        home = os.path.expanduser("~")
        attempt(os.mkdir, os.path.join(home, "checkpoint"))
        for folder in (home, os.path.join(home, "checkpoint")):
            for name, place in (("results", AIM["results"]), ("kit", AIM["kit"]), ("root", "/"), ("self", ".")):
                attempt(os.symlink, place, os.path.join(folder, name))
            attempt(os.mkfifo, os.path.join(folder, "pipe"))
            with open(os.fsencode(folder) + b"/\xff\n\x1b[2J", "w"):
                pass
            os.makedirs(os.path.join(folder, "locked", "inner"))
            os.chmod(os.path.join(folder, "locked", "inner"), 0)
            os.chmod(os.path.join(folder, "locked"), 0)
