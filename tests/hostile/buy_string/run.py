"""Buys indices that are texts, and objects that pass for numbers and change while they are looked at."""

from aim import attempt

from run import ZEWDPCBaseRun


class Changing:
    def __init__(self):
        self.looks = 0

    def __index__(self):
        self.looks += 1
        return self.looks % 64


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for value in ("0", b"0", "labels.csv", "__dict__", Changing()):
            attempt(unlabelled_dataset.purchase_label, value)
        for value in ("0123456789", b"\0" * 64, {"0": 1}, [Changing()] * 64, ["0"]):
            attempt(unlabelled_dataset.purchase_labels, value)
