"""Faults on our own side: the evaluator killed at any moment, full and read-only disks, damaged caches and results."""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
import slot_works
from conftest import SUBMISSIONS, TINY
from inline import Inline
from specs import result, spec

import evaluator.files
import evaluator.sweep.run
import local_evaluation
from evaluator.errors import ConfigurationError, Verdict
from evaluator.files import abandoned, hold
from evaluator.history.predictions import read_predictions
from evaluator.history.store import Store
from evaluator.purchase import profiles
from evaluator.purchase.track import PURCHASE
from evaluator.sandbox import cgroup
from evaluator.sandbox.cgroup import ControlGroup, remove_abandoned_groups
from evaluator.sandbox.limits import Limits
from evaluator.sandbox.scratch import remove_abandoned_folders, remove_leftovers, scratch_folder
from evaluator.track import Judged

ROOT = Path(__file__).resolve().parents[2]
RANDOM = SUBMISSIONS / "random_buyer.py"
NOTHING = {"scratch": [], "groups": [], "temporary": [], "sockets": []}
NO_ROOM = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes by /proc")


# -- the evaluator is killed


@linux
@pytest.mark.slow
@pytest.mark.endurance
@pytest.mark.parametrize(("tier", "kills"), [("process", 50), pytest.param("bubblewrap", 12, marks=NO_ROOM)])
def test_an_evaluator_killed_at_random_moments_ends_like_an_undisturbed_one_and_leaves_nothing(tmp_path, data_folder, tier, kills):
    command = [sys.executable, str(ROOT / "tests" / "killed.py"), str(tmp_path), str(data_folder), tier, str(kills), "3"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["status"] == 0, report["said"]
    expected = report["undisturbed"]
    assert len(expected["cells"]) == len(expected["result"]["cells"]) == 5
    assert expected["result"]["score"] is not None
    count, finished, littered = 0, set(), 0
    for run in report["runs"]:
        for kill in run["kills"]:
            assert kill["processes"] == []  # the guard ended the worker, and itself, without being asked
            assert kill["kept"]
            assert kill["left"]["sockets"] == []
            count += 1
            finished.add(kill["finished"])
            littered += kill["left"] != NOTHING
        assert run["status"] == 0, run["said"]
        assert run["kept"]
        assert run["cells taken from the store"] == run["cells before"]
        assert run["processes"] == []
        assert run["left"] == NOTHING
        assert run["outcome"] == expected
    assert report["shared memory"] == []
    assert count >= kills
    # The kills have met what they are meant to meet: litter, and runs that were far on.
    assert littered
    assert max(finished) >= 2


@linux
@pytest.mark.slow
@pytest.mark.endurance
def test_the_front_door_itself_may_be_killed(tmp_path, data_folder):
    (tmp_path / "tmp").mkdir()
    program = textwrap.dedent(f"""
        import sys
        sys.path[:0] = [{str(ROOT / "tests")!r}, {str(ROOT)!r}]
        from pathlib import Path
        from killed import FIVE, arguments
        import local_evaluation
        from evaluator.purchase import profiles
        profiles.PROFILES["five"] = FIVE
        local_evaluation.DATA = Path({str(tmp_path / "data")!r})
        sys.exit(local_evaluation.main(arguments(Path({str(tmp_path)!r}), Path({str(data_folder)!r}), "process") + ["--json"]))
    """)
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp"), "OMP_NUM_THREADS": "1"}
    cells = tmp_path / "results" / "cells"

    def begin():
        pipe = subprocess.PIPE
        return subprocess.Popen([sys.executable, "-c", program], stdout=pipe, stderr=pipe, text=True, env=environment)

    for reached in (lambda: any((tmp_path / "tmp").glob("dck-*")), lambda: len(list(cells.glob("*.json"))) >= 2):
        running = begin()
        deadline = time.monotonic() + 120
        while not reached() and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        running.send_signal(signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL
        running.communicate()
    before = {path.name: path.read_bytes() for path in cells.glob("*.json")}
    assert len(before) >= 2
    running = begin()
    out, err = running.communicate()
    assert running.returncode == 0, err
    # Trainings run side by side, so that those which were finished need not be the first ones.
    finished = {cell["cell"]: cell["cached"] for cell in json.loads(out)["cells"]}
    assert finished == {digest: f"{digest}.json" in before for digest in finished}
    assert len(finished) == 5
    after = {path.name: path.read_bytes() for path in cells.glob("*.json")}
    assert before.items() <= after.items()
    assert {f"{digest}.json" for digest in finished} == set(after)
    for raw in after.values():
        assert read_predictions(tmp_path / "results", json.loads(raw)).shape == (80, 6)
    assert list((tmp_path / "tmp").glob("dck-*")) == []
    assert list((tmp_path / "results").rglob(".*")) == []


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Temporary folders and control groups of this test alone."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(cgroup, "PREFIX", f"dck-worker-{uuid.uuid4().hex[:6]}-")
    return tmp_path / "temporary"


def test_what_a_living_evaluator_needs_is_left_alone(here):
    with scratch_folder() as folder:
        (folder / "file").write_text("mine")
        assert remove_leftovers() == 0
        assert (folder / "file").read_text() == "mine"
    assert list(here.iterdir()) == []


def test_a_dead_evaluators_folder_is_removed_whatever_is_in_it_and_nothing_else(here):
    old = here / "dck-scratch-abcdefgh"
    (old / "deep").mkdir(parents=True)
    (old / "deep").chmod(0)
    (here / "dck-else").mkdir()
    (here / "target").mkdir()
    (here / "target" / "file").write_text("mine")
    (here / "dck-scratch-link").symlink_to(here / "target")
    os.mkfifo(here / "dck-scratch-pipe")  # opening a pipe that nobody writes must not wait
    remove_abandoned_folders()
    assert not old.exists()
    assert (here / "dck-else").is_dir()
    assert (here / "target" / "file").read_text() == "mine"


def test_a_folder_that_is_swept_before_it_is_marked_is_made_again(here, monkeypatch):
    real, swept = tempfile.mkdtemp, []

    def made(*arguments, **options):
        folder = real(*arguments, **options)
        if len(swept) < 3:
            swept.append(folder)
            assert remove_abandoned_folders() == 1
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", made)
    with scratch_folder() as folder:
        assert folder.is_dir()
        assert str(folder) not in swept
        assert remove_abandoned_folders() == 0
    assert len(swept) == 3


def test_a_dead_evaluators_group_is_removed_with_what_lives_in_it(here):
    group = ControlGroup.make(Limits())
    if group is None:
        pytest.skip("no control group can be made here")
    try:
        sleeper = subprocess.Popen(["sleep", "600"])
        group.add(sleeper.pid)
        assert remove_abandoned_groups() == 0
        assert sleeper.poll() is None
        for descriptor in group._held:  # what the kernel does for an evaluator that dies
            os.close(descriptor)
        group._held.clear()
        assert remove_abandoned_groups() >= 1
        assert sleeper.wait(timeout=20) == -signal.SIGKILL
        assert not any(folder.exists() for folder in group._folders.values())
    finally:
        sleeper.kill()
        sleeper.wait()
        group.close()


def test_a_group_that_is_swept_before_it_is_marked_is_made_again(here, monkeypatch):
    if (group := ControlGroup.make(Limits())) is None:
        pytest.skip("no control group can be made here")
    group.close()
    count = 0

    def swept(path, **how):
        nonlocal count
        count += 1
        if count <= 2:
            assert remove_abandoned_groups() == 1
        return hold(path, **how)

    monkeypatch.setattr(cgroup, "hold", swept)
    group = ControlGroup.make(Limits())
    assert group is not None
    assert all(folder.is_dir() for folder in group._folders.values())
    group.close()
    assert not any(folder.exists() for folder in group._folders.values())


def test_a_mark_ends_with_its_holder_and_not_before(tmp_path):
    path = tmp_path / "thing"
    path.touch()
    program = f"""
        import sys, time
        sys.path.insert(0, {str(ROOT)!r})
        from pathlib import Path
        from evaluator.files import hold
        held = hold(Path({str(path)!r}))
        print("held", flush=True)
        time.sleep(600)
    """
    holder = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with abandoned(path) as free:
        assert not free
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with abandoned(path) as free:
        assert free
    with abandoned(tmp_path / "absent") as free:
        assert not free


# -- the disk


@contextlib.contextmanager
def mounted(place: Path, options: str):
    """A small file system of its own at ``place``."""
    place.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(place), b"tmpfs", 0, options.encode()):
        pytest.skip(f"no file system can be mounted here ({os.strerror(ctypes.get_errno())})")
    try:
        yield place
    finally:
        libc.umount2(os.fsencode(place), 2)


def remount_read_only(place: Path) -> None:
    assert ctypes.CDLL(None).mount(None, os.fsencode(place), None, 32 | 1, None) == 0


@pytest.fixture
def evaluate(monkeypatch, tmp_path, data_folder, capsys):
    """Run the front door on the tiny data set: (exit status, what it printed, what it said on stderr)."""
    monkeypatch.setitem(profiles.PROFILES, "tiny", TINY)
    monkeypatch.setattr("evaluator.places.DATA", tmp_path / "data")
    monkeypatch.setattr(local_evaluation, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(evaluator.sweep.run, "places", lambda experiment: Inline())

    def run(*options: object):
        given = ["--profile", "tiny", "--threads", "1", "--device", "cpu", "--submission", RANDOM, "--data", data_folder]
        status = local_evaluation.main([*map(str, given), "--sandbox", "process", "--json", *map(str, options)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.fixture
def after_first_cell(evaluate, monkeypatch):
    """Have something happen when the first cell is stored and the second has been run, before that one is stored."""

    def plan(action):
        count = []

        def work(task):
            found = slot_works.anew(task)
            count.append(1)
            if len(count) == 2:
                action()
            return found

        monkeypatch.setattr(evaluator.sweep.run, "places", lambda experiment: Inline(work))

    return plan


def whole(root: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in (root / "cells").glob("*.json")]


def test_a_disk_that_fills_up_is_named_keeps_what_is_finished_and_can_be_gone_on_with(evaluate, tmp_path, after_first_cell):
    with mounted(tmp_path / "small", "size=512k") as place:
        filler = place / "filler"

        def fill():
            with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))

        after_first_cell(fill)
        status, _, err = evaluate("--out", place)
        assert status == 2
        assert "No space left on device" in err
        assert "--out" in err
        assert "Traceback" not in err
        assert len(whole(place)) == 1
        assert not [path for path in place.rglob(".*") if path.is_file()]
        status, _, err = evaluate("--out", place)
        assert status == 2
        assert "No space left on device" in err
        filler.unlink()
        status, out, _ = evaluate("--out", place)
        assert status == 0
        # The cell of the most labels is trained first.
        assert [cell["cached"] for cell in json.loads(out)["cells"]] == [False, True]


def test_an_output_folder_that_becomes_read_only_is_named(evaluate, tmp_path, after_first_cell):
    with mounted(tmp_path / "small", "size=4m") as place:
        after_first_cell(lambda: remount_read_only(place))
        status, _, err = evaluate("--out", place)
        assert status == 2
        assert "Read-only file system" in err
        assert "--out" in err
        assert len(whole(place)) == 1
        status, _, err = evaluate("--out", place)
        assert status == 2
        assert f"the results folder {place} cannot be written (Read-only file system: {place}" in err


@pytest.mark.parametrize("what", ["out", "tmp"])
def test_a_full_disk_without_any_mount(evaluate, tmp_path, monkeypatch, what):
    """The same where nothing can be mounted: an error for the results, a cell that is our fault for the worker's folder."""

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if what == "out" else (tempfile, "mkdtemp")), full)
    status, out, err = evaluate()
    if what == "out":
        assert status == 2
        assert "No space left on device" in err
        assert not list((tmp_path / "results" / "cells").iterdir())
    else:
        assert status == 1
        for cell in json.loads(out)["cells"]:
            assert cell["verdict"] == Verdict.INFRASTRUCTURE
            assert "No space left on device" in cell["reason"]


