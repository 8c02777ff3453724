"""Says that its predictions have the right shape, and sends 60 MB."""

from aim import frame, write

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        pass

    def prediction_phase(self, test_dataset):
        write(frame({"t": "done", "shape": [len(test_dataset), len(test_dataset.classes)]}, b"\0" * 60_000_000), 3)
