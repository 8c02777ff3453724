"""Forges frames of the protocol on stdout and stderr: labels sold, the phase done, predictions."""

import os

from aim import frame

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for descriptor in (1, 2):
            for message in ({"t": "done", "claim": "labels", "n": 64}, {"t": "sold", "remaining": 99}, {"t": "buy"}, {"t": "exit"}):
                os.write(descriptor, frame(message, b"\1" * 64))
