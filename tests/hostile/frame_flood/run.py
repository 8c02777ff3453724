"""Reports progress as fast as it can, for ever."""

from aim import frame, write

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        while True:
            write(frame({"t": "progress", "fraction": 0.5}) * 10_000, 30)
