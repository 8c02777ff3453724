"""Raises its own limits: resource limits, nice values, control groups."""

import glob
import os
import resource

from aim import attempt, loot

from run import ZEWDPCBaseRun


def write(path, text):
    with open(path, "w") as file:
        file.write(text)
    loot(f"{path} was written")


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        attempt(resource.setrlimit, resource.RLIMIT_NPROC, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        attempt(os.nice, -20)
        for pattern in ("memory/**/memory.limit_in_bytes", "pids/**/pids.max", "**/memory.max", "**/pids.max"):
            for path in glob.glob("/sys/fs/cgroup/" + pattern, recursive=True)[:200]:
                if "dck-" in path:
                    attempt(write, path, "-1")
        attempt(write, "/proc/self/oom_score_adj", "-1000")
