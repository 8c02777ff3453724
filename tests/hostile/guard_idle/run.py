"""Makes its guard the least of all processes on one processor, keeps the processors busy, and sleeps past the limit."""

import os
import time

from aim import attempt, children_do, spin

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        guard = os.getppid()
        attempt(os.sched_setaffinity, guard, {min(os.sched_getaffinity(0))})
        attempt(os.setpriority, os.PRIO_PROCESS, guard, 19)
        attempt(os.sched_setscheduler, guard, os.SCHED_IDLE, os.sched_param(0))
        children_do(lambda number: spin(15), 24)
        time.sleep(30)
