"""Sixteen threads buy the whole pool at once."""

import threading

from aim import attempt, labels

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        known = {}

        def buy(start):
            for index in range(start, len(unlabelled_dataset), 16):
                label = attempt(unlabelled_dataset.purchase_label, index)
                if label is not None:
                    known[index] = label

        threads = [threading.Thread(target=buy, args=(start,)) for start in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        labels(known)
