"""Returns objects whose methods run code in whoever unpickles or converts them."""

import os

import numpy as np
from aim import AIM

from run import ZEWDPCBaseRun


def strike(*_):
    # In its own process it gains nothing; the aim is the evaluator's.
    if os.getpid() == AIM["evaluator"]:
        with open(os.path.join(AIM["results"], "struck"), "w") as file:
            file.write("code ran in the evaluator")
    return 0.5


class Lazy(float):
    def __reduce__(self):
        return strike, (0,)

    __float__ = __array__ = __index__ = __len__ = __str__ = __repr__ = __eq__ = strike
    __hash__ = None


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        return {Lazy: Lazy()} if False else [Lazy()] * 3

    def prediction_phase(self, test_dataset):
        values = np.empty((len(test_dataset), len(test_dataset.classes)), object)
        values[:] = Lazy()
        return values
