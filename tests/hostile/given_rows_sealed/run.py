"""Changes the table that says which image stands behind which index, through its descriptor, its seals and a second opening."""

import fcntl
import mmap
import os

from aim import attempt, given, loot

from run import ZEWDPCBaseRun

ADD_SEALS, GET_SEALS = 1033, 1034


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        rows = [number for number in given() if "memfd" in os.readlink(f"/proc/self/fd/{number}")]
        if not rows:
            loot("no table was found; the attack knows too little")
        for number in rows:
            attempt(fcntl.fcntl, number, ADD_SEALS, 0)
            again = attempt(os.open, f"/proc/self/fd/{number}", os.O_RDWR)
            for file in (number, *([again] if again is not None else [])):
                for spoil in (lambda file=file: os.pwrite(file, b"\1\2\3\4", 0), lambda file=file: os.ftruncate(file, 4)):
                    try:
                        spoil()
                    except OSError:
                        continue
                    loot("the table of rows was changed")
                if attempt(mmap.mmap, file, 4, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE) is not None:
                    loot("the table of rows is mapped to be written")
