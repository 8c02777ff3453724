"""Takes memory in eight processes, each of them below the limit, 3 GiB in all."""

import os
import time

from aim import loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for _ in range(8):
            if os.fork() == 0:
                held = []
                for _ in range(12):
                    held.append(bytearray(b"\1" * (32 << 20)))
                    time.sleep(0.1)
                loot(f"{32 * len(held)} MiB in one of eight processes")
                time.sleep(2)
                os._exit(0)
        time.sleep(5)
