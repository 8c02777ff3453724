"""Writes extended attributes, modes and times of every file that the next cell sees as well."""

import os

from aim import AIM, attempt, loot, visible

from run import ZEWDPCBaseRun

MOMENT = 1_234_567_890


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for path in visible():
            if "carry" in AIM:
                attempt(os.setxattr, path, "user.note", AIM["carry"].encode())
                attempt(os.utime, path, (MOMENT, MOMENT))
            else:
                print((attempt(os.getxattr, path, "user.note") or b"").decode(), flush=True)
                seen = attempt(os.stat, path)
                if seen is not None and MOMENT in (int(seen.st_mtime), int(seen.st_atime)):
                    loot(f"times of {path}, as an earlier cell set them")
