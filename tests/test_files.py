"""The one writer: a file is replaced whole or not at all, and what killed writers leave is told from what living writers need."""

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from nested import nest

from evaluator import files
from evaluator.files import (
    alone_by,
    hold,
    hold_aloud,
    remove_temporaries,
    remove_tree,
    replaced,
    temporary_folder,
    unheld,
    write_bytes,
    write_new,
    write_text,
)

ROOT = Path(__file__).resolve().parents[1]


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob(".*"))


def run(code: str, *arguments: object) -> int:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)], cwd=ROOT, timeout=60, capture_output=True, check=False
    )
    return done.returncode


@pytest.mark.parametrize("durable", [True, False])
def test_a_text_is_written_as_it_is(tmp_path, durable):
    path = tmp_path / "a.txt"
    write_text(path, "first")
    write_text(path, "ä\r\nb\n", durable=durable)
    assert path.read_bytes() == "ä\r\nb\n".encode()
    write_bytes(path, b"\0\xff\n", durable=durable)
    assert path.read_bytes() == b"\0\xff\n"
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("links", [True, False], ids=["links", "a file system without links"])
def test_a_new_file_never_replaces_what_is_there(tmp_path, monkeypatch, links):
    def refused(*_):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    if not links:
        monkeypatch.setattr(files.os, "link", refused)
    path = tmp_path / "a.txt"
    assert write_new(path, b"first", permissions=0o600)
    assert not write_new(path, b"second")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"first", 0o600)
    (tmp_path / "link").symlink_to("nowhere")
    assert not write_new(tmp_path / "link", b"third")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["a.txt", "link"]


