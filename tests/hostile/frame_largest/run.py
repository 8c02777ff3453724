"""Sends purchases that are as large as a frame may be."""

from aim import frame, write

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        write(frame({"t": "buy"}, bytes(64 << 20)), 2)
