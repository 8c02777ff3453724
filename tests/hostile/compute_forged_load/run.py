"""Says that it is loaded before it is, and computes on at import while its clock is to stand still."""

import time

from aim import AIM, channel, loot, spin

from run import ZEWDPCBaseRun

channel().send({"t": "done", "class": "Attack", "saves": False, "loads": False})
STARTED = time.monotonic()
spin(AIM["seconds"] + 1)


class Attack(ZEWDPCBaseRun):
    def pre_training_phase(self, training_dataset):
        loot(f"{time.monotonic() - STARTED:.1f} s of computing beside a clock of {AIM['seconds']:g} s")

    def purchase_phase(self, unlabelled_dataset):
        pass
