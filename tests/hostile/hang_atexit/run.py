"""Hangs in atexit and in a thread that is no daemon, after leaving with SystemExit."""

import atexit
import sys
import threading
import time

from run import ZEWDPCBaseRun

atexit.register(time.sleep, 30)


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        threading.Thread(target=time.sleep, args=(30,)).start()
        sys.exit(0)
