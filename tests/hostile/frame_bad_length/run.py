"""Announces a header that is longer than any header may be."""

from aim import frame, write

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        write(frame({"t": "buy"}, header_length=(1 << 20)))
