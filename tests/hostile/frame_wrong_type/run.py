"""Sends a message whose field has the wrong type."""

from aim import frame, write

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        write(frame({"t": "progress", "fraction": {"0": "half"}}))
