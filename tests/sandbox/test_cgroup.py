"""Control groups beside other users of the machine: their folders can be read, and so be locked, by everybody."""

import fcntl
import os

import pytest

from evaluator.files import hold
from evaluator.sandbox import cgroup
from evaluator.sandbox.cgroup import ControlGroup
from evaluator.sandbox.limits import Limits


@pytest.fixture
def group(tmp_path) -> ControlGroup:
    return ControlGroup(2, {"memory": tmp_path / "group", "pids": tmp_path / "group"}, Limits())


def locked_first(monkeypatch, times: int) -> list[int]:
    """Somebody else locks the folder before we do, so many times, and never lets it go."""
    locked: list[int] = []

    def late(path, **how):
        if len(locked) < times:
            locked.append(os.open(path, os.O_RDONLY))
            fcntl.flock(locked[-1], fcntl.LOCK_SH)
        return hold(path, **how)

    monkeypatch.setattr(cgroup, "hold", late)
    return locked


def test_a_folder_that_somebody_locked_is_made_anew(group, tmp_path, monkeypatch):
    locked = locked_first(monkeypatch, 3)
    group._make_folders()
    assert len(locked) == 3
    assert len(group._held) == 1
    assert os.path.samestat(os.fstat(group._held[0]), (tmp_path / "group").stat())


def test_where_every_folder_is_locked_nobody_waits(group, monkeypatch):
    locked = locked_first(monkeypatch, 1_000)
    with pytest.raises(BlockingIOError):
        group._make_folders()
    assert len(locked) == cgroup._TRIES
