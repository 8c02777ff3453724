"""Computes in its metaclass, when the kit looks for the hooks of its class and makes its object."""

from aim import AIM, loot, spin

from run import ZEWDPCBaseRun

WORK = AIM["free_seconds"] + AIM["seconds"] + 1


class Slow(type):
    def __call__(cls, *arguments, **keywords):
        spin(WORK / 2)
        return super().__call__(*arguments, **keywords)

    @property
    def __name__(cls):
        spin(WORK / 2)
        return "Attack"


class Attack(ZEWDPCBaseRun, metaclass=Slow):
    def pre_training_phase(self, training_dataset):
        loot(f"{WORK:g} s of computing before a clock of {AIM['seconds']:g} s")

    def purchase_phase(self, unlabelled_dataset):
        pass
