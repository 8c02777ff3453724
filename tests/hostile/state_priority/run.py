"""Binds the evaluator and its parents to one processor, which the next cell would inherit."""

import os

from aim import AIM, attempt, evaluators, loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        if "carry" in AIM:
            print(len(os.sched_getaffinity(0)), flush=True)
            for pid in (1, os.getppid(), *evaluators()):
                attempt(os.sched_setaffinity, pid, {min(os.sched_getaffinity(0))})
        elif len(os.sched_getaffinity(0)) == 1 < (os.cpu_count() or 1):
            loot("one processor, as an earlier cell left it")
