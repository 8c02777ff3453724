"""Says that the phase is done twice, so that the second word answers the evaluator's next order."""

from aim import frame, write

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        write(frame({"t": "done"}) * 2)
