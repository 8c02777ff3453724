"""Computes whenever somebody asks its object or its module for an attribute."""

from aim import AIM, loot, spin

from run import ZEWDPCBaseRun

WORK = AIM["free_seconds"] + AIM["seconds"] + 1


class Attack(ZEWDPCBaseRun):
    @property
    def save_checkpoint(self):
        spin(WORK / 2)
        raise AttributeError("none")

    @property
    def load_checkpoint(self):
        spin(WORK / 2)
        raise AttributeError("none")

    def pre_training_phase(self, training_dataset):
        loot(f"{WORK:g} s of computing before a clock of {AIM['seconds']:g} s")

    def purchase_phase(self, unlabelled_dataset):
        pass


def __getattr__(name):
    spin(0.1)
    raise AttributeError(name)
