"""Looks for labels in the modules of the classes it meets, and in every module that is loaded."""

import sys

from aim import look_into

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for kind in type(unlabelled_dataset).__mro__:
            for value in list(vars(sys.modules[kind.__module__]).values()):
                look_into(value)
        for module in list(sys.modules.values()):
            for value in list(getattr(module, "__dict__", {}).values()):
                look_into(value)
        # The trusted side must not be importable with anything in it.
        for name in ("evaluator.purchase.market", "evaluator.purchase.session", "evaluator.history.store"):
            try:
                module = __import__(name, fromlist=["x"])
            except ImportError:
                continue
            for value in vars(module).values():
                look_into(value)
