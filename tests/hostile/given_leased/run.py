"""Takes leases on the files it sees, so that everybody who opens them to write has to wait."""

import fcntl
import os

from aim import attempt, loot, visible

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        for path in visible():
            file = attempt(os.open, path, os.O_RDONLY)
            if file is None:
                continue
            for kind in (fcntl.F_RDLCK, fcntl.F_WRLCK):
                attempt(fcntl.fcntl, file, fcntl.F_SETLEASE, kind)
                if attempt(fcntl.fcntl, file, fcntl.F_GETLEASE) == kind:
                    loot(f"a lease on {path}")
        folder = os.open(os.path.dirname(os.path.abspath(__file__)), os.O_RDONLY)
        if attempt(fcntl.fcntl, folder, fcntl.F_NOTIFY, fcntl.DN_ACCESS | fcntl.DN_CREATE | fcntl.DN_MULTISHOT) is not None:
            loot("word of what is done in a folder of the organiser's")
