"""Sends a header of JSON that is nested 100,000 deep, and a number of 200,000 digits."""

from aim import frame, write

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def pre_training_phase(self, training_dataset):
        # More digits than Python turns into a number.
        write(frame(b'{"t":"progress","fraction":' + b"9" * 200_000 + b"}"))
        write(frame(b"[" * 100_000 + b"]" * 100_000))

    def purchase_phase(self, unlabelled_dataset):
        pass
