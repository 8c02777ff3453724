"""The guard: a small process between the evaluator and one worker, whose only task is that no process of the worker outlives it.

Run as a script (``python -I -S guard.py CONTROL [--user ID] [--processes N] -- COMMAND``), standard library only. It starts the
command when it is told to go. On Linux it is the sub-reaper of everything the worker starts: a child that called ``setsid`` or
forked twice becomes the guard's child and is found again. It kills the tree when the evaluator says so, when the evaluator is
gone (the control descriptor ends), and when the worker itself has ended. With ``--user`` (the guard then runs as root in a room
of its own) the worker becomes that user in a user namespace of its own, with no way back.

What it does not do: defend itself. A worker of the same user can kill or stop its guard; the evaluator notices, sweeps the worker's
session and says so, but a descendant that left the session may then survive. Tiers with a namespace of their own close that hole.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import selectors
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWUSER = 0x10000000


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
    _say(control, {"ready": True})
    if not os.read(control, 64).startswith(b"go"):
        return
    wake_read, wake_write = os.pipe()
    guard = os.getpid()
    worker = os.fork()
    if worker == 0:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
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
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else map(str, range(256)):
        if int(name) not in keep:
            with contextlib.suppress(OSError):
                os.close(int(name))

    _say(control, {"pid": worker, "reaper": reaper})
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
    report: dict[str, object] = {"ended": True, "killed": status is None}
    if status is not None:
        report |= {"code": os.WEXITSTATUS(status)} if os.WIFEXITED(status) else {"signal": os.WTERMSIG(status)}
    _say(control, report)


def _say(control: int, report: dict[str, object]) -> None:
    with contextlib.suppress(OSError):  # the evaluator may be gone
        os.write(control, json.dumps(report).encode() + b"\n")


if __name__ == "__main__":
    main()
