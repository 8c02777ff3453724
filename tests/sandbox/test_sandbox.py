"""The portable tier: what a worker is given, what it cannot see, and that nothing of it is left."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.errors import Verdict
from evaluator.sandbox.guard import children
from evaluator.sandbox.logs import CappedLog
from evaluator.sandbox.scratch import scratch_folder
from evaluator.sandbox.tiers import SANDBOXES, state

ROOT = Path(__file__).resolve().parents[2]
LOOK = "def purchase_phase(self):\n    tell({})\n"


# -- the environment


def test_the_environment_is_an_allow_list(strategy, session, told, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    monkeypatch.setenv("PYTHONPATH", "/somewhere/else")
    monkeypatch.setenv("PYTHONSTARTUP", "/somewhere/startup.py")
    monkeypatch.setenv("LD_PRELOAD", "")
    monkeypatch.setenv("TZ", "UTC")
    (seen,) = told(session(strategy(LOOK.format("dict(os.environ)"))))
    allowed = {
        "PATH",
        "HOME",
        "TMPDIR",
        "TZ",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",  # set by Python itself where there is no locale
        "CUDA_VISIBLE_DEVICES",
        "LD_LIBRARY_PATH",
        "PYTHONHASHSEED",
        "PYTHONUNBUFFERED",
        "PYTHONDONTWRITEBYTECODE",
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
    }
    assert set(seen) <= allowed
    assert seen["TZ"] == "UTC"
    assert "hunter2" not in str(seen)


def test_a_secret_is_not_in_the_memory_that_a_worker_was_started_with(strategy, session, told, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    code = "[b'hunter2' in open('/proc/self/' + n, 'rb').read() for n in ('environ', 'cmdline')]"
    assert told(session(strategy(LOOK.format(code)))) == [[False, False]]


def test_home_is_a_writable_folder_that_is_gone_afterwards(strategy, session, told):
    path = strategy("""
        def purchase_phase(self):
            import tempfile
            home = os.path.expanduser("~")
            open(os.path.join(home, "mine"), "w").write("x")
            tell([home, os.getcwd(), tempfile.gettempdir(), os.listdir(home)])
    """)
    ((home, place, temporary, listed),) = told(session(path))
    assert os.path.realpath(home) == os.path.realpath(place) == os.path.realpath(temporary)
    assert sorted(listed) == ["checkpoint", "mine"]
    assert not os.path.exists(home)


def test_weights_are_shown_as_torch_home_and_only_where_there_are_any(strategy, session, told, tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "b4.pth").write_text("weights")
    path = strategy(LOOK.format("[os.environ.get('TORCH_HOME'), os.listdir(os.environ.get('TORCH_HOME', '.'))]"))
    ((home, files),) = told(session(path, weights=tmp_path / "weights"))
    assert files == ["b4.pth"]
    assert home == str(tmp_path / "weights")
    assert told(session(path))[0][0] is None


def test_the_order_of_sets_and_the_seed_repeat(strategy, session, told):
    path = strategy("""
        def pre_training_phase(self, seed):
            tell([seed, list({"scratch", "dent", "stray", "colour", "rust"})])
    """)
    assert told(session(path, seed=3)) == told(session(path, seed=3))
    others = {str(told(session(path, seed=n))[0][1]) for n in range(6)}
    assert len(others) > 1


def test_the_number_of_threads_is_told_to_the_libraries(strategy, session, told):
    assert told(session(strategy(LOOK.format("os.environ['OMP_NUM_THREADS']")), threads=3)) == ["3"]


# -- descriptors


def test_a_worker_inherits_the_three_streams_and_its_channel(strategy, session, told, tmp_path):
    secret = os.open(tmp_path / "labels.csv", os.O_CREAT | os.O_RDWR)
    reader, writer = os.pipe()
    for descriptor in (secret, reader, writer):
        os.set_inheritable(descriptor, True)
    path = strategy(
        "def pre_training_phase(self):\n    tell(OPEN)\n",
        top="""
        OPEN = {}
        for name in os.listdir("/proc/self/fd"):
            try:
                OPEN[name] = os.readlink("/proc/self/fd/" + name)
            except OSError:
                pass  # the descriptor of the listing itself
        """,
    )
    (seen,) = told(session(path))
    for descriptor in (secret, reader, writer):
        os.close(descriptor)
    assert seen["0"] == "/dev/null"
    assert seen["1"] == seen["2"]
    assert seen["1"].startswith("pipe:")
    others = {name: target for name, target in seen.items() if name not in ("0", "1", "2")}
    assert [target.split(":")[0] for target in others.values()] == ["socket"], others


def test_standard_input_is_empty(strategy, session, told):
    assert told(session(strategy(LOOK.format("sys.stdin.read()")))) == [""]


def test_the_kits_other_half_is_not_loaded_in_a_worker(strategy, session, told):
    code = "sorted(n for n in sys.modules if n.split('.')[0] in ('torch', 'sklearn', 'PIL') or n.startswith('evaluator.'))"
    (loaded,) = told(session(strategy(LOOK.format(code))))
    assert loaded == []


def test_signals_and_core_files_are_as_in_any_process(strategy, session, told):
    path = strategy("""
        def purchase_phase(self):
            import resource, signal
            blocked = [int(s) for s in signal.pthread_sigmask(signal.SIG_BLOCK, [])]
            tell([blocked, signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, resource.getrlimit(resource.RLIMIT_CORE)[0]])
    """)
    assert told(session(path)) == [[[], True, 1]]


# -- what is left afterwards


@pytest.mark.slow
def test_when_the_evaluator_itself_is_killed_the_worker_goes_with_it(strategy, tmp_path, data_folder):
    marks = tmp_path / "marks"
    marks.mkdir()
    path = strategy(f"""
        def purchase_phase(self):
            if os.fork() == 0:
                os.setsid()
            open(os.path.join({str(marks)!r}, str(os.getpid())), "w").close()
            time.sleep(600)
    """)
    program = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        import numpy as np
        sys.path.insert(0, {str(ROOT / "tests")!r})
        from conftest import CLASSES, TINY
        from evaluator.purchase.session import run_session
        from evaluator.purchase.session_spec import SessionSpec
        from evaluator.purchase.sets import read_sets
        from evaluator.sandbox.process import ProcessSandbox
        sets = read_sets(TINY, Path({str(data_folder)!r}), cache=Path({str(tmp_path / "cache")!r}))
        images, labels = sets.images, sets.splits["unlabelled"].labels
        order = np.arange(len(labels))
        run_session(SessionSpec(Path({str(path)!r}), CLASSES, images["training"], sets.splits["training"].labels,
            images["unlabelled"], order, images["debug"], labels, 3, 500.0, 10.0, 60.0, 1), ProcessSandbox())
    """)
    evaluator = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)})
    try:
        deadline = time.monotonic() + 60
        while len(list(marks.iterdir())) < 2 and time.monotonic() < deadline and evaluator.poll() is None:
            time.sleep(0.05)
    finally:
        evaluator.kill()
        evaluator.wait()
    pids = [int(mark.name) for mark in marks.iterdir()]
    assert len(pids) == 2
    # Nobody waits for the guard any more, so the end of its work has to be awaited.
    deadline = time.monotonic() + 30
    while (left := [pid for pid in pids if running(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []


def running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_worker_that_kills_its_guard_is_ended_and_told_on(strategy, session, told):
    path = strategy("""
        def purchase_phase(self):
            guard, child = os.getppid(), os.fork()
            if child == 0:
                os.setsid()
                if os.fork() == 0:
                    tell(os.getpid())
                    time.sleep(30)
                os._exit(0)
            os.waitpid(child, 0)
            time.sleep(0.2)
            tell(os.getpid())
            os.kill(guard, 9)
            time.sleep(600)
    """)
    result = session(path, seconds=3.0)
    assert result.verdict in (Verdict.RUNTIME_ERROR, Verdict.TIME_LIMIT)
    daemon, worker = told(result)
    assert not running(worker)
    # Where the machine lends us no control group, what left the session may survive; then it must be said.
    assert not (result.guarded and running(daemon))


@pytest.mark.slow
def test_a_guard_that_is_killed_from_outside_is_told_and_not_blamed_on_the_channel(strategy, session, tmp_path):
    if reason := state("bubblewrap").reason:
        pytest.skip(reason)
    sandbox = SANDBOXES["bubblewrap"](False)
    started = sandbox.start

    def start(spec):
        worker = started(spec)
        (guard,) = children(worker._outer.pid) or [worker._outer.pid]
        threading.Timer(0.5, os.kill, (guard, signal.SIGKILL)).start()
        return worker

    sandbox.start = start
    result = session(strategy("def pre_training_phase(self):\n    time.sleep(60)\n"), seconds=30.0, sandbox=sandbox)
    assert result.verdict is Verdict.RUNTIME_ERROR
    assert "the process that watches the worker was killed during" in result.reason


def test_a_worker_that_stops_its_guard_gains_nothing(strategy, session, told):
    path = strategy("""
        def purchase_phase(self):
            import signal
            tell(os.getpid())
            os.kill(os.getppid(), signal.SIGSTOP)
            time.sleep(600)
    """)
    result = session(path, seconds=1.0)
    assert result.verdict is Verdict.TIME_LIMIT
    assert not running(told(result)[0])


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Scratch folders are made in a folder of their own, with rights that must not change."""
    place = tmp_path / "temporary"
    place.mkdir()
    place.chmod(0o751)
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def spoil_rights(folder):
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_text("x")
    (folder / "a" / "b").chmod(0)
    (folder / "a").chmod(0)
    folder.chmod(0)


def spoil_links(folder):
    (folder / "up").symlink_to(folder.parent)
    (folder / "file").symlink_to("/etc/passwd")


def spoil_removed(folder):
    folder.rmdir()


def spoil_replaced(folder):
    folder.rmdir()
    folder.symlink_to(folder.parent / "kept")


def spoil_file(folder):
    folder.rmdir()
    folder.write_text("x")


@pytest.mark.parametrize("spoil", [spoil_rights, spoil_links, spoil_removed, spoil_replaced, spoil_file])
def test_scratch_is_gone_whatever_was_done_to_it_and_nothing_else_is_touched(here, spoil):
    kept = here / "kept"
    kept.mkdir(mode=0o705)
    (kept / "file").write_text("mine")
    with scratch_folder() as folder:
        assert folder.parent == here
        spoil(folder)
    assert sorted(p.name for p in here.iterdir()) == ["kept"]
    assert (kept / "file").read_text() == "mine"
    assert stat.S_IMODE(here.stat().st_mode) == 0o751
    assert stat.S_IMODE(kept.stat().st_mode) == 0o705


def test_scratch_is_gone_also_after_a_failure(here):
    def fails():
        with scratch_folder() as folder:
            (folder / "x").write_text("x")
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert list(here.iterdir()) == []


# -- logs


@given(st.lists(st.binary(max_size=40)), st.integers(0, 30), st.integers(1, 30))
def test_a_capped_log_keeps_the_first_and_last_bytes_and_counts_the_rest(parts, head, tail):
    log = CappedLog(head, tail)
    for part in parts:
        log.write(part)
        assert log._tail_size <= tail + 40
    whole = b"".join(parts)
    if len(whole) <= head + tail:
        assert log.text() == whole.decode("utf-8", errors="replace")
    else:
        dropped = len(whole) - head - tail
        gap = f"\n[... {dropped} bytes left out ...]\n".encode()
        assert log.text() == (whole[:head] + gap + whole[-tail:]).decode("utf-8", errors="replace")


def test_a_log_without_end_needs_no_memory_without_end():
    log = CappedLog(50, 50)
    for _ in range(1_000):
        log.write(b"x" * 100)
    assert log._tail_size <= 150
    assert sum(map(len, log._tail)) == log._tail_size
    assert log.total == 100_000
    assert len(log.text()) < 150


def test_the_limit_of_the_time_is_no_signal_that_can_be_caught(strategy, session, told):
    path = strategy("""
        def purchase_phase(self):
            import signal
            for number in range(1, 65):
                try:
                    signal.signal(number, lambda *_: tell("caught"))
                except (OSError, ValueError):
                    pass
            while True:
                time.sleep(1)
    """)
    result = session(path, seconds=0.7)
    assert result.verdict is Verdict.TIME_LIMIT
    assert told(result) == []
