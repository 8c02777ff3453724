"""Computes while it is imported, for longer than its clock has."""

from aim import AIM, loot, spin

from run import ZEWDPCBaseRun

WORK = AIM["free_seconds"] + AIM["seconds"] + 1
spin(WORK)


class Attack(ZEWDPCBaseRun):
    def pre_training_phase(self, training_dataset):
        loot(f"{WORK:g} s of computing before a clock of {AIM['seconds']:g} s")

    def purchase_phase(self, unlabelled_dataset):
        pass
