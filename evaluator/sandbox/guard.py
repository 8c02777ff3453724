"""The guard: a small process between the evaluator and one worker, whose only task is that no process of the worker outlives it.

Run as a script (``python -I -S guard.py CONTROL [--user ID] [--processes N] [--landlock PLACES] -- COMMAND``), standard library
only. It starts the command when it is told to go. On Linux it is the sub-reaper of everything the worker starts: a child that
called ``setsid`` or forked twice becomes the guard's child and is found again. It kills the tree when the evaluator says so, when
the evaluator is gone (the control descriptor ends), and when the worker itself has ended. With ``--user`` (the guard then runs as
root in a room of its own) the worker becomes that user in a user namespace of its own, with no way back. Before the worker starts,
it gets a session keyring of its own, the rules of ``--landlock``, and the filters of system calls that the evaluator has sent.

What it does not do: resist signals. It can be neither traced nor read by a worker of the same user, but that worker can kill or
stop it; the evaluator notices, sweeps the worker's session and says so, but a descendant that left the session may then survive.
Tiers with a namespace of their own close that hole.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import selectors
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
KEYCTL_JOIN_SESSION_KEYRING = 1
KEYCTL = {"x86_64": 250, "aarch64": 219}
"""Number of the system call, which the C library does not wrap."""
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWUSER = 0x10000000
DESCRIPTORS = 8192
"""Most open files of a process: what they hold in the kernel is counted, and counting has to end in time."""


def become_reaper() -> bool:
    """Make orphans of our descendants our children. False where the system has no such thing."""
    if not sys.platform.startswith("linux"):
        return False
    return ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def descendants(root: int) -> list[int]:
    """Process numbers of everything below ``root``."""
    if not os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children"):
        return _descendants_by_parent(root)
    found: list[int] = []
    front = [root]
    while front:
        pid = front.pop()
        below = children(pid)
        found += below
        front += below
    return found


def children(pid: int) -> list[int]:
    """Process numbers of a process's children, where the kernel keeps a list of them; none for a process that is gone."""
    found: list[int] = []
    with contextlib.suppress(OSError):  # it ended while we looked
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                found += map(int, file.read().split())
    return found


def _descendants_by_parent(root: int) -> list[int]:
    """The same from every process's parent, for kernels that keep no list of children."""
    parents: dict[int, int] = {}
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open(f"/proc/{name}/stat", "rb") as file:
                        stat = file.read()
                except OSError:
                    continue  # it ended while we looked
                # The command's name may hold spaces and brackets; the fields after the last bracket are plain.
                parents[int(name)] = int(stat[stat.rindex(b")") + 2 :].split()[1])
    found: list[int] = []
    front = {root}
    while front:
        front = {pid for pid, parent in parents.items() if parent in front}
        found += front
    return found


def kill_tree(worker: int) -> None:
    """Kill the worker and everything below us, until no child is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker, signal.SIGKILL)
    while True:
        # Stop first, then kill: a tree that keeps forking cannot outrun us while it stands still.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in descendants(os.getpid()):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            signal.sigtimedwait({signal.SIGCHLD}, 0.01)
        except ChildProcessError:
            return


def mark_worker() -> None:
    """Lower a hard limit that nothing needs, by 1. Only root can raise it again, so every process that the worker starts bears the
    mark, whatever parent or session it moves to. Read by ``is_marked``."""
    number = getattr(resource, "RLIMIT_MSGQUEUE", None)
    if number is not None:
        _, hard = resource.getrlimit(number)
        lower = 1 << 40 if hard == resource.RLIM_INFINITY else max(0, hard - 1)
        resource.setrlimit(number, (lower, lower))


def is_marked(pid: int) -> bool:
    """Whether a worker started a process; asked from a process that no worker started."""
    number = getattr(resource, "RLIMIT_MSGQUEUE", None)
    with contextlib.suppress(OSError, ValueError), open(f"/proc/{pid}/limits") as file:
        for line in file:
            if line.startswith("Max msgqueue size") and number is not None:
                theirs = line.split()[-2]
                _, ours = resource.getrlimit(number)
                return theirs != "unlimited" and (ours == resource.RLIM_INFINITY or int(theirs) < ours)
    return False


def become(user: int) -> None:
    """Give up root for good, and enter a user namespace that knows no other user.

    Raises:
        OSError: some step was refused; the caller must not go on.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    # Giving up root makes a process undumpable, and its own files in /proc root's; the maps below are such files.
    for option, value in ((PR_SET_DUMPABLE, 1), (PR_SET_NO_NEW_PRIVS, 1)):
        if libc.prctl(option, value, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")
    if libc.unshare(CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER)")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{user} {user} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def own_keyring() -> None:
    """Leave the keyring of the evaluator's login session for a new and empty one."""
    number = KEYCTL.get(os.uname().machine)
    if number is not None and sys.platform.startswith("linux"):
        ctypes.CDLL(None).syscall(number, KEYCTL_JOIN_SESSION_KEYRING, None)


def install(filters: list[bytes]) -> None:
    """Filter the system calls of this process and of all that it starts, for good.

    Raises:
        OSError: the kernel refuses a filter; the caller must not go on.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if filters and libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
    for program in filters:
        code = ctypes.create_string_buffer(program, len(program))

        class Program(ctypes.Structure):
            _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

        head = Program(len(program) // 8, ctypes.addressof(code))
        if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(head), 0, 0):
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_SECCOMP)")


def confine(places: str) -> None:
    """Put this process and all that it starts under Landlock; it keeps the given places and its own folder in /proc.

    Raises:
        OSError: the kernel refuses it; the caller must not go on.
    """
    import json

    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import landlock

    landlock.restrict([*map(tuple, json.loads(places)), ("read", f"/proc/{os.getpid()}")])


def refuse_cores() -> None:
    """No core of a crash. Not by a limit of 0: where the kernel pipes cores to a program, it starts that all the same, as root and
    outside of every room; with a limit of 1 it does not."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # an ordinary user whose limit is 0 cannot raise it


def limit_descriptors() -> None:
    """Bound the open files of a process: 1,024, which libraries expect, and at most ``DESCRIPTORS``, or half of what we may have.

    The kernel counts the descriptors that wait in sockets for all processes of a user together, and refuses one more to who sends
    it if they are more than the sender's own limit. So the evaluator, which has twice as much (``readonly.allow_descriptors``), can
    give files to a worker whatever other workers leave in their sockets.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    hard = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard // 2, DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))


def limit_processes(more: int) -> None:
    """Let this user have ``more`` processes and threads than now. The kernel counts per user; it does not count root's."""
    now = 0
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        with contextlib.suppress(OSError):
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == os.getuid():
                now += len(os.listdir(f"/proc/{name}/task"))
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    limit = now + more if hard == resource.RLIM_INFINITY else min(now + more, hard)
    resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))


