"""Reads labels from the variables of every frame of every thread."""

import sys

from aim import look_into

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for frame in sys._current_frames().values():
            while frame is not None:
                for value in (*frame.f_locals.values(), *list(frame.f_globals.values())):
                    look_into(value)
                    for part in vars(value).values() if hasattr(value, "__dict__") else ():
                        look_into(part)
                frame = frame.f_back
