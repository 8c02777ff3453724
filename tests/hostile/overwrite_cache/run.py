"""Writes over the image cache, where it is and where it sees it, and through the mapping of it."""

import ctypes
import mmap
import os

from aim import AIM, attempt

from run import ZEWDPCBaseRun


def write(path):
    with open(path, "r+b") as file:
        file.seek(200)
        file.write(b"\xff")


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for path in (unlabelled_dataset._path, os.path.join(AIM["cache"], "images.npy")):
            attempt(os.chmod, path, 0o777)
            attempt(write, path)
            attempt(os.unlink, os.path.join(os.path.dirname(path), "labels.npy"))
        # Pages that are mapped read-only: asking for the right to write must fail, or the file would change.
        address = unlabelled_dataset.images.__array_interface__["data"][0] // mmap.PAGESIZE * mmap.PAGESIZE
        if ctypes.CDLL(None).mprotect(ctypes.c_void_p(address), mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE) == 0:
            ctypes.memset(address + 300, 255, 1)
