"""Watches what a worker's tree uses, where the kernel is not asked to.

Looks every 50 ms, less often where a look is expensive. A tree that grows faster than that can exceed a limit before it is ended;
with cgroups it cannot, so they are used where they can be written. Address-space limits are not used at all: they count what is
merely reserved, and break OpenBLAS and CUDA.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from evaluator.files import entered
from evaluator.sandbox.guard import descendants
from evaluator.sandbox.limits import Breach, LimitGroup, Limits

INTERVAL = 0.05
SHARE = 0.05
"""Share of one core that watching may cost: it runs beside the participant's clock."""
DEEPEST = 100
"""Levels of folders in a scratch folder. Looking into them holds one descriptor per level."""
MOST_DESCRIPTORS = 100_000
"""Open files of a whole tree that has a scratch folder; a look at more would take too long to be worth much."""
SHARED_MEMORY = "/dev/shm"
MOST_MAPPINGS = 400_000
"""Mappings of a whole tree: each is a note of the kernel's, and a look at more would take too long. PyTorch has 2,000 a process."""
LONGEST_PAUSE = 1.0
"""Most seconds between two looks, however slow a worker makes them: it would pay with its own time for more."""
MAPPING_BYTES = 256
"""What the kernel keeps of a mapping."""
USUAL_DESCRIPTORS = 256
DESCRIPTOR_BYTES = 8192
"""What an open file can hold in the kernel that no figure of the process shows: the two pages of a pipe. Counted beyond the usual
number of open files."""
NOTED_BYTES = 256
"""What the kernel keeps for a file that an epoll or inotify descriptor waits for."""
MOST_NOTED = 4_000_000
"""Such files of a whole tree; a look at more would take too long."""
_NAMELESS = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) (\S+ \d+) +/dev/zero \(deleted\)$", re.MULTILINE)
"""How memory that is shared without a name shows among the mappings."""
NOTING = ("anon_inode:[eventpoll]", "anon_inode:inotify", "anon_inode:[inotify]")
WMEM_MAX = Path("/proc/sys/net/core/wmem_max")


