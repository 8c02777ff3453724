"""The system calls that a worker may make: everything that Python, NumPy, PyTorch, joblib and OpenMP use, and nothing else.

Two filters, both compiled by libseccomp. The first lists what is allowed; every other call fails as on a kernel that does not know
it, so libraries take the way that they keep for older kernels. The second refuses allowed calls with certain arguments. Missing on
purpose, because a submission could reach beyond its room, its memory or its cell with them: keys of the kernel, tracing and reading
other processes, descriptors of other processes, io_uring and the older asynchronous input and output, userfaultfd, bpf, performance
counters, mounts and namespaces, files by handle, System V and POSIX message queues and shared memory, files in memory without a
name, pages lent to pipes, what is resident of a file, and every family of sockets but unix, IP and the list of interfaces.

Source: seccomp(2), seccomp_rule_add(3); Docker's default profile served as a check list.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import functools
import socket
import sys
import tempfile

_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_OPTIMIZE = 8
_EQUAL, _MASKED_EQUAL = 4, 7
_WORD = 0xFFFFFFFF

FILES = """
read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 open openat openat2 creat close close_range dup dup2 dup3
lseek fstat stat lstat newfstatat statx statfs fstatfs access faccessat faccessat2 readlink readlinkat getdents getdents64 getcwd
chdir fchdir mkdir mkdirat rmdir rename renameat renameat2 link linkat unlink unlinkat symlink symlinkat chmod fchmod fchmodat
fchmodat2 chown fchown lchown fchownat umask truncate ftruncate fallocate fsync fdatasync sync syncfs sync_file_range flock fcntl
ioctl utime utimes utimensat futimesat sendfile copy_file_range readahead fadvise64 getxattr lgetxattr fgetxattr listxattr
llistxattr flistxattr setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr mknod mknodat inotify_init inotify_init1
inotify_add_watch inotify_rm_watch
"""
WAITING = """
poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2 signalfd
signalfd4 timerfd_create timerfd_settime timerfd_gettime pipe pipe2 futex futex_waitv futex_wake futex_wait futex_requeue
set_robust_list get_robust_list restart_syscall nanosleep clock_nanosleep pause alarm getitimer setitimer timer_create
timer_settime timer_gettime timer_getoverrun timer_delete
"""
MEMORY = """
mmap munmap mremap mprotect brk madvise msync mlock mlock2 munlock mlockall munlockall membarrier mseal pkey_alloc pkey_mprotect
pkey_free get_mempolicy set_mempolicy mbind
"""
PROCESSES = """
fork vfork clone execve execveat exit exit_group wait4 waitid kill tkill tgkill pidfd_open pidfd_send_signal rt_sigaction
rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait rt_sigqueueinfo rt_tgsigqueueinfo sigaltstack getpid
getppid gettid getpgrp getpgid setpgid getsid setsid getuid geteuid getgid getegid getresuid getresgid getgroups setuid setgid
setreuid setregid setresuid setresgid setgroups setfsuid setfsgid capget capset prctl arch_prctl set_tid_address rseq sched_yield
sched_getaffinity sched_setaffinity sched_getparam sched_setparam sched_getscheduler sched_setscheduler sched_get_priority_max
sched_get_priority_min sched_rr_get_interval sched_getattr sched_setattr getpriority setpriority ioprio_get ioprio_set getrlimit
setrlimit prlimit64 getrusage
"""
MACHINE = "times uname sysinfo getcpu getrandom clock_gettime clock_getres gettimeofday time"
SOCKETS = """
bind listen accept accept4 connect getsockname getpeername getsockopt setsockopt shutdown sendto recvfrom sendmsg recvmsg sendmmsg
recvmmsg
"""
GPU = "memfd_create mincore"
"""What drivers of accelerators use besides."""

PRIVILEGED = "ptrace mount umount2 unshare setns pivot_root chroot fsopen open_tree move_mount"
"""Refused as to a user without rights, which is what programs expect of them."""

_NAMESPACES = (0x10000000, 0x00020000, 0x20000000, 0x40000000, 0x08000000, 0x04000000, 0x02000000)
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_RWF_NOWAIT, _DONTNEED, _MADV_COLD, _MADV_PAGEOUT = 8, 4, 20, 21
_AF_NETLINK = 16
_SETLEASE, _NOTIFY = 1024, 1026
_SOCKET_PROGRAMS = (26, 50, 51, 52)
_RLIMIT_CORE, _NOT_EQUAL = 4, 1


class _Compare(ctypes.Structure):
    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def _equal(argument: int, value: int) -> _Compare:
    return _Compare(argument, _EQUAL, value, 0)


def _bits(argument: int, mask: int, value: int) -> _Compare:
    return _Compare(argument, _MASKED_EQUAL, mask, value)


class _Filter:
    """One filter of libseccomp in the making."""

    def __init__(self, library: ctypes.CDLL, otherwise: int) -> None:
        self._library = library
        self._context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(otherwise)))
        if not self._context:
            raise OSError("libseccomp cannot make a filter")
        library.seccomp_attr_set(self._context, _OPTIMIZE, ctypes.c_uint32(2))

    def rule(self, action: int, name: str, *compare: _Compare) -> None:
        """Add a rule; a call that this architecture or this libseccomp does not know is left out, and so refused."""
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        if number == -1:
            return
        array = (_Compare * len(compare))(*compare)
        failed = self._library.seccomp_rule_add_array(self._context, ctypes.c_uint32(action), number, len(compare), array)
        if failed and failed != -errno.EDOM:  # a call of another architecture
            raise OSError(-failed, f"libseccomp refuses a rule for {name}")

    def program(self) -> bytes:
        """The compiled filter, an array of BPF instructions of 8 bytes each."""
        with tempfile.TemporaryFile() as file:
            failed = self._library.seccomp_export_bpf(self._context, file.fileno())
            self._library.seccomp_release(self._context)
            if failed:
                raise OSError(-failed, "libseccomp cannot compile its filter")
            file.seek(0)
            return file.read()


@functools.cache
def filters(gpu: bool = False) -> tuple[bytes, ...]:
    """The compiled filters, to be installed both; none on a system without seccomp.

    Args:
        gpu: also allow what the drivers of accelerators use.

    Raises:
        OSError: this is Linux, and libseccomp is missing or refuses a rule.
    """
    if not sys.platform.startswith("linux"):
        return ()
    library = _library()
    allowed = _Filter(library, _ERRNO | errno.ENOSYS)
    for name in " ".join((FILES, WAITING, MEMORY, PROCESSES, MACHINE, SOCKETS, GPU if gpu else "")).split():
        allowed.rule(_ALLOW, name)
    for name in PRIVILEGED.split():
        allowed.rule(_ERRNO | errno.EPERM, name)
    allowed.rule(_ALLOW, "socket", _equal(0, socket.AF_UNIX))
    allowed.rule(_ALLOW, "socketpair", _equal(0, socket.AF_UNIX))
    allowed.rule(_ALLOW, "socket", _equal(0, _AF_NETLINK), _equal(2, 0))
    for family in (socket.AF_INET, socket.AF_INET6):
        for protocol in (0, socket.IPPROTO_TCP, socket.IPPROTO_UDP):
            allowed.rule(_ALLOW, "socket", _equal(0, family), _equal(2, protocol))
    for kind in (0, _WORD):
        allowed.rule(_ALLOW, "personality", _equal(0, kind))

    refused = _Filter(library, _ALLOW)
    for bit in _NAMESPACES:
        refused.rule(_ERRNO | errno.EPERM, "clone", _bits(0, bit, bit))
    for request in (_TIOCSTI, _TIOCLINUX):
        refused.rule(_ERRNO | errno.EPERM, "ioctl", _bits(1, _WORD, request))
    # What lies in the page cache of a shared file is a note from one cell to the next: it is neither told nor cleared.
    refused.rule(_ERRNO | errno.EOPNOTSUPP, "preadv2", _bits(5, _RWF_NOWAIT, _RWF_NOWAIT))
    refused.rule(_ERRNO, "fadvise64", _bits(3, _WORD, _DONTNEED))
    # A lease on a file makes whoever opens it for writing wait, which may be the organiser.
    for command in (_SETLEASE, _NOTIFY):
        refused.rule(_ERRNO | errno.EINVAL, "fcntl", _bits(1, _WORD, command))
    # Programs of sockets take memory that no control group counts.
    for option in _SOCKET_PROGRAMS:
        refused.rule(_ERRNO | errno.EPERM, "setsockopt", _bits(1, _WORD, socket.SOL_SOCKET), _bits(2, _WORD, option))
    # The guard has set a limit by which the kernel starts no program for a crash; it stays, and nobody who turns cores off fails.
    refused.rule(_ERRNO, "setrlimit", _bits(0, _WORD, _RLIMIT_CORE))
    refused.rule(_ERRNO, "prlimit64", _bits(1, _WORD, _RLIMIT_CORE), _Compare(2, _NOT_EQUAL, 0, 0))
    for advice in (_MADV_COLD, _MADV_PAGEOUT):
        refused.rule(_ERRNO | errno.EINVAL, "madvise", _bits(2, _WORD, advice))
    return allowed.program(), refused.program()


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    except OSError:
        raise OSError("the library libseccomp.so.2 is not installed; on Debian: apt-get install libseccomp2") from None
    library.seccomp_init.restype = ctypes.c_void_p
    return library
