"""Reads labels from the garbage collector's list of all objects."""

import gc

from aim import look_into

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for value in gc.get_objects():
            look_into(value)
            for part in gc.get_referents(value):
                look_into(part)
