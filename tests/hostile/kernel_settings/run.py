"""Opens every setting of the kernel for writing that it finds, and changes the names of the machine."""

import os
import re

from aim import AIM, LIBC, loot

from run import ZEWDPCBaseRun

OWN = re.compile(r"/proc/sys/(kernel/(msg|sem|shm|auto_msgmni|ns_last_pid|pid_max)|fs/mqueue/|net/|user/)")
"""Settings of a room's own namespaces, which end with it."""


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        if LIBC.sethostname(AIM["mark"].encode(), 8) == 0 or LIBC.setdomainname(AIM["mark"].encode(), 8) == 0:
            loot("the machine's name")
        places = ("/proc/sys", "/sys", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/scsi", "/proc/acpi")
        files = ["/proc/sysrq-trigger", "/proc/timer_list", "/proc/kcore", "/proc/kmem", "/proc/mtrr"]
        for place in places:
            for folder, _, names in os.walk(place):
                files += [os.path.join(folder, name) for name in names]
        for path in files[:20_000]:
            try:
                file = os.open(path, os.O_WRONLY)
            except OSError:
                continue
            # An engine hides some of them behind the file that takes everything.
            if not OWN.match(path) and os.fstat(file).st_rdev != os.stat("/dev/null").st_rdev:
                loot(f"{path}, open for writing")
            os.close(file)
