"""What a worker may make of its folder and of itself: it is seen, counted, and cleared away."""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nested import nest

from evaluator.sandbox import scratch
from evaluator.sandbox.channel import BASE, ProtocolError, Schema
from evaluator.sandbox.guard import children, is_marked
from evaluator.sandbox.guarded import read_report
from evaluator.sandbox.limits import Limits
from evaluator.sandbox.scratch import PREFIX, remove_abandoned_folders, remove_tree, scratch_folder
from evaluator.sandbox.watch import Watch, folder_breach, mapped, nameless_files, sent_bytes

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
MIB = 1 << 20


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
def test_files_that_are_waited_for_are_counted() -> None:
    before = nameless_files([os.getpid()]).noted
    ends = [os.eventfd(0) for _ in range(30)]
    with select.epoll() as waiting:
        try:
            for end in ends:
                waiting.register(end)
            assert nameless_files([os.getpid()]).noted == before + 30
        finally:
            for end in ends:
                os.close(end)
    assert nameless_files([os.getpid()]).noted == before


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


def test_folders_that_become_links_while_they_are_removed_lead_nowhere(tmp_path: Path) -> None:
    """A process that lives on swaps folders for links to the organiser's: the links are removed, and nothing behind them."""
    kept = tmp_path / "kept"
    (kept / "results").mkdir(parents=True)
    (kept / "labels.csv").write_text("labels")
    (kept / "results" / "cell.json").write_text("{}")
    kept.chmod(0o755)
    for turn in range(5):
        folder = tmp_path / f"scratch-{turn}"
        for number in range(200):
            (folder / f"d{number}" / "inner").mkdir(parents=True)
        stop = threading.Event()

        def swap(folder: Path = folder, stop: threading.Event = stop) -> None:
            for number in itertools.cycle(reversed(range(200))):
                if stop.is_set():
                    return
                for path in (folder / f"d{number}" / "inner", folder / f"d{number}"):
                    with contextlib.suppress(OSError):
                        os.rmdir(path)
                        os.symlink(kept, path)

        swapper = threading.Thread(target=swap)
        swapper.start()
        with contextlib.suppress(OSError):  # what is put there after it was looked at may stay
            remove_tree(folder)
        stop.set()
        swapper.join()
        assert (kept / "labels.csv").read_text() == "labels"
        assert (kept / "results" / "cell.json").read_text() == "{}"
        assert kept.stat().st_mode & 0o777 == 0o755


def test_names_of_many_bytes_at_any_depth_are_removed(tmp_path: Path) -> None:
    """A path of few characters may have more bytes than the system takes; no path is ever built."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    here = os.open(folder, os.O_RDONLY)
    for _ in range(60):
        os.mkdir("\U0001f600" * 63, dir_fd=here)
        below = os.open("\U0001f600" * 63, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open(b"\xff\n\x1b[2J", os.O_CREAT, dir_fd=here))
    os.close(here)
    remove_tree(folder)
    assert not folder.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_another_file_system_is_left_alone_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    (folder / "disk").mkdir(parents=True)
    (folder / "file").touch()
    if subprocess.run(["mount", "-t", "tmpfs", "none", str(folder / "disk")], check=False).returncode:
        pytest.skip("this root may not mount")
    try:
        (folder / "disk" / "kept").touch()
        with pytest.raises(OSError, match="another file system"):
            remove_tree(folder)
        assert (folder / "disk" / "kept").exists()
        assert not (folder / "file").exists()
    finally:
        subprocess.run(["umount", str(folder / "disk")], check=True)


def test_a_folder_that_cannot_be_removed_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """What stays is a warning that names it: it ended every later evaluation once."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"{PREFIX}left").mkdir()

    def refuse(folder: Path) -> None:
        raise OSError(36, "File name too long")

    monkeypatch.setattr(scratch, "remove_tree", refuse)
    assert remove_abandoned_folders() == 0
    assert f"{PREFIX}left" in capsys.readouterr().err
    with scratch_folder() as folder:
        (folder / "file").touch()
    assert "File name too long" in capsys.readouterr().err


# -- the guard's line


@pytest.mark.parametrize(
    ("line", "report"),
    [
        (b"ready 1", {"ready": 1}),
        (b"pid 123 reaper 1", {"pid": 123, "reaper": 1}),
        (b"ended 1 killed 0 code 3", {"ended": 1, "killed": 0, "code": 3}),
        (b"", {}),
        (b"[" * 2000, {}),
        (b"pid " + b"9" * 4000, {}),
        (b"pid -1", {}),
        (b'{"ended": true}', {}),
        (b"pid 1\x1b[2J 1", {}),
        (b"pid 1 " * 50, {}),
    ],
)
def test_a_line_of_a_guard_is_read_or_is_none(line: bytes, report: dict[str, int]) -> None:
    assert read_report(line) == report


@given(st.binary(max_size=200) | st.from_regex(rb"([a-z]{0,9} [0-9-]{0,12} ?){0,9}", fullmatch=True))
def test_no_line_of_a_guard_raises(line: bytes) -> None:
    report = read_report(line)
    assert all(type(value) is int and 0 <= value < 10**10 for value in report.values())
    assert len(report) <= 8
