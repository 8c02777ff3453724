"""Greets again in the middle of a phase, as another process with another number."""

from aim import channel

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        channel().send({"t": "hello", "pid": 1, "numpy": "\x1b[31m", "python": "x" * 5000})
