"""Announces 4 GiB of binary data, and sends as much of it as is taken."""

from aim import frame, write

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        write(frame({"t": "buy"}, blob_length=(1 << 32) - 1) + bytes(1 << 24))
