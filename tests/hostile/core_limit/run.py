"""Turns core files on and crashes, then asks for none and crashes: the kernel may start the machine's own program for either."""

import os
import resource
import signal

from aim import attempt, loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        print(resource.getrlimit(resource.RLIMIT_CORE))
        for limits in ((resource.RLIM_INFINITY,) * 2, (1 << 30, 1 << 30), (0, 1), (0, 0)):
            attempt(resource.setrlimit, resource.RLIMIT_CORE, limits)
            attempt(resource.prlimit, 0, resource.RLIMIT_CORE, limits)
            seen = resource.getrlimit(resource.RLIMIT_CORE)
            if seen != (1, 1):
                loot(f"a limit of cores of {seen}")
        child = os.fork()
        if child == 0:
            os.chdir(os.path.expanduser("~"))
            os.kill(os.getpid(), signal.SIGSEGV)
        _, status = os.waitpid(child, 0)
        if os.WCOREDUMP(status) or [name for name in os.listdir(os.path.expanduser("~")) if name.startswith("core")]:
            loot("a core")
