"""Hands over a checkpoint without end, in pieces as large as a frame may be."""

from aim import MIB, channel

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def save_checkpoint(self, path):
        while True:
            channel().send({"t": "part"}, bytes(60 * MIB))

    def load_checkpoint(self, path):
        pass

    def purchase_phase(self, unlabelled_dataset):
        pass