def main() -> None:
    """Start the command, wait, and leave nothing behind."""
    control = int(sys.argv[1])
    options = dict(zip(*[iter(sys.argv[2 : sys.argv.index("--")])] * 2, strict=True))
    command = sys.argv[sys.argv.index("--") + 1 :]
    reaper = become_reaper()
    # SIGCHLD is blocked and waited for; the worker must not inherit the mask.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # The evaluator may first put us into a control group; what we start is then in it from its first instruction on.
    _say(control, ready=1)
    filters = _read_order(control)
    if filters is None:
        return
    if sys.platform.startswith("linux"):
        # A worker of the same user can then neither trace us, nor read our memory, nor take our end of the line.
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    wake_read, wake_write = os.pipe()
    guard = os.getpid()
    worker = os.fork()
    if worker == 0:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        refuse_cores()
        mark_worker()
        for descriptor in (control, wake_read, wake_write):
            os.close(descriptor)
        try:
            # Behind us in the queue for the processor: a tree that forks without end must not keep us from ending it.
            os.nice(5)
            if "--user" in options:
                become(int(options["--user"]))
            if "--processes" in options and os.geteuid() != 0:
                limit_processes(int(options["--processes"]))
            limit_descriptors()
            own_keyring()
            if "--landlock" in options:
                confine(options["--landlock"])
            install(filters)
            if sys.platform.startswith("linux"):
                # After the change of user, which clears it.
                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                if os.getppid() != guard:
                    os._exit(127)
            os.execv(command[0], command)
        except OSError as error:
            os.write(2, f"the worker could not be started: {error}\n".encode())
        finally:
            os._exit(127)
    # Only the worker may hold its ends of the channel and the pipes; otherwise nobody would notice that it closed them.
    keep = {control, wake_read, wake_write}
    if "--landlock" in options:
        # Its rule about its folder in /proc is about the entry that the kernel has now, and keeps while somebody holds it open.
        with contextlib.suppress(OSError):
            keep.add(os.open(f"/proc/{worker}", os.O_PATH))
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else map(str, range(256)):
        if int(name) not in keep:
            with contextlib.suppress(OSError):
                os.close(int(name))

    _say(control, pid=worker, reaper=reaper)
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    selector.register(wake_read, selectors.EVENT_READ)
    status = None
    while status is None:
        ready = {key.fd for key, _ in selector.select()}
        if control in ready:
            break  # "kill", or the evaluator is gone: either way the tree is killed
        if wake_read in ready:
            os.read(wake_read, 4096)
        try:
            while (seen := os.waitpid(-1, os.WNOHANG))[0]:
                if seen[0] == worker:
                    status = seen[1]
        except ChildProcessError:
            break
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    if status is None:
        seen = os.waitpid(worker, os.WNOHANG)
        status = seen[1] if seen[0] else None
    kill_tree(worker)
    report = {"ended": 1, "killed": int(status is None)}
    if status is not None:
        report |= {"code": os.WEXITSTATUS(status)} if os.WIFEXITED(status) else {"signal": os.WTERMSIG(status)}
    _say(control, **report)


def _read_order(control: int) -> list[bytes] | None:
    """Wait for the order to go: ``go``, the sizes of the filters in bytes, and after the line the filters; None where none
    comes."""
    text = b""
    while b"\n" not in text:
        more = os.read(control, 1 << 16)
        if not more:
            return None
        text += more
    line, _, rest = text.partition(b"\n")
    word, *sizes = line.split()
    if word != b"go":
        return None
    while len(rest) < sum(map(int, sizes)):
        more = os.read(control, 1 << 16)
        if not more:
            return None
        rest += more
    filters, at = [], 0
    for size in map(int, sizes):
        filters.append(rest[at : at + size])
        at += size
    return filters


def _say(control: int, **report: int) -> None:
    """One line to the evaluator: names and small numbers, ``pid 17 reaper 1``. Nothing in it needs a parser that can be thrown."""
    with contextlib.suppress(OSError):  # the evaluator may be gone
        os.write(control, " ".join(f"{name} {int(value)}" for name, value in report.items()).encode() + b"\n")


if __name__ == "__main__":
    main()
