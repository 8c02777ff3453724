"""Sends a header that is no JSON: NaN, a bare number, bytes that are no text."""

from aim import frame, write

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        write(frame(b"\xff\xfe{NaN") + frame(b"17"))
