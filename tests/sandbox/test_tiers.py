"""The choice of a tier: what a room shows of an environment, what hinders it; a weaker tier is never taken in silence."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from evaluator.sandbox import bubblewrap, tiers
from evaluator.sandbox.bubblewrap import BubblewrapSandbox, further_packages, interpreter_places
from evaluator.sandbox.conformance.selfcheck import SelfCheck
from evaluator.sandbox.conformance.stage import Stage
from evaluator.sandbox.tier import WorkerSpec


@pytest.fixture
def room(monkeypatch):
    """A tier ``bubblewrap`` as root has it, whether the program is here or not. Nothing is started."""
    made = object.__new__(BubblewrapSandbox)
    made._root, made._gpu = True, False
    return made


def test_packages_that_a_pth_file_adds_are_shown_and_nothing_else_of_the_path_is(tmp_path, monkeypatch):
    shared, own, kit = tmp_path / "shared", tmp_path / "labels", tmp_path / "kit"
    (shared / "numpy-2.0.dist-info").mkdir(parents=True)
    own.mkdir()
    (kit / "venv" / "six-1.dist-info").mkdir(parents=True)
    (kit / "kit-1.dist-info").mkdir()
    path = ["", "relative", str(shared), str(own), str(kit), str(tmp_path), str(kit / "venv"), str(tmp_path / "gone")]
    assert further_packages(path, kit) == {shared, kit / "venv"}
    monkeypatch.setattr(sys, "path", [*sys.path, str(shared)])
    assert shared in interpreter_places()


def test_a_folder_of_roots_alone_is_shown_by_what_lies_in_it(tmp_path, monkeypatch, room):
    closed, free = tmp_path / "closed", tmp_path / "free"
    for place in (closed, free):
        (place / "bin").mkdir(parents=True)
    closed.chmod(0o700)
    free.chmod(0o755)
    monkeypatch.setattr(bubblewrap, "interpreter_places", lambda: [closed, free])
    words = list(room._room(WorkerSpec(submission=tmp_path), {}, 0))
    binds = {words[i + 1] for i, word in enumerate(words) if word.startswith("--ro-bind")}
    assert {str(closed / "bin"), str(free)} <= binds
    assert str(closed) not in binds


def test_what_hinders_the_room_is_said_with_its_cause(tmp_path, monkeypatch, room):
    monkeypatch.setattr(bubblewrap, "_open_to_all", lambda path: path.name != "run.py")
    cause, way = room.hindrance()
    assert "nobody, who may not read" in cause
    assert "run.py" in cause
    assert way == f"let others read it: chmod -R go+rX {bubblewrap.KIT_ROOT}"
    monkeypatch.setattr(bubblewrap, "_open_to_all", lambda path: True)
    assert room.hindrance() is None
    monkeypatch.setattr(bubblewrap, "interpreter_places", list)
    monkeypatch.setattr(bubblewrap, "SYSTEM", ())
    assert "numpy lies in" in room.hindrance()[0]


def test_the_known_cause_stands_in_place_of_the_general_advice(monkeypatch):
    class Hindered:
        promises = frozenset()

        def hindrance(self):
            return "the cause", "what to do"

    monkeypatch.setitem(tiers.SANDBOXES, "bubblewrap", lambda gpu: Hindered())
    monkeypatch.setattr(tiers, "self_check", lambda sandbox: SelfCheck("something failed"))
    tiers.state.cache_clear()
    try:
        assert tiers.why_not("bubblewrap") == "the cause; what to do"
    finally:
        tiers.state.cache_clear()


def test_auto_says_loudly_why_it_took_a_weaker_tier(monkeypatch):
    reasons = {"bubblewrap": SelfCheck("the cause", way="what to do"), "process": SelfCheck("")}
    monkeypatch.setattr(tiers, "state", lambda name, gpu=False: reasons[name])
    said = tiers.passed_over("process")
    assert said.startswith("isolation: auto took process, which hides nothing")
    assert said.endswith("bubblewrap: the cause; what to do.")
    assert tiers.passed_over("bubblewrap") == ""
    assert tiers.passed_over("a tier of a test") == ""


def test_a_stage_can_be_read_by_the_workers_user_whatever_the_umask(tmp_path):
    seen = {}

    class Door:
        def start(self, spec):
            seen.update({path: path.stat().st_mode & 0o777 for path in (spec.submission, *spec.submission.iterdir())})
            raise OSError("no further")

    before = os.umask(0o077)
    try:
        stage = Stage(Door(), tmp_path)
        with pytest.raises(OSError, match="no further"), stage.cast("pass"):
            pass
    finally:
        os.umask(before)
    assert sorted(seen.values()) == [0o644, 0o755]
    assert {Path(stage.weights).stat().st_mode & 0o777, (stage.weights / "b4.pth").stat().st_mode & 0o777} == {0o755, 0o644}


def test_choosing_a_tier_raises_the_evaluators_own_limit_of_open_files():
    """A worker's own is lower: what it leaves in sockets must not keep files from other workers."""
    text = """
        import resource
        from evaluator.sandbox.readonly import MOST_OPEN
        from evaluator.sandbox.tiers import choose
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
        choose("process")
        soft, after = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert after == hard
        assert soft == (MOST_OPEN if hard == resource.RLIM_INFINITY else min(hard, MOST_OPEN)), (soft, hard)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(text)], check=True, timeout=60)