def test_a_new_file_that_cannot_be_written_is_not_there(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_new(tmp_path / "a.txt", b"first")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_at_the_final_name_before_the_block_ends(tmp_path):
    path = tmp_path / "a.bin"
    with replaced(path, "wb") as file:
        file.write(b"1234")
        file.flush()
        assert not path.exists()
        temporary = Path(file.name)
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".a.bin.")
        assert temporary.name.endswith(".tmp")
        assert temporary.read_bytes() == b"1234"
    assert path.read_bytes() == b"1234"
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()])
def test_an_error_in_the_block_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with replaced(path) as file:
            file.write("new")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert path.read_text() == "old"
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("place", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, place):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    if place == "write":
        # /dev/full refuses what the buffer flushes, as a full disk does.
        real = os.open
        monkeypatch.setattr(os, "open", lambda name, flags, *mode: real("/dev/full", os.O_WRONLY) if mode else real(name, flags))
        monkeypatch.setattr(files, "hold", lambda *_, **__: real("/dev/null", os.O_RDONLY))
    else:
        monkeypatch.setattr(os, place, full)
    with pytest.raises(OSError, match="No space left on device"):
        write_text(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert hidden(tmp_path) == []


def test_a_folder_that_is_gone_is_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_text(tmp_path / "gone" / "a.txt", "x")


def test_a_folder_that_vanishes_during_the_writing_is_an_error_of_the_rename(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()

    def write():
        with replaced(folder / "a.txt") as file:
            Path(file.name).unlink()
            folder.rmdir()

    with pytest.raises(FileNotFoundError):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_place_of_the_file_stays(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write_text(tmp_path / "a", "x")
    assert (tmp_path / "a" / "b").is_dir()
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_follow_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "a", "x")
        with replaced(tmp_path / "b", permissions=0o600) as file:
            assert stat.S_IMODE(os.stat(file.name).st_mode) == 0o600
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~mask
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o600


def test_durable_means_the_file_and_its_folder_are_synchronised(tmp_path, monkeypatch):
    seen = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (seen.append(stat.S_IFMT(os.fstat(descriptor).st_mode)), real(descriptor)))
    write_text(tmp_path / "a", "x", durable=False)
    assert seen == []
    write_text(tmp_path / "a", "x")
    assert seen == [stat.S_IFREG, stat.S_IFDIR]


def test_a_folder_that_cannot_be_synchronised_is_no_error(tmp_path, monkeypatch):
    real = os.fsync

    def refuse(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(22, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    write_text(tmp_path / "a", "x")
    assert (tmp_path / "a").read_text() == "x"


def test_what_a_killed_writer_left_is_removed_and_the_old_file_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = """
        import os, signal, sys
        from pathlib import Path
        from evaluator.files import replaced
        with replaced(Path(sys.argv[1])) as file:
            file.write("new" * 10_000)
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    assert run(code, path) == -signal.SIGKILL
    assert path.read_text() == "old"
    assert len(hidden(tmp_path)) == 1
    remove_temporaries(tmp_path, "other*")
    assert len(hidden(tmp_path)) == 1
    remove_temporaries(tmp_path, "a.*")
    assert hidden(tmp_path) == []
    assert path.read_text() == "old"


def test_what_a_living_writer_needs_stays(tmp_path):
    path = tmp_path / "a.txt"
    with replaced(path) as file:
        file.write("new")
        remove_temporaries(tmp_path)
        assert Path(file.name).exists()
    assert path.read_text() == "new"


def test_cleaning_spares_what_is_not_temporary_and_never_raises(tmp_path):
    token = "0123456789abcdef"
    kept = {".a.tmp.kept", ".hidden", ".a.0.tmp", f".a.{token}0.tmp", f".a.{token.upper()}.tmp", f"..{token}.tmp"}
    for name in (*kept, "a.tmp"):
        (tmp_path / name).write_text("x")
    (tmp_path / f".link.{token}.tmp").symlink_to(tmp_path / "a.tmp")
    os.mkfifo(tmp_path / f".pipe.{token}.tmp")
    remove_temporaries(tmp_path)
    assert (tmp_path / "a.tmp").exists()
    assert set(hidden(tmp_path)) == {*kept, f".link.{token}.tmp"}
    remove_temporaries(tmp_path / "gone")


def test_a_cleaner_that_comes_before_the_mark_costs_only_another_try(tmp_path, monkeypatch):
    met = []

    def late(path, **how):
        if not met:
            met.append(path)
            remove_temporaries(tmp_path)
            assert not path.exists()
        return hold(path, **how)

    monkeypatch.setattr(files, "hold", late)
    write_text(tmp_path / "a", "x")
    assert len(met) == 1
    assert (tmp_path / "a").read_text() == "x"
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("how", [fcntl.LOCK_SH, fcntl.LOCK_EX])
def test_who_locks_a_temporary_before_its_writer_delays_nothing(tmp_path, monkeypatch, how):
    """Whoever may read a file may lock it, and may never let it go."""
    locked = []

    def late(path, **told):
        if len(locked) < 3:
            locked.append(os.open(path, os.O_RDONLY))
            fcntl.flock(locked[-1], how)
        return hold(path, **told)

    monkeypatch.setattr(files, "hold", late)
    write_text(tmp_path / "a", "x")
    assert (len(locked), (tmp_path / "a").read_text()) == (3, "x")
    del locked[:2]
    with temporary_folder(tmp_path, "b") as folder:
        assert len(locked) == 3
        (folder / "c").touch()
        os.rename(folder, tmp_path / "b")
    assert (tmp_path / "b" / "c").exists()
    assert hidden(tmp_path) == []


def test_two_writers_at_once_leave_the_whole_text_of_either(tmp_path):
    path, texts = tmp_path / "a", ["a" * 200_000, "b" * 200_000]
    path.write_text(texts[0])
    failed, stop = [], threading.Event()

    def write(text):
        try:
            for _ in range(50):
                write_text(path, text, durable=False)
        except Exception as error:
            failed.append(error)

    def clean():
        while not stop.is_set():
            remove_temporaries(tmp_path)

    writers, cleaner = [threading.Thread(target=write, args=(text,)) for text in texts], threading.Thread(target=clean)
    for thread in (*writers, cleaner):
        thread.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_text() in texts
    stop.set()
    cleaner.join()
    assert failed == []
    assert path.read_text() in texts
    assert hidden(tmp_path) == []


def test_a_temporary_folder_is_renamed_or_removed(tmp_path):
    with temporary_folder(tmp_path, "data") as folder:
        (folder / "a").write_text("x")
        remove_temporaries(tmp_path)
        folder.rename(tmp_path / "data")
    assert (tmp_path / "data" / "a").read_text() == "x"

    def fail():
        with temporary_folder(tmp_path, "data") as folder:
            (folder / "a").write_text("y")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert hidden(tmp_path) == []


def test_the_next_temporary_folder_removes_what_a_killed_process_left(tmp_path):
    code = """
        import os, signal, sys
        from pathlib import Path
        from evaluator.files import temporary_folder
        with temporary_folder(Path(sys.argv[1]), "[data]") as folder:
            (folder / "inner").mkdir()
            (folder / "inner" / "a").write_text("x")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    assert run(code, tmp_path) == -signal.SIGKILL
    assert len(hidden(tmp_path)) == 1
    with temporary_folder(tmp_path, "other"):
        assert len(hidden(tmp_path)) == 2
    with temporary_folder(tmp_path, "[data]") as folder:
        assert hidden(tmp_path) == [folder.name]
    assert hidden(tmp_path) == []


# -- removal


def test_folders_deeper_than_recursion_and_paths_are_removed(tmp_path):
    """1,500 levels are more than Python recurses, and 9,000 characters more than a path may have."""
    folder = tmp_path / "tree"
    folder.mkdir()
    nest(folder, 1_500)
    remove_tree(folder)
    assert list(tmp_path.iterdir()) == []


def test_locked_folders_and_links_are_removed_and_not_followed(tmp_path):
    kept, folder = tmp_path / "kept", tmp_path / "tree"
    kept.mkdir()
    (kept / "file").write_text("stays")
    (folder / "locked" / "inner").mkdir(parents=True)
    (folder / "locked" / "inner" / "file").touch()
    (folder / "link").symlink_to(kept)
    (folder / "locked" / "link").symlink_to(kept)
    os.mkfifo(folder / "pipe")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\n")).touch()
    (folder / "locked" / "inner").chmod(0)
    (folder / "locked").chmod(0)
    remove_tree(folder)
    assert not folder.exists()
    assert (kept / "file").read_text() == "stays"


def test_a_link_or_a_file_in_the_place_of_the_folder_is_removed_alone(tmp_path):
    kept, folder = tmp_path / "kept", tmp_path / "tree"
    kept.mkdir()
    (kept / "file").write_text("stays")
    folder.symlink_to(kept)
    remove_tree(folder)
    assert not folder.is_symlink()
    folder.write_text("x")
    remove_tree(folder)
    remove_tree(folder)  # nothing is there any more
    assert [path.name for path in tmp_path.rglob("*")] == ["kept", "file"]


def test_a_folder_that_becomes_a_link_meanwhile_is_not_followed(tmp_path, monkeypatch):
    """Another process swaps a folder for a link between the look at it and its opening."""
    kept, folder = tmp_path / "kept", tmp_path / "tree"
    kept.mkdir()
    (kept / "file").write_text("stays")
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").touch()
    real = files._unlinked

    def swap(name, place):
        found = real(name, place)
        if name == "inner" and (folder / "inner").is_dir() and not (folder / "inner").is_symlink():
            (folder / "inner").rename(tmp_path / "moved")
            (folder / "inner").symlink_to(kept)
        return found

    monkeypatch.setattr(files, "_unlinked", swap)
    with pytest.raises(OSError, match="inner"):
        remove_tree(folder)
    assert (kept / "file").read_text() == "stays"


def test_what_lies_on_another_file_system_stays_and_the_rest_goes(tmp_path, monkeypatch):
    folder = tmp_path / "tree"
    (folder / "mounted").mkdir(parents=True)
    (folder / "mounted" / "file").write_text("stays")
    (folder / "plain").write_text("goes")
    inode, real = (folder / "mounted").stat().st_ino, os.fstat

    def elsewhere(descriptor):
        found = real(descriptor)
        return os.stat_result((*found[:2], found.st_dev + 1, *found[3:])) if found.st_ino == inode else found

    monkeypatch.setattr(os, "fstat", elsewhere)
    with pytest.raises(OSError, match="another file system"):
        remove_tree(folder)
    monkeypatch.undo()
    assert sorted(path.name for path in folder.rglob("*")) == ["file", "mounted"]


# -- locks


def test_several_may_hold_a_path_shared_and_it_is_unheld_after_the_last(tmp_path):
    first, second = hold(tmp_path, shared=True), hold(tmp_path, shared=True)
    for descriptor in (first, second):
        with unheld(tmp_path) as free:
            assert not free
        os.close(descriptor)
    with unheld(tmp_path) as free, unheld(tmp_path) as twice:
        assert free
        assert not twice
    (tmp_path / "link").symlink_to(tmp_path)
    with unheld(tmp_path / "link") as free:
        assert not free, "of a link it cannot be told"


def test_on_a_file_system_without_locks_files_are_written_and_nothing_is_unheld(tmp_path, monkeypatch):
    """NFS answers EBADF for what is not open for writing."""

    def refuse(*_):
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    write_text(tmp_path / "a", "x")
    with unheld(tmp_path / "a") as free:
        assert not free
    assert (tmp_path / "a").read_text() == "x"


HOLD = "import fcntl, os, sys, time; d = os.open(sys.argv[1], os.O_RDONLY); fcntl.flock(d, fcntl.LOCK_EX)"


@pytest.fixture
def stranger():
    """Locks a file from another process, as somebody does who may only read it; returns that process."""
    started = []

    def lock(path: Path) -> subprocess.Popen:
        code = HOLD + "; print('held', flush=True); time.sleep(600)"
        started.append(subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline() == "held\n"
        return started[-1]

    yield lock
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "alone"])
def test_what_is_waited_for_is_said_once_with_who_has_it(tmp_path, monkeypatch, capsys, stranger, shared):
    holder, pauses = stranger(tmp_path), []

    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == 20:
            holder.kill()
            holder.wait()

    monkeypatch.setattr(files, "TOLD_AFTER", 0)
    monkeypatch.setattr(files.time, "sleep", pause)
    os.close(hold_aloud(tmp_path, shared=shared))
    said = capsys.readouterr().err
    assert said.count("waiting: ") == said.count("\n") == 1
    assert f"{tmp_path} is locked by" in said
    assert f"`fuser -v {tmp_path}`" in said
    assert f"by process {holder.pid} (" in said or "by another process" in said, "not every file system is told of"
    assert (pauses[0], max(pauses)) == (files._FIRST_PAUSE, files._LONGEST_PAUSE)


def test_a_short_wait_is_not_spoken_of(tmp_path, monkeypatch, capsys, stranger):
    holder = stranger(tmp_path)

    def pause(_):
        holder.kill()
        holder.wait()

    monkeypatch.setattr(files.time, "sleep", pause)
    os.close(hold_aloud(tmp_path))
    assert capsys.readouterr().err == ""


def test_an_interrupt_ends_the_waiting_and_leaves_nothing_open(tmp_path, monkeypatch, stranger):
    stranger(tmp_path)

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.time, "sleep", interrupted)
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(KeyboardInterrupt):
        hold_aloud(tmp_path)
    with alone_by(tmp_path / "x.lock"), pytest.raises(KeyboardInterrupt), alone_by(tmp_path / "x.lock"):
        pytest.fail("it is locked")
    assert len(os.listdir("/dev/fd")) == before


def test_who_has_a_lock_is_read_from_the_kernels_list(tmp_path, monkeypatch):
    status = os.stat(tmp_path)
    there = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    rows = (
        f"1: FLOCK  ADVISORY  READ {os.getpid()} {there} 0 EOF",
        f"1: -> FLOCK  ADVISORY  WRITE 4194301 {there} 0 EOF",
        f"2: FLOCK  ADVISORY  WRITE -1 {there} 0 EOF",
        f"3: POSIX  ADVISORY  WRITE 4194302 {there} 0 EOF",
        f"4: FLOCK  ADVISORY  WRITE 4194303 {there}1 0 EOF",
        f"5: FLOCK  ADVISORY  READ 4194304 {there} 0 EOF",
        "half a line",
    )
    read = Path.read_text

    def listed(path, *arguments, **options):
        return "\n".join(rows) if str(path) == "/proc/locks" else read(path, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", listed)
    first, second = files._lockers(status)
    assert first.startswith(str(os.getpid()))
    assert second == "4194304", "a process without a name is told by its number"

    def gone(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", gone)
    assert files._lockers(status) == []


def test_a_lock_file_is_its_owners_alone(tmp_path, stranger):
    path = tmp_path / "x.lock"
    before = os.umask(0)
    try:
        with alone_by(path), unheld(path) as free:
            assert not free
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with unheld(path) as free:
        assert free
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(OSError, match="symbolic links"), alone_by(tmp_path / "link"):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone gives files away")
def test_a_lock_file_that_root_makes_belongs_to_the_owner_of_its_folder(tmp_path):
    os.chown(tmp_path, 65534, 65534)
    with alone_by(tmp_path / "x.lock"):
        pass
    assert (tmp_path / "x.lock").stat().st_uid == 65534