class Watch:
    """Calls ``end`` once when a limit is broken.

    Args:
        root: the process whose descendants are watched; itself counts too.
        scratch: the folder whose size is watched, or None where it cannot outgrow its limit.
        end: ends the tree; called on the watch's thread, at most once.
        group: limits memory and processes, where there is one. The kernel then kills one process of a tree that is too large;
            the watch ends the others, which might wait for it.
        mounts: file systems in memory, as seen in the room of ``root``'s first child. Their size is bounded where they are
            mounted, the number of their files is not; without a group their bytes count as memory. What lies in network sockets
            counts as well; with a group by itself.
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
        self._mapped, self._mapped_cost, self._next_mapped = Mapped(0, 0), 0.0, 0.0
        self._end = end
        self._stop = threading.Event()
        self._free = (_free(str(scratch)), _free(SHARED_MEMORY))
        self._flew = False
        self._thread = threading.Thread(target=self._look, name="worker-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching. Not from ``end``, which runs on the watch's own thread."""
        self._stop.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=10)

    def _look(self) -> None:
        looks, cost = 0, 0.0
        while not self._stop.wait(max(INTERVAL, min(LONGEST_PAUSE, cost / SHARE))):
            started, self._mapped_cost = time.thread_time(), 0.0
            held, files = self._mounted()
            unlinked, breach = 0, None
            if self._group is None or (self._scratch is not None and looks % 4 == 0):
                opened = nameless_files([self._root, *descendants(self._root)])
                held, unlinked = held + opened.memory, opened.disk
                if opened.descriptors > MOST_DESCRIPTORS:
                    breach = Breach("descriptors", opened.descriptors, MOST_DESCRIPTORS)
                elif self._scratch is not None:  # in a room, files lie on mounts of bounded size, whether they have a name or not
                    breach = self._flying(opened.flying)
                if self._group is None:
                    held += opened.noted * NOTED_BYTES + (0 if self._mounts else opened.sockets * _socket_bytes())
            if breach is None:
                breach = self._tree(held) if self._group is None else self._beside_group(held)
            if breach is None and files > self._limits.files:
                breach = Breach("files", files, self._limits.files)
            # Walking the scratch folder costs more than reading /proc, and a disk fills more slowly than memory.
            if breach is None and self._scratch is not None and looks % 4 == 0:
                breach = folder_breach(self._scratch, self._limits, unlinked)
            looks += 1
            # Looking at mappings has a pace of its own: those who make it slow do not slow down the rest.
            cost = time.thread_time() - started - self._mapped_cost
            if breach is not None:
                self.breach = breach
                self._end()
                return

    def _flying(self, descriptors: int) -> Breach | None:
        """Files whose descriptors wait in a socket belong to no process, and no look at processes sees them.

        While any wait for two looks on end, what is gone of the free space counts as theirs.
        """
        flew, self._flew = self._flew, descriptors > 0
        if flew and self._flew:
            disk, memory = self._free[0] - _free(str(self._scratch)), self._free[1] - _free(SHARED_MEMORY)
            if disk > self._limits.disk:
                return Breach("disk", disk, self._limits.disk)
            if memory > self._limits.memory:
                return Breach("memory", memory, self._limits.memory)
        return None

    def _mounted(self) -> tuple[int, int]:
        """(bytes in the mounts and in sockets, files in the mounts); zeros where the room is gone, or not ours to look into. With
        a control group only the bytes that it does not count."""
        held, files = 0, 0
        with contextlib.suppress(OSError, IndexError):
            inside = f"/proc/{descendants(self._root)[0]}" if self._mounts else ""
            if self._mounts:
                held += sent_bytes(Path(inside) / "net", self._limits.memory, local=self._group is None)
            for mount in self._mounts:
                seen = os.statvfs(f"{inside}/root{mount}")
                files += seen.f_files - seen.f_ffree
                if self._group is None:
                    held += (seen.f_blocks - seen.f_bfree) * seen.f_frsize
        return held, files

    def _beside_group(self, held: int) -> Breach | None:
        if held > self._limits.memory:
            return Breach("memory", held, self._limits.memory)
        return _memory_only(self._group.breach()) if self._group is not None else None

    def _too_many_mappings(self, pids: list[int]) -> Breach | None:
        if time.monotonic() < self._next_mapped:
            return None
        started = time.thread_time()
        self._mapped = mapped(pids)
        self._mapped_cost += time.thread_time() - started
        self._next_mapped = time.monotonic() + min(LONGEST_PAUSE, max(4 * INTERVAL, self._mapped_cost / SHARE))
        return Breach("mappings", self._mapped.mappings, MOST_MAPPINGS) if self._mapped.mappings > MOST_MAPPINGS else None

    def _tree(self, held: int) -> Breach | None:
        pids = [self._root, *descendants(self._root)]
        if breach := self._too_many_mappings(pids):
            return breach
        held += self._mapped.memory
        seen = [_status(pid) for pid in pids]
        tasks = sum(status.threads for status in seen)
        if tasks > self._limits.processes:
            return Breach("processes", tasks, self._limits.processes)
        kernel = sum(status.kernel for status in seen) + self._mapped.mappings * MAPPING_BYTES
        if kernel > self._limits.memory:  # the figure below would walk all these tables
            return Breach("memory", kernel, self._limits.memory)
        # A file in memory may be mapped or not; it is counted once.
        if sum(status.own for status in seen) + kernel + max(sum(status.shared for status in seen), held) > self._limits.memory:
            # Pages that a fork shares are counted in every process above; the proportional figure is dearer, and fair.
            own, common = 0, 0
            for pid in pids:
                figures = _proportional(pid)
                own, common = own + figures[0], common + figures[1]
                if own + kernel + max(held, common) > self._limits.memory:
                    return Breach("memory", own + kernel + max(held, common), self._limits.memory)
                # A process that changes its mappings holds up whoever asks for this figure; many of them hold it up for seconds.
                if breach := self._too_many_mappings(pids):
                    return breach
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


