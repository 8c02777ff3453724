"""Starts as many threads as it can, up to 500."""

import threading
import time

from aim import attempt, loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        threading.stack_size(1 << 17)
        started = 0
        for _ in range(500):
            thread = threading.Thread(target=time.sleep, args=(3,), daemon=True)
            if attempt(thread.start) is None and thread.ident is None:
                break
            started += 1
        time.sleep(1)
        if started > 64:
            loot(f"{started} threads for a second")
