"""Opens the file of labels by its absolute path."""

from aim import AIM, read

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        read(AIM["labels"])
