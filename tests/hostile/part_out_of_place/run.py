"""Sends pieces of a checkpoint in the middle of the purchase phase."""

from aim import MIB, channel

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for _ in range(20):
            channel().send({"t": "part"}, bytes(8 * MIB))
