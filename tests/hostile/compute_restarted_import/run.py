"""Computes at the import of every restarted worker, for longer than what is left of its clock."""

import os

from aim import AIM, loot, spin

from run import ZEWDPCBaseRun

spin(AIM["free_seconds"] + 0.8)


class Attack(ZEWDPCBaseRun):
    def save_checkpoint(self, path):
        open(os.path.join(path, "saved"), "w").close()

    def load_checkpoint(self, path):
        pass

    def purchase_phase(self, unlabelled_dataset):
        loot(f"{2 * AIM['free_seconds'] + 1.6:g} s at two imports, charged with less than 1.2 s")
