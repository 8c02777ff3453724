"""Reports progress as a number that no float can hold."""

from aim import frame, write

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        write(frame(b'{"t":"progress","fraction":' + b"9" * 4000 + b"}"))
        write(frame(b'{"t":"progress","fraction":1e400}'))
