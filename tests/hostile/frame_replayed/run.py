"""Records its own purchase and sends it again a hundred times, without the market's knowledge."""

import numpy as np
from aim import channel, frame, labels

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        line = channel()
        known = {}
        for index in (3, 5):
            recorded = frame({"t": "buy"}, np.array([index]).tobytes())
            for _ in range(100):
                with line._lock:
                    line._write(recorded)
                    answer, blob = line._read(None)
                if answer["t"] == "sold":
                    known[index] = np.frombuffer(blob, np.uint8)
        labels(known)
