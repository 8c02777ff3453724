"""Says that its predictions have a shape that is a list nested hundreds deep, which is read but cannot be shown."""

from aim import frame, write

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        pass

    def prediction_phase(self, test_dataset):
        # The reader of JSON and the writer of the message stand at different depths of the stack.
        depth = 940
        write(frame(b'{"t":"done","shape":' + b"[" * depth + b"]" * depth + b"}"))
