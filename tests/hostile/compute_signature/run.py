"""Computes while the kit reads the signature of its hook, before the hook is called."""

import inspect

from aim import AIM, loot, spin

from run import ZEWDPCBaseRun

WORK = AIM["seconds"] + 0.7


class Hook:
    __name__ = "purchase_phase"

    @property
    def __signature__(self):
        spin(WORK)
        return inspect.Signature()

    def __call__(self):
        loot(f"{WORK:g} s of computing beside a clock of {AIM['seconds']:g} s")


class Attack(ZEWDPCBaseRun):
    purchase_phase = Hook()
