"""Buys one label after the other in eight threads, until long after its clock has run out."""

import threading
import time

from aim import AIM, attempt

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        def buy(number):
            while True:
                attempt(unlabelled_dataset.purchase_label, number % AIM["pool"])
                time.sleep(0.02)

        for number in range(8):
            threading.Thread(target=buy, args=(number,), daemon=True).start()
        time.sleep(30)
