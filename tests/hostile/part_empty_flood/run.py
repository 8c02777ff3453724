"""Hands over a checkpoint of empty pieces for ever."""

from aim import channel

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def save_checkpoint(self, path):
        while True:
            channel().send({"t": "part"})

    def load_checkpoint(self, path):
        pass

    def purchase_phase(self, unlabelled_dataset):
        pass
