"""Replaces functions of time, numpy, json, sklearn and torch in its own process, hoping that it spreads."""

import json
import sys
import time
import types

import numpy as np

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        time.monotonic = time.time = time.perf_counter = lambda: 0.0
        np.unique = lambda values, **_: np.zeros(0)
        for name in ("sklearn", "sklearn.metrics", "torch"):
            sys.modules[name] = types.ModuleType(name)
        sys.modules["sklearn.metrics"].f1_score = lambda *_, **__: 1.0
        json.dumps = lambda *_, **__: '{"t":"done"}'
        json.loads = lambda *_, **__: {"t": "exit"}
