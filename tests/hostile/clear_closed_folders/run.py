"""Nests folders that nobody may enter, sticky and with the group's rights, files without rights in each of them."""

import os

from aim import HOME, attempt

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for mode in (0, 0o1000, 0o2000, 0o3444, 0o7111):
            path, made = f"{HOME}/m{mode}", []
            for level in range(40):
                os.mkdir(path)
                made.append(path)
                os.close(os.open(f"{path}/file", os.O_CREAT | os.O_WRONLY, 0))
                path = f"{path}/{level}"
            for path in reversed(made):
                attempt(os.chmod, path, mode)
        attempt(os.chmod, HOME, 0)
