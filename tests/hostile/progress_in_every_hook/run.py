"""Floods the evaluator with progress from every hook, from threads, and from the import."""

import threading
import time

from aim import frame, write

from run import ZEWDPCBaseRun

FLOOD = frame({"t": "progress", "fraction": 0.5}) * 2000
write(FLOOD)


class Attack(ZEWDPCBaseRun):
    def __init__(self):
        write(FLOOD)

    def purchase_phase(self, unlabelled_dataset, register_progress):
        for _ in range(6):
            threading.Thread(target=lambda: [register_progress(0.1) for _ in range(100_000)], daemon=True).start()
        time.sleep(30)

    def save_checkpoint(self, path):
        write(FLOOD)
