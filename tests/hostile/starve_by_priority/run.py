"""Asks for every kind of priority that there is, for sixty busy processes, and computes past the limit."""

import os
import time

from aim import LIBC, attempt, children_do, spin

from run import ZEWDPCBaseRun


def urge(number):
    for policy in (os.SCHED_FIFO, os.SCHED_RR):
        attempt(os.sched_setscheduler, 0, policy, os.sched_param(os.sched_get_priority_max(policy)))
    attempt(os.setpriority, os.PRIO_PROCESS, 0, -20)
    LIBC.syscall(251, 1, 0, 1 << 13)  # ioprio_set: the class for real time
    os.setsid()  # processes of a session share a turn, so each takes one of its own
    spin(15)


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        children_do(urge, 55)
        time.sleep(30)
