"""Reaches the file of labels by links of both kinds from its own folder, its checkpoint and its submission."""

import os

from aim import AIM, attempt, read

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for folder in (os.path.expanduser("~"), os.path.join(os.path.expanduser("~"), "checkpoint"), "/tmp"):
            attempt(os.makedirs, folder, 0o777, True)
            for name, make in (("soft", os.symlink), ("hard", os.link)):
                path = os.path.join(folder, f"{AIM['mark']}-{name}")
                attempt(make, AIM["labels"], path)
                read(path)
                attempt(os.unlink, path)
        read(os.path.join("/", *[".."] * 20, AIM["labels"].lstrip("/")))