class Status(NamedTuple):
    """Figures of one process: bytes of its own memory, of memory that is shared, of what the kernel keeps for it; threads."""

    own: int
    shared: int
    kernel: int
    threads: int


def _status(pid: int) -> Status:
    """What the kernel says of a process; zeros for a process that is gone."""
    found = _fields(f"/proc/{pid}/status", (b"RssAnon", b"RssShmem", b"VmSwap", b"VmPTE", b"Threads", b"FDSize"))
    open_files = DESCRIPTOR_BYTES * max(0, found.get(b"FDSize", 0) - USUAL_DESCRIPTORS)
    return Status(
        own=1024 * (found.get(b"RssAnon", 0) + found.get(b"VmSwap", 0)),
        shared=1024 * found.get(b"RssShmem", 0),
        kernel=1024 * found.get(b"VmPTE", 0) + open_files,
        threads=found.get(b"Threads", 0),
    )


def _proportional(pid: int) -> tuple[int, int]:
    """(bytes of its own memory, of shared memory), pages shared by n processes counted as an n-th."""
    found = _fields(f"/proc/{pid}/smaps_rollup", (b"Pss_Anon", b"Pss_Shmem", b"SwapPss"))
    shared = found.pop(b"Pss_Shmem", 0)
    return 1024 * sum(found.values()), 1024 * shared


class Mapped(NamedTuple):
    """What the mappings of a tree hold: bytes of shared memory without a name, and how many mappings there are."""

    memory: int
    mappings: int


def mapped(pids: Iterable[int]) -> Mapped:
    """Look at the mappings of processes for memory that is shared and has no name: the kernel keeps its pages when a process lets
    go of them, and no process has them then. Counted by the length of the longest mapping. Looks at no more than ``MOST_MAPPINGS``.
    """
    longest: dict[bytes, int] = {}
    count = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError), open(f"/proc/{pid}/maps", "rb") as file:  # it ended while we looked
            while text := b"".join(file.readlines(1 << 20)):
                count += text.count(b"\n")
                if count > MOST_MAPPINGS:
                    break
                for first, last, offset, name in _NAMELESS.findall(text):
                    longest[name] = max(longest.get(name, 0), int(offset, 16) + int(last, 16) - int(first, 16))
    return Mapped(sum(longest.values()), count)


class Opened(NamedTuple):
    """What the open files of a tree hold: bytes in memory and on disk of files without a name, sockets, descriptors that wait in
    these sockets, descriptors looked at, files that epoll and inotify descriptors wait for."""

    memory: int
    disk: int
    sockets: int
    flying: int
    descriptors: int
    noted: int


def nameless_files(pids: Iterable[int]) -> Opened:
    """Look at the open files of processes. Files that have no name any more are listed by no folder.

    Those on a mount in memory are left out: their mount counts them. Looks at no more than ``MOST_DESCRIPTORS`` and one process's.
    """
    found: dict[tuple[int, int], tuple[bool, int]] = {}
    sockets: dict[int, int] = {}
    count = noted = 0
    for pid in pids:
        if count > MOST_DESCRIPTORS:
            break
        with contextlib.suppress(OSError):  # it ended while we looked
            for name in os.listdir(f"/proc/{pid}/fd"):
                count += 1
                with contextlib.suppress(OSError):
                    path = f"/proc/{pid}/fd/{name}"
                    state = os.stat(path)
                    if stat.S_ISREG(state.st_mode) and state.st_nlink == 0:
                        found[state.st_dev, state.st_ino] = os.readlink(path).startswith("/memfd:"), state.st_blocks * 512
                    elif stat.S_ISSOCK(state.st_mode):
                        sockets[state.st_ino] = _fields(f"/proc/{pid}/fdinfo/{name}", (b"scm_fds",)).get(b"scm_fds", 0)
                    elif stat.S_IFMT(state.st_mode) == 0 and os.readlink(path) in NOTING:
                        # A descriptor that a fork copied is counted again: nothing tells that it is the same.
                        noted += _noted(f"/proc/{pid}/fdinfo/{name}", MOST_NOTED - noted)
    memory = sum(size for memory, size in found.values() if memory)
    disk = sum(size for memory, size in found.values() if not memory)
    return Opened(memory, disk, len(sockets), sum(sockets.values()), count, noted)


