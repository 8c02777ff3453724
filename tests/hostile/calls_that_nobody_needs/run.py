"""Makes every system call that reaches the kernel's odd corners, with arguments that a kernel would take."""

import ctypes
import platform

from aim import LIBC, loot

from run import ZEWDPCBaseRun

NUMBERS = {
    "acct": 163, "add_key": 248, "bpf": 321, "delete_module": 176, "fanotify_init": 300, "fsopen": 430, "init_module": 175,
    "io_setup": 206, "io_uring_register": 427, "io_uring_setup": 425, "kcmp": 312, "kexec_load": 246, "keyctl": 250,
    "landlock_create_ruleset": 444, "lookup_dcookie": 212, "memfd_secret": 447, "mount_setattr": 442, "move_pages": 279,
    "name_to_handle_at": 303, "open_by_handle_at": 304, "open_tree": 428, "perf_event_open": 298, "pidfd_getfd": 438,
    "pivot_root": 155, "process_madvise": 440, "process_mrelease": 448, "process_vm_readv": 310, "process_vm_writev": 311,
    "ptrace": 101, "quotactl": 179, "reboot": 169, "remap_file_pages": 216, "request_key": 249, "seccomp": 317, "splice": 275,
    "swapon": 167, "syslog": 103, "tee": 276, "uselib": 134, "userfaultfd": 323, "vhangup": 153, "vmsplice": 278,
}  # fmt: skip
EPERM, ENOSYS = 1, 38


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        if platform.machine() != "x86_64":
            return
        for name, number in NUMBERS.items():
            area = ctypes.create_string_buffer(256)
            answer = LIBC.syscall(number, area, area, 0, 0, 0, 0)
            error = ctypes.get_errno()
            if answer >= 0 or error not in (EPERM, ENOSYS):
                loot(f"{name} reaches the kernel: {answer}, error {error}")
