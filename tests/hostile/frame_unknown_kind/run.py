"""Sends a message of a kind that only the evaluator sends."""

from aim import frame, write

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        write(frame({"t": "sold", "remaining": 1000}))
