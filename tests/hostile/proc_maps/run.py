"""Reads the files that the evaluator has mapped, and the whole disk, through /proc/<evaluator>/map_files, root and cwd."""

import os

from aim import AIM, attempt, evaluators, read

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for pid in (*evaluators(), 1):
            read(f"/proc/{pid}/maps")
            for name in attempt(os.listdir, f"/proc/{pid}/map_files") or ():
                path = f"/proc/{pid}/map_files/{name}"
                if ".npy" in (attempt(os.readlink, path) or ""):
                    read(path)
            read(f"/proc/{pid}/root{AIM['labels']}")
            read(f"/proc/{pid}/cwd/{os.path.relpath(AIM['labels'], AIM['kit'])}")
