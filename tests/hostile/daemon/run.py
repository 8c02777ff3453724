"""Double-forks a daemon in a session of its own that tries to write later."""

import os
import time

from aim import AIM

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                for _ in range(8):
                    time.sleep(1)
                    try:
                        with open(os.path.join(AIM["results"], "late.json"), "w") as file:
                            file.write("{}")
                    except OSError:
                        continue
            os._exit(0)
        os.wait()