def test_a_temporary_folder_that_fills_up_is_our_fault_not_the_participants(evaluate, tmp_path, monkeypatch, after_first_cell):
    with mounted(tmp_path / "small", "size=100m") as place:
        monkeypatch.setattr(tempfile, "tempdir", str(place))
        after_first_cell(lambda: (place / "filler").write_bytes(bytes(60 << 20)))
        status, out, _ = evaluate("--seeds", "2")
        assert status == 1
        *first, third, fourth = json.loads(out)["cells"]
        assert [cell["verdict"] for cell in first] == ["OK", "OK"]
        for cell in (third, fourth):
            assert cell["verdict"] == Verdict.INFRASTRUCTURE
            assert str(place) in cell["reason"]
            assert "TMPDIR" in cell["reason"]
        assert [path.name for path in place.iterdir() if path.name.startswith("dck-")] == []


def test_a_cache_folder_that_is_full_or_read_only_is_named_before_anything_runs(evaluate, tmp_path):
    (tmp_path / "data").mkdir()
    with mounted(tmp_path / "data" / ".cache", "size=8k") as place:
        status, _, err = evaluate()
        assert status == 2
        assert str(place) in err
        remount_read_only(place)
        status, _, err = evaluate()
        assert status == 2
        assert str(place) in err


