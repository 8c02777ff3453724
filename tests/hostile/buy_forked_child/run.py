"""A forked child holds the channel and buys, and its parent buys after it."""

import os

import numpy as np
from aim import attempt, channel, labels

from run import ZEWDPCBaseRun


def buy(indices):
    known = {}
    for index in indices:
        answer, blob = channel().request({"t": "buy"}, np.array([index]).tobytes())
        if answer["t"] == "sold":
            known[index] = np.frombuffer(blob, np.uint8)
    labels(known)


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        child = os.fork()
        if child == 0:
            attempt(buy, range(0, 32))
            os._exit(0)
        os.waitpid(child, 0)
        attempt(buy, range(32, 64))
