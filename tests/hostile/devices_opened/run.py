"""Opens and makes devices: disks, memory, the kernel's log, terminals, virtual machines; types into the terminal of others."""

import fcntl
import os
import stat

from aim import HOME, attempt, loot

from run import ZEWDPCBaseRun

TYPE_IN = 0x5412
HARMLESS = {"null", "zero", "full", "random", "urandom", "tty", "stdin", "stdout", "stderr", "fd", "ptmx", "core"}


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for folder, _, names in os.walk("/dev"):
            for name in names:
                path = os.path.join(folder, name)
                state = attempt(os.stat, path)
                if state is None or name in HARMLESS or not (stat.S_ISBLK(state.st_mode) or stat.S_ISCHR(state.st_mode)):
                    continue
                if attempt(os.open, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY) is not None:
                    loot(f"the device {path}")
        for number, (kind, major, minor) in enumerate(
            ((stat.S_IFBLK, 254, 0), (stat.S_IFCHR, 1, 1), (stat.S_IFCHR, 1, 11), (stat.S_IFCHR, 10, 232))
        ):
            path = f"{HOME}/made{number}"
            attempt(os.mknod, path, kind | 0o666, os.makedev(major, minor))
            if os.path.exists(path) and attempt(os.open, path, os.O_RDONLY | os.O_NONBLOCK) is not None:
                loot(f"a device of its own: {major}:{minor}")
        for file in (0, 1, 2, attempt(os.open, "/dev/tty", os.O_RDWR)):
            if file is not None and attempt(fcntl.ioctl, file, TYPE_IN, b"x") is not None:
                loot("a terminal that obeys")
