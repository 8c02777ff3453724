"""Buys in the same breath as it says that it is done: before, in between, and after, in one piece of bytes."""

import numpy as np
from aim import AIM, frame, write

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        wanted = [frame({"t": "buy"}, np.array([index]).tobytes()) for index in range(AIM["pool"])]
        done = frame({"t": "done", "claim": "none", "clock": False})
        write(b"".join(wanted[:4]) + done + b"".join(wanted[4:]) + done, 3)