# -- damage between two runs


def flipped(path: Path, place: int) -> None:
    path.chmod(0o644)
    raw = bytearray(path.read_bytes())
    raw[place] ^= 0x10
    path.write_bytes(raw)


CACHE_DAMAGES = {
    "a pixel is changed": lambda cache: [flipped(path, -100) for path in cache.glob("*.npy")],
    "the images are cut": lambda cache: [os.truncate(path, path.stat().st_size // 2) for path in cache.glob("*.npy")],
    "the images are gone": lambda cache: [path.unlink() for path in cache.glob("*.npy")],
    "the rows are cut": lambda cache: [os.truncate(path, path.stat().st_size // 2) for path in cache.glob("*.rows.json")],
    "the rows are empty": lambda cache: [path.write_bytes(b"") for path in cache.glob("*.rows.json")],
    "the hashes are cut": lambda cache: os.truncate(cache / "hashes.json", (cache / "hashes.json").stat().st_size // 2),
}


@pytest.mark.parametrize("damage", CACHE_DAMAGES)
@pytest.mark.endurance
def test_a_cache_damaged_between_two_runs_changes_no_result(evaluate, tmp_path, damage):
    status, first, _ = evaluate()
    assert status == 0
    CACHE_DAMAGES[damage](tmp_path / "data" / ".cache")
    status, again, err = evaluate("--fresh")
    assert status == 0
    assert damage == "the hashes are cut" or err.count("is damaged") == len(list((tmp_path / "data" / ".cache").glob("*.npy")))
    first, again = json.loads(first)["cells"], json.loads(again)["cells"]
    assert [cell["fingerprint"] for cell in again] == [cell["fingerprint"] for cell in first]
    assert not any(cell["cached"] for cell in again)
    status, _, err = evaluate()
    assert (status, err.count("is damaged")) == (0, 0)


def cut(path: Path, other: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def replaced(path: Path, other: Path) -> None:
    shutil.copy(other, path)


def figure_changed(path: Path, other: Path) -> None:
    text = path.read_text()
    result = json.loads(text)
    old = f'"macro_f1":{result["metrics"]["macro_f1"]}'
    assert old in text
    path.write_text(text.replace(old, '"macro_f1":0.999'))


def ledger_shortened(path: Path, other: Path) -> None:
    result = json.loads(path.read_text())
    result["ledger"].pop()
    path.write_text(json.dumps(result))


def of_an_older_kit(path: Path, other: Path) -> None:
    result = json.loads(path.read_text())
    del result["checksum"]
    path.write_text(json.dumps(result))


def emptied(path: Path, other: Path) -> None:
    path.write_bytes(b"")


DAMAGES = {cut: "is damaged", emptied: "is damaged", replaced: "does not hold this cell"}
DAMAGES |= {figure_changed: "was changed after it was written", ledger_shortened: "was changed after it was written"}
DAMAGES |= {of_an_older_kit: "carries no checksum"}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.endurance
def test_a_damaged_result_is_named_set_aside_and_run_again(evaluate, tmp_path, damage):
    _, first, _ = evaluate()
    first = json.loads(first)["cells"]
    paths = [tmp_path / "results" / "cells" / f"{cell['cell']}.json" for cell in first]
    damage(*paths)
    status, again, err = evaluate()
    assert status == 0
    again = json.loads(again)["cells"]
    assert [cell["cached"] for cell in again] == [False, True]
    assert [(cell["cell"], cell["metrics"], cell["fingerprint"]) for cell in again] == [
        (cell["cell"], cell["metrics"], cell["fingerprint"]) for cell in first
    ]
    assert DAMAGES[damage] in err
    assert paths[0].name in err
    assert paths[0].with_suffix(".damaged").exists()


def test_a_result_that_cannot_be_read_is_refused_by_name(tmp_path):
    store = Store(tmp_path)
    store.cell_path("abc").mkdir()
    with pytest.raises(ConfigurationError, match=r"abc\.json cannot be read.*--out"):
        store.read_cell("abc")


TOKEN = "0123456789abcdef"


def test_temporary_files_of_a_killed_writer_are_removed_and_those_of_a_living_one_are_not(tmp_path):
    run = Store(tmp_path).new_run("x")
    names = {tmp_path: "index.json", tmp_path / "cells": "a.npy", tmp_path / "answers": "a.json", tmp_path / "partial": "a.pt"}
    names |= {run: "purchases.csv", run / "logs": "a.log"}
    dead = [folder / f".{name}.{TOKEN}.tmp" for folder, name in names.items()]
    for path in dead:
        path.write_text("half")
    living, result = tmp_path / "cells" / f".b.json.{TOKEN}.tmp", tmp_path / "cells" / "c.json"
    for path in (living, result):
        path.write_text("half")
    held = hold(living)
    Store(tmp_path)
    os.close(held)
    assert not any(path.exists() for path in dead)
    assert living.exists()
    assert result.exists()


def test_files_of_others_in_a_results_folder_are_never_taken_for_temporary_files(tmp_path):
    """``--out ~`` removed whatever had a name like ``.*.*.tmp`` in any subfolder."""
    (tmp_path / "elsewhere" / "logs").mkdir(parents=True)
    for folder in ("project/logs", "mail", "20240101-120000-photos"):
        (tmp_path / "home" / folder).mkdir(parents=True)
    (tmp_path / "home" / "cells").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "home" / "20240101-120000-sweep").symlink_to(tmp_path / "elsewhere")
    kept = [
        *(f"home/{name}" for name in (f".novel.odt.{TOKEN}.tmp", ".index.json.1.tmp", f"mail/.a.json.{TOKEN}.tmp")),
        *(f"home/project/{name}" for name in (f".a.json.{TOKEN}.tmp", f"logs/.a.log.{TOKEN}.tmp")),
        *(f"home/20240101-120000-photos/{name}" for name in (f".photo.jpg.{TOKEN}.tmp", ".result.json.swap.tmp")),
        *(f"elsewhere/{name}" for name in (f".a.json.{TOKEN}.tmp", f"logs/.a.log.{TOKEN}.tmp")),
    ]
    for name in kept:
        (tmp_path / name).write_text("mine")
    Store(tmp_path / "home")
    assert [name for name in kept if not (tmp_path / name).exists()] == []


@pytest.mark.parametrize("moment", ["before it is marked", "while it is written"])
def test_a_file_that_another_evaluation_meets_half_written_is_stored_all_the_same(tmp_path, monkeypatch, moment):
    store, met = Store(tmp_path), []
    place, name = (evaluator.files, "hold") if moment == "before it is marked" else (os, "fsync")
    real = getattr(place, name)

    def meet(argument, **how):
        if not met:
            met.append(list((tmp_path / "cells").glob(".*.tmp")))
            Store(tmp_path)
        return real(argument, **how)

    monkeypatch.setattr(place, name, meet)
    found = result(spec(), 0.5)
    store.write_cell(Judged(found))
    assert len(met[0]) == 1
    assert PURCHASE.result(store.read_cell(found.spec.digest())) == found
    assert list(tmp_path.rglob(".*")) == []


def test_two_evaluations_in_one_folder_never_take_each_others_files(tmp_path):
    results = [result(spec(seed=seed), 0.5) for seed in (0, 1)]
    stop, failed = threading.Event(), []

    def write(found):
        store = Store(tmp_path)
        try:
            while not stop.is_set():
                store.write_cell(Judged(found, np.full((80, 6), found.spec.seed / 2)))
                cell = store.read_cell(found.spec.digest())
                assert (read_predictions(tmp_path, cell) == found.spec.seed / 2).all()
        except Exception as error:
            failed.append(error)

    writers = [threading.Thread(target=write, args=(found,)) for found in results]
    for writer in writers:
        writer.start()
    for _ in range(200):
        Store(tmp_path)
    stop.set()
    for writer in writers:
        writer.join()
    assert failed == []
    assert list(tmp_path.rglob(".*")) == []
