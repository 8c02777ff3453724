"""Writes over the kit's own files, where they are and where it sees them."""

import os

from aim import AIM, attempt

import run
from run import ZEWDPCBaseRun


def append(path):
    with open(path, "a") as file:
        file.write("# changed\n")


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        seen = os.path.dirname(run.__file__)
        for root in (AIM["kit"], seen):
            for name in ("run.py", "evaluator/worker/__main__.py", "evaluator/purchase/market.py", "numpy.py", "sitecustomize.py"):
                path = os.path.join(root, name)
                attempt(os.chmod, path, 0o777)
                attempt(append, path)
        attempt(append, "/guard.py")
