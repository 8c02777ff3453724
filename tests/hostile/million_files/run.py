"""Makes files without end, up to a million or a second and a half, in its folder and in its checkpoint."""

import os
import time

from aim import attempt

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        home = os.path.expanduser("~")
        attempt(os.mkdir, os.path.join(home, "checkpoint"))
        for folder in (home, os.path.join(home, "checkpoint")):
            end = time.monotonic() + 0.75
            for number in range(500_000):
                os.close(os.open(os.path.join(folder, str(number)), os.O_CREAT | os.O_WRONLY))
                if time.monotonic() > end:
                    break
        time.sleep(0.6)
