"""Sets the machine's clock (to what it shows)."""

import ctypes
import time

from aim import attempt, loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        def set_clock():
            time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME))
            loot("the clock was set")

        attempt(set_clock)
        if ctypes.CDLL(None).adjtime(ctypes.create_string_buffer(16), None) == 0:
            loot("the clock was adjusted")
