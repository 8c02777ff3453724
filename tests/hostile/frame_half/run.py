"""Sends half a frame, and then nothing."""

import time

from aim import frame, write

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        write(frame({"t": "buy"}, bytes(64))[:40])
        time.sleep(30)
