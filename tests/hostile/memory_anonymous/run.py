"""Takes memory without end, up to 3 GiB."""

import time

from aim import loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        held = []
        for _ in range(48):
            held.append(bytearray(b"\1" * (64 << 20)))
            time.sleep(0.02)
        loot(f"{64 * len(held)} MiB")
