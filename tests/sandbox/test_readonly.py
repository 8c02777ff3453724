"""Files given by descriptor: read by everybody who holds it, changed by nobody, and no note from one worker to the next."""

from __future__ import annotations

import mmap
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluator.sandbox import readonly
from evaluator.sandbox.readonly import Content, Opener, sealed

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts and seals are Linux's")


def ways(descriptor: int) -> dict[str, Callable[[], object]]:
    """What a holder of the same user could try."""
    place = f"/proc/self/fd/{descriptor}"
    return {
        "mode": lambda: os.fchmod(descriptor, 0o666),
        "mode by path": lambda: os.chmod(place, 0o666),
        "open to write": lambda: os.close(os.open(place, os.O_RDWR)),
        "open to append": lambda: os.close(os.open(place, os.O_WRONLY | os.O_APPEND)),
        "cut": lambda: os.truncate(place, 0),
        "write": lambda: os.write(descriptor, b"x"),
        "map": lambda: mmap.mmap(descriptor, 0, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE),
    }


@pytest.fixture(params=["ours", "helper"])
def made(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Opener:
    """An opener that mounts by itself, as root does, and another that has a helper mount for it, as everybody else does."""
    program = shutil.which("bwrap")
    if request.param == "ours" and os.geteuid() != 0:
        pytest.skip("only root mounts by itself")
    if request.param == "helper":
        if program is None:
            pytest.skip("bubblewrap is not installed")
        monkeypatch.setattr(readonly, "read_only", lambda path: readonly._through(program, path))
        if os.geteuid() != 0:
            monkeypatch.setattr(readonly, "read_only", None)
    return Opener(program)


@linux
def test_a_given_file_is_read_and_cannot_be_changed(made: Opener, tmp_path: Path) -> None:
    file = tmp_path / "images.npy"
    file.write_bytes(b"pixels")
    file.chmod(0o644)
    descriptor = made.opened(file)
    try:
        assert os.pread(descriptor, 100, 0) == b"pixels"
        changed = []
        for name, way in ways(descriptor).items():
            try:
                way()
            except OSError:
                continue
            changed.append(name)
        assert not changed
        # The name says nothing of the machine's folders.
        assert str(tmp_path) not in os.readlink(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    assert file.read_bytes() == b"pixels"
    assert file.stat().st_mode & 0o777 == 0o644


@linux
def test_two_workers_share_no_offset_and_no_lock(made: Opener, tmp_path: Path) -> None:
    import fcntl

    file = tmp_path / "images.npy"
    file.write_bytes(b"0123456789")
    first, second = made.opened(file), made.opened(file)
    try:
        os.lseek(first, 7, os.SEEK_SET)
        assert os.lseek(second, 0, os.SEEK_CUR) == 0
        fcntl.flock(first, fcntl.LOCK_EX)
        os.close(first)
        first = -1
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        for descriptor in (first, second):
            if descriptor >= 0:
                os.close(descriptor)


@linux
def test_a_file_that_was_replaced_is_opened_anew(made: Opener, tmp_path: Path) -> None:
    file = tmp_path / "images.npy"
    for content in (b"first", b"second one"):
        new = tmp_path / "new"
        new.write_bytes(content)
        os.replace(new, file)
        descriptor = made.opened(file)
        assert os.pread(descriptor, 100, 0) == content
        os.close(descriptor)


@linux
def test_what_a_message_brings_is_sealed() -> None:
    descriptor = Opener().opened(Content(b"rows" * 1_000))
    try:
        assert os.pread(descriptor, 1 << 20, 0) == b"rows" * 1_000
        for way in ("cut", "write", "map"):
            with pytest.raises(OSError):  # noqa: PT011 (whichever of the system's errors it is)
                ways(descriptor)[way]()
        writable = os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR)
        with pytest.raises(PermissionError):
            os.pwrite(writable, b"x", 0)
        os.close(writable)
    finally:
        os.close(descriptor)
    empty = sealed(b"")
    assert os.fstat(empty).st_size == 0
    os.close(empty)


@linux
def test_without_a_way_to_mount_the_error_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").touch()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(OSError, match="apt-get install bubblewrap"):
        Opener(None).opened(tmp_path / "x")
    with pytest.raises(OSError, match="No such file"):
        Opener(None).opened(tmp_path / "missing")
