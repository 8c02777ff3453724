"""What a worker may make of its folder and of itself: it is seen, counted, and cleared away."""

from __future__ import annotations

import mmap
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from evaluator.sandbox.channel import BASE, ProtocolError, Schema
from evaluator.sandbox.guard import children, is_marked
from evaluator.sandbox.limits import Limits
from evaluator.sandbox.scratch import remove_tree
from evaluator.sandbox.watch import Watch, folder_breach, mapped, nameless_files, sent_bytes

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
MIB = 1 << 20


def nest(folder: Path, depth: int) -> None:
    """Folders in folders, by steps that are each short."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("inner", dir_fd=here)
        below = os.open("inner", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT, dir_fd=here))
    os.close(here)


def test_folders_deeper_than_recursion_and_paths_are_removed(tmp_path: Path) -> None:
    """1,500 levels are more than Python recurses, and 9,000 characters more than a path may have."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    nest(folder, 1_500)
    remove_tree(folder)
    assert not folder.exists()


def test_locked_folders_and_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    """What a link points to stays; a folder without rights does not."""
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("stays")
    folder = tmp_path / "scratch"
    (folder / "locked" / "inner").mkdir(parents=True)
    (folder / "locked" / "inner" / "file").touch()
    (folder / "link").symlink_to(kept)
    os.mkfifo(folder / "pipe")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\n")).touch()
    (folder / "locked" / "inner").chmod(0)
    (folder / "locked").chmod(0)
    remove_tree(folder)
    assert not folder.exists()
    assert (kept / "file").read_text() == "stays"


def test_a_folder_too_deep_to_look_into_is_a_breach(tmp_path: Path) -> None:
    """What it holds could not be counted, so it is not allowed to be there."""
    nest(tmp_path, 400)
    breach = folder_breach(tmp_path, Limits())
    assert breach is not None
    assert breach.limit == "depth"
    assert "100 allowed" in str(breach)
    remove_tree(tmp_path)
    tmp_path.mkdir()
    nest(tmp_path, 50)
    assert folder_breach(tmp_path, Limits()) is None


@linux
def test_files_without_a_name_are_counted(tmp_path: Path) -> None:
    """An open file that was unlinked fills the disk like any other; one in memory fills the memory."""
    before = nameless_files([os.getpid()])
    with open(tmp_path / "gone", "wb") as file:
        file.write(b"\1" * (4 * MIB))
        file.flush()
        os.fsync(file.fileno())
        os.unlink(file.name)
        held = os.memfd_create("held")
        twin = os.dup(held)
        try:
            os.write(held, b"\1" * (2 * MIB))
            opened = nameless_files([os.getpid()])
        finally:
            os.close(held)
            os.close(twin)
    assert opened.memory - before.memory == 2 * MIB  # once, though two descriptors hold it
    assert 4 * MIB <= opened.disk - before.disk < 5 * MIB
    assert opened.descriptors >= before.descriptors + 3
    assert nameless_files([os.getpid()]).memory == before.memory
    assert folder_breach(tmp_path, Limits(disk=MIB), unlinked=2 * MIB).limit == "disk"  # type: ignore[union-attr]


@linux
def test_shared_memory_counts_when_no_process_has_its_pages() -> None:
    """The kernel keeps the pages of shared memory that a process lets go of; its mapping still says how many there may be."""
    before = mapped([os.getpid()])
    with mmap.mmap(-1, 8 * MIB, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS) as area:
        area.write(b"\1" * len(area))
        area.madvise(mmap.MADV_DONTNEED)
        seen = mapped([os.getpid()])
    assert seen.memory - before.memory == 8 * MIB
    assert seen.mappings > before.mappings
    assert mapped([os.getpid()]).memory == before.memory


@linux
def test_what_lies_in_network_sockets_is_counted() -> None:
    """Datagrams that nobody reads, and answers of the kernel's; unix sockets only where nobody else counts them."""
    net, enough = Path("/proc/self/net"), 1 << 50
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        socket.socket(socket.AF_UNIX),
    ):
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
        receiver.bind(("127.0.0.1", 0))
        before = sent_bytes(net, enough, local=False)
        for _ in range(3):
            sender.sendto(bytes(40_000), receiver.getsockname())
        assert sent_bytes(net, enough, local=False) - before >= 100_000
        assert sent_bytes(net, enough) > sent_bytes(net, enough, local=False)
        assert sent_bytes(net, 1) > 1  # and ends early


@linux
def test_page_tables_and_pipes_are_memory() -> None:
    """A child whose own pages are few: what the kernel keeps for it breaks the limit, also in the second and fairer count."""
    code = (
        "import mmap, os, time\n"
        "area = mmap.mmap(-1, 1 << 36, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, prot=mmap.PROT_READ)\n"
        "area.madvise(15)\n"
        "for at in range(0, len(area), 2 << 20): area[at]\n"
        "print('read', flush=True); time.sleep(20)"
    )
    with subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "read\n"
            ended: list[bool] = []
            watch = Watch(process.pid, Limits(memory=64 * MIB), None, lambda: ended.append(True))
            process_seen = watch._tree(0)
            watch.close()
        finally:
            process.kill()
    assert process_seen is not None
    assert process_seen.limit == "memory"


@linux
def test_the_mark_of_a_worker_stays_and_is_inherited() -> None:
    """A marked process is told from ours, and so is its child that left the session."""
    code = (
        "import os, sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from evaluator.sandbox.guard import mark_worker\n"
        "mark_worker()\n"
        "os.setsid() if os.fork() == 0 else None\n"
        # One write per process: an unbuffered print makes two, between which the other process may write.
        "os.write(1, b'%d\\n' % os.getpid()); time.sleep(20)"
    )
    root = str(Path(__file__).parents[2])
    with subprocess.Popen([sys.executable, "-c", code, root], stdout=subprocess.PIPE, text=True) as process:
        pids = [int(process.stdout.readline()) for _ in range(2)]  # type: ignore[union-attr]
        try:
            assert all(is_marked(pid) for pid in pids)
            assert process.pid in children(os.getpid())
            assert not is_marked(os.getpid())
        finally:
            for pid in pids:
                os.kill(pid, 9)
    assert not is_marked(2**22 + 1)


@pytest.mark.parametrize(
    "fields",
    [
        {"t": "progress", "fraction": 10**400},
        {"t": "progress", "fraction": float("inf")},
        {"t": "progress", "fraction": float("nan")},
        {"t": "done", "n": 2**63},
        {"t": "done", "shape": [[[1]]]},
        {"t": "done", "shape": [1.0]},
        {"t": "done", "shape": [True]},
        {"t": "done", "shape": [10**4000]},
        {"t": "done", "shape": [1] * 1000},
    ],
)
def test_numbers_that_would_raise_where_they_are_used_are_refused(fields: dict) -> None:
    """A number of 400 digits is an integer, and no float: it ended the evaluator once."""
    schema = BASE | Schema(optional={"done": {"n": int, "shape": list}})
    with pytest.raises(ProtocolError, match="whose"):
        schema.check(fields, b"")