def _noted(path: str, most: int) -> int:
    """How many files a descriptor of epoll or inotify waits for: a line each. Reads little more than ``most`` of them."""
    count = 0
    with open(path, "rb", buffering=0) as file:
        while count < most and (part := file.read(1 << 20)):
            count += part.count(b"\ntfd:") + part.count(b"\ninotify ")
    return count


def _free(place: str) -> int:
    try:
        seen = os.statvfs(place)
    except OSError:
        return 0
    return seen.f_bavail * seen.f_frsize


def _socket_bytes() -> int:
    """What a unix socket can hold that nobody reads: twice what its sender may ask for."""
    try:
        return 2 * int(WMEM_MAX.read_text())
    except (OSError, ValueError):
        return 2 * 212_992


def sent_bytes(net: Path, enough: int, local: bool = True) -> int:
    """Bytes that lie in the sockets of a network namespace: what unix sockets can hold, and what the others do hold.

    Sockets whose descriptors are themselves in a socket's queue belong to no process; the namespace lists them all the same.

    Args:
        net: ``/proc/<pid>/net`` of a process in the namespace.
        enough: counting ends here.
        local: also count unix sockets. Control groups count these, and no others in version 1.
    """
    total, each = 0, _socket_bytes()
    if local:
        with contextlib.suppress(OSError), open(net / "unix", "rb") as file:
            for _ in file:
                total += each
                if total > enough:
                    return total
    for kind in ("tcp", "tcp6", "udp", "udp6", "netlink"):
        with contextlib.suppress(OSError, ValueError, IndexError), open(net / kind, "rb") as file:
            next(file, None)
            for line in file:
                total += _queued(kind, line.split())
                if total > enough:
                    return total
    return total


def _queued(kind: str, row: list[bytes]) -> int:
    """What a socket holds, by its row of ``/proc/net``. TCP's figures are of its data, which lies in packets twice as large."""
    if kind == "netlink":
        return int(row[4]) + int(row[5])
    sent, received = row[4].split(b":")
    return (int(sent, 16) + int(received, 16)) * (2 if kind.startswith("tcp") else 1)


def folder_breach(folder: Path, limits: Limits, unlinked: int = 0) -> Breach | None:
    """Whether a folder holds more than it may: bytes on disk (a sparse file's holes are none), files and folders, levels.

    Folders are entered by descriptors, never through a link. ``unlinked`` bytes are added to those seen.
    """
    total, files = unlinked, 0
    above: list[tuple[int, list[str]]] = []
    try:
        with contextlib.suppress(OSError):
            above.append(_entries(str(folder), None))
        while above:
            here, names = above[-1]
            if not names:
                os.close(here)
                above.pop()
                continue
            name = names.pop()
            files += 1
            if files > limits.files:
                return Breach("files", files, limits.files)
            with contextlib.suppress(OSError):
                state = os.stat(name, dir_fd=here, follow_symlinks=False)
                total += state.st_blocks * 512
                if total > limits.disk:
                    return Breach("disk", total, limits.disk)
                if stat.S_ISDIR(state.st_mode):
                    if len(above) > DEEPEST:
                        return Breach("depth", len(above), DEEPEST)
                    above.append(_entries(name, here))
    finally:
        for here, _ in above:
            os.close(here)
    return Breach("disk", total, limits.disk) if total > limits.disk else None


def _entries(name: str, folder: int | None) -> tuple[int, list[str]]:
    """A descriptor of a folder and the names in it. A worker that takes its own rights away would hide what it writes."""
    here = entered(name, folder)
    try:
        return here, os.listdir(here)
    except OSError:
        os.close(here)
        raise
