"""Moves its home away while it works there, and puts an empty folder in its place."""

import os

from aim import AIM, HOME, attempt

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        away = f"{HOME}-{AIM['mark']}"
        attempt(os.rename, HOME, away)
        attempt(os.mkdir, HOME)
        attempt(os.symlink, AIM["victim"], f"{HOME}/checkpoint")
