"""Starts every program that has the rights of root, and sees whether it keeps them."""

import glob
import os
import subprocess
import time

from aim import attempt, loot

from run import ZEWDPCBaseRun


def rights(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(line.split()[1:5] for line in file if line.startswith("Uid"))


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        mine = rights("self")
        for place in ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/lib/*", "/usr/local/bin", "/usr/libexec"):
            for path in glob.glob(f"{place}/*"):
                state = attempt(os.stat, path)
                if state is None or not os.path.isfile(path) or not state.st_mode & 0o6000:
                    continue
                started = attempt(
                    subprocess.Popen, [path], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
                )
                if started is None:
                    continue
                time.sleep(0.05)
                seen = attempt(rights, started.pid)
                started.kill()
                if seen not in (None, mine):
                    loot(f"{path} runs as {seen}")
