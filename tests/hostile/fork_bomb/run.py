"""Forks as many processes as it can, up to 500."""

import os
import time

from aim import attempt, loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        children = []
        for _ in range(500):
            child = attempt(os.fork)
            if child is None:
                break
            if child == 0:
                time.sleep(3)
                os._exit(0)
            children.append(child)
        time.sleep(1)
        if len(children) > 64:
            loot(f"{len(children)} processes for a second")
