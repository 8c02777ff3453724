"""Watches what a worker's tree uses, where the kernel is not asked to.

Looks every 50 ms, less often where a look is expensive. A tree that grows faster than that can exceed a limit before it is ended;
with cgroups it cannot, so they are used where they can be written. Address-space limits are not used at all: they count what is
merely reserved, and break OpenBLAS and CUDA.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from evaluator.sandbox.guard import descendants
from evaluator.sandbox.limits import Breach, LimitGroup, Limits

INTERVAL = 0.05
SHARE = 0.05
"""Share of one core that watching may cost: it runs beside the participant's clock."""
LONGEST_PATH = 2048
"""Bytes of a folder's path. The system takes no path of twice as many, and what lies deeper could not be seen."""


class Watch:
    """Calls ``end`` once when a limit is broken.

    Args:
        root: the process whose descendants are watched; itself counts too.
        scratch: the folder whose size is watched, or None where it cannot outgrow its limit.
        end: ends the tree; called on the watch's thread, at most once.
        group: limits memory and processes, where there is one. The kernel then kills one process of a tree that is too large;
            the watch ends the others, which might wait for it.
        mounts: file systems in memory, as seen in the room of ``root``'s first child. Their size is bounded where they are
            mounted, the number of files in the first of them is not; without a group their bytes count as memory.
    """

    def __init__(
        self,
        root: int,
        limits: Limits,
        scratch: Path | None,
        end: Callable[[], None],
        *,
        group: LimitGroup | None = None,
        mounts: tuple[str, ...] = (),
    ) -> None:
        self.breach: Breach | None = None
        self._root, self._limits, self._scratch, self._group, self._mounts = root, limits, scratch, group, mounts
        self._end = end
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="worker-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching. Not from ``end``, which runs on the watch's own thread."""
        self._stop.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=10)

    def _look(self) -> None:
        looks, cost = 0, 0.0
        while not self._stop.wait(max(INTERVAL, cost / SHARE)):
            started = time.thread_time()
            held, files = self._mounted()
            unlinked = 0
            if looks % 4 == 0 or self._group is None:
                nameless, unlinked = nameless_files([self._root, *descendants(self._root)])
                held += nameless
            breach = self._tree(held) if self._group is None else _memory_only(self._group.breach())
            if breach is None and files > self._limits.files:
                breach = Breach("files", files, self._limits.files)
            # Walking the scratch folder costs more than reading /proc, and a disk fills more slowly than memory.
            if breach is None and self._scratch is not None and looks % 4 == 0:
                breach = folder_breach(self._scratch, self._limits, unlinked)
            looks += 1
            cost = time.thread_time() - started
            if breach is not None:
                self.breach = breach
                self._end()
                return

    def _mounted(self) -> tuple[int, int]:
        """(bytes in the mounts, files in the first of them); zeros where the room is gone, or not ours to look into."""
        held, files = 0, 0
        with contextlib.suppress(OSError, IndexError):
            room = f"/proc/{descendants(self._root)[0]}/root" if self._mounts else ""
            for mount in self._mounts:
                seen = os.statvfs(room + mount)
                held += (seen.f_blocks - seen.f_bfree) * seen.f_frsize
                if mount == self._mounts[0]:
                    files = seen.f_files - seen.f_ffree
        return held, files

    def _tree(self, held: int) -> Breach | None:
        pids = [self._root, *descendants(self._root)]
        memory, shared, tasks = 0, 0, 0
        for pid in pids:
            own, common, threads = _status(pid)
            memory += own
            shared += common
            tasks += threads
        if tasks > self._limits.processes:
            return Breach("processes", tasks, self._limits.processes)
        # A file in memory may be mapped or not; it is counted once.
        if memory + max(shared, held) > self._limits.memory:
            # Pages that a fork shares are counted in every process above; the proportional figure is dearer, and fair.
            own_and_common = [_proportional(pid) for pid in pids]
            memory = sum(own for own, _ in own_and_common) + max(held, sum(common for _, common in own_and_common))
            if memory > self._limits.memory:
                return Breach("memory", memory, self._limits.memory)
        return None


def _fields(path: str, names: Iterable[bytes]) -> dict[bytes, int]:
    wanted = set(names)
    found: dict[bytes, int] = {}
    with contextlib.suppress(OSError, ValueError, IndexError), open(path, "rb") as file:
        for line in file:
            name, _, rest = line.partition(b":")
            if name in wanted:
                found[name] = int(rest.split()[0])
    return found


def _memory_only(breach: Breach | None) -> Breach | None:
    # A refused fork has ended nothing; the worker may go on.
    return breach if breach is not None and breach.limit == "memory" else None


def _status(pid: int) -> tuple[int, int, int]:
    """(bytes of the process's own memory, of shared memory, threads); zeros for a process that is gone."""
    found = _fields(f"/proc/{pid}/status", (b"RssAnon", b"RssShmem", b"VmSwap", b"Threads"))
    threads, shared = found.pop(b"Threads", 0), found.pop(b"RssShmem", 0)
    return 1024 * sum(found.values()), 1024 * shared, threads


def _proportional(pid: int) -> tuple[int, int]:
    """(bytes of its own memory, of shared memory), pages shared by n processes counted as an n-th."""
    found = _fields(f"/proc/{pid}/smaps_rollup", (b"Pss_Anon", b"Pss_Shmem", b"SwapPss"))
    shared = found.pop(b"Pss_Shmem", 0)
    return 1024 * sum(found.values()), 1024 * shared


def nameless_files(pids: Iterable[int]) -> tuple[int, int]:
    """Bytes of open files that have no name any more: (in memory of their own, elsewhere). No folder lists them.

    Those on a mount in memory are left out of both: their mount counts them.
    """
    found: dict[tuple[int, int], tuple[bool, int]] = {}
    for pid in pids:
        with contextlib.suppress(OSError):  # it ended while we looked
            for name in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    path = f"/proc/{pid}/fd/{name}"
                    state = os.stat(path)
                    if stat.S_ISREG(state.st_mode) and state.st_nlink == 0:
                        found[state.st_dev, state.st_ino] = os.readlink(path).startswith("/memfd:"), state.st_blocks * 512
    return sum(size for memory, size in found.values() if memory), sum(size for memory, size in found.values() if not memory)


def folder_breach(folder: Path, limits: Limits, unlinked: int = 0) -> Breach | None:
    """Whether a folder holds more than it may: bytes on disk (a sparse file's holes are none), files and folders.

    Folders that lie too deep to be named are a breach by themselves, since what they hold could not be seen. ``unlinked`` bytes are
    added to those seen.
    """
    total, files = unlinked, 0
    stack = [str(folder)]
    while stack:
        place = stack.pop()
        if (length := len(os.fsencode(place))) > LONGEST_PATH:
            return Breach("path", length, LONGEST_PATH)
        with contextlib.suppress(OSError), _listed(place) as entries:
            for entry in entries:
                files += 1
                with contextlib.suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(entry.path)
                if total > limits.disk:
                    break
                if files > limits.files:
                    return Breach("files", files, limits.files)
        if total > limits.disk:
            return Breach("disk", total, limits.disk)
    return None


def _listed(place: str) -> Any:
    try:
        return os.scandir(place)
    except PermissionError:
        # A worker that takes its own rights away would hide what it writes.
        os.chmod(place, 0o700, follow_symlinks=False) if os.chmod in os.supports_follow_symlinks else os.chmod(place, 0o700)
        return os.scandir(place)
