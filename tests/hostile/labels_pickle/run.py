"""Pickles everything it is given, and looks for labels in the bytes and in what they unpickle to."""

import copy
import pickle

from aim import attempt, look_into

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset, training_dataset):
        for value in (unlabelled_dataset, training_dataset, self):
            data = attempt(pickle.dumps, value)
            if data is not None:
                look_into(data)
                for part in vars(pickle.loads(data)).values():
                    look_into(part)
            twin = attempt(copy.deepcopy, value)
            attempt(lambda twin=twin: look_into([twin[i]["label"] for i in range(len(twin))]))
