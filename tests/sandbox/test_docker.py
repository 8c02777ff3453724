"""The tier ``docker``, on an engine that the tests start themselves: what a worker sees, what ends it, what is left of it."""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness import docker_engine
from evaluator import __version__
from evaluator.cli.main import main
from evaluator.errors import Verdict
from evaluator.judging.queue import Queue
from evaluator.sandbox.container import OWNER_LABEL, owner, sweep
from evaluator.sandbox.docker import VERSION_LABEL, DockerSandbox
from evaluator.sandbox.engine import Engine, EngineError
from evaluator.sandbox.limits import Limits
from evaluator.sandbox.tier import WorkerSpec
from evaluator.submission.image import LABEL, How, ImageError, built_image, remove
from evaluator.submission.package import write_package

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20
SMALL = Limits(memory=256 * MIB, processes=40, disk=16 * MIB, files=500)
TRY = """
def attempt(action):
    try:
        return action()
    except Exception as error:
        return type(error).__name__
"""


@pytest.fixture(scope="session")
def docker():
    """A running engine with the project's image."""
    with contextlib.ExitStack() as stack:
        try:
            running = stack.enter_context(docker_engine.running_engine())
        except docker_engine.NoEngine as reason:
            pytest.skip(f"no Docker engine can run here: {reason}")
        yield running


@pytest.fixture
def room(docker):
    """The tier; afterwards no container may be left."""
    yield DockerSandbox(engine=docker.engine)
    assert left_in_the_end(docker.engine) == []


@pytest.fixture
def inside(room, strategy, session, told):
    """Run a purchase phase in the room: (what it told, the session's result)."""

    def run(code: str, top: str = "", **options):
        body = "def purchase_phase(self, unlabelled_dataset):\n" + textwrap.indent(textwrap.dedent(code), "    ")
        result = session(strategy(body, top=TRY + textwrap.dedent(top)), sandbox=room, **options)
        return told(result), result

    return run


def containers(engine: Engine) -> list[str]:
    """Names of the containers that the engine knows, running or not."""
    return [name for found in engine.ask("GET", "/containers/json", all="1") for name in found["Names"]]


def left_in_the_end(engine: Engine) -> list[str]:
    """Containers that stay. An engine under load takes a while to forget what has ended."""
    deadline = time.monotonic() + 30
    while (left := containers(engine)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


# -- without an engine


def test_the_image_says_of_which_version_of_the_kit_it_is():
    label = re.search(rf'^LABEL {re.escape(VERSION_LABEL)}="(.*)"$', (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert label is not None
    assert label[1] == __version__


def test_without_an_engine_the_error_says_how_to_get_one(tmp_path):
    with pytest.raises(OSError, match=r"no Docker engine answers at .*/none.*apt-get install docker.io"):
        DockerSandbox(engine=Engine(tmp_path / "none"))


def test_an_engine_of_another_machine_is_refused(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2375")
    with pytest.raises(OSError, match=r"DOCKER_HOST is tcp://10\.0\.0\.1:2375; .*unix://"):
        DockerSandbox()


def test_the_engine_that_docker_host_names_is_asked(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/own.sock")
    assert Engine().path == tmp_path / "own.sock"


# -- the image


@pytest.mark.slow
@pytest.mark.endurance
def test_without_an_image_the_error_says_how_to_build_it(docker):
    with pytest.raises(OSError, match=r"no image nowhere:1; .*docker build -t data-centric-kit \."):
        DockerSandbox(engine=docker.engine, image="nowhere:1")


@pytest.mark.slow
@pytest.mark.endurance
def test_an_image_of_another_version_is_refused(docker, monkeypatch):
    docker_engine.build(docker.engine, "old:1", text=f'FROM {docker.image}\nLABEL {VERSION_LABEL}="0.0.9"\n')
    monkeypatch.setenv("DATA_CENTRIC_KIT_IMAGE", "old:1")
    with pytest.raises(OSError, match=rf"old:1 is of version 0\.0\.9 of the kit, this is {re.escape(__version__)}; build it again"):
        DockerSandbox(engine=docker.engine)


@pytest.mark.slow
def test_an_image_of_something_else_is_refused(docker):
    with pytest.raises(OSError, match="names no version of the kit"):
        DockerSandbox(engine=docker.engine, image=docker_engine.BASE)


@pytest.mark.slow
@pytest.mark.parametrize(
    "spoil", ["ENV PATH=/nowhere", "ENV LD_PRELOAD=", "RUN rm /usr/local/bin/python && cp /usr/bin/grep /usr/local/bin/python"]
)
def test_an_image_that_cannot_run_the_worker_is_our_fault_and_leaves_nothing(docker, strategy, session, spoil):
    docker_engine.build(docker.engine, "spoilt:1", text=f"FROM {docker.image}\nUSER 0\n{spoil}\n")
    result = session(strategy(""), sandbox=DockerSandbox(engine=docker.engine, image="spoilt:1"))
    if "PRELOAD" in spoil:
        # Nothing of the image's environment but what it needs to run reaches the worker.
        assert result.verdict is Verdict.OK
    else:
        assert result.verdict is Verdict.INFRASTRUCTURE
        assert "python" in result.reason
    assert left_in_the_end(docker.engine) == []


# -- a session


@pytest.mark.slow
def test_a_session_buys_and_predicts(inside, sets):
    told, result = inside(
        """
        tell([int(x) for x in unlabelled_dataset.purchase_label(3)])
        unlabelled_dataset.purchase_labels([5, 7])
        tell([len(unlabelled_dataset), int(np.asarray(unlabelled_dataset[9]["image"]).sum()), "torch" in sys.modules])
        """
    )
    assert (result.verdict, result.reason) == (Verdict.OK, "")
    pool = sets.splits["unlabelled"]
    assert told[0] == pool.labels[3].tolist()
    assert [purchase.index for purchase in result.ledger] == [3, 5, 7]
    images = sets.images["unlabelled"]
    assert told[1] == [80, int(np.load(images.path)[images.rows[9]].sum()), False]
    assert result.limited_by.startswith("cgroup v")
    assert result.guarded


@pytest.mark.slow
def test_a_checkpoint_passes_from_one_container_to_the_next(room, strategy, session, told):
    path = strategy("""
        def pre_training_phase(self):
            self.state = os.uname().nodename
        def save_checkpoint(self, path):
            with open(os.path.join(path, "state"), "w") as file:
                file.write("bought nothing yet")
        def load_checkpoint(self, path):
            tell([open(os.path.join(path, "state")).read(), hasattr(self, "state"), os.listdir(os.path.expanduser("~"))])
    """)
    result = session(path, sandbox=room, restart=True)
    assert (result.verdict, result.reason) == (Verdict.OK, "")
    assert told(result) == [["bought nothing yet", False, ["checkpoint"]]] * 2


@pytest.mark.slow
def test_prints_are_kept_and_capped(inside):
    told, result = inside(
        """
        print("to the output"); print("to the errors", file=sys.stderr)
        os.write(1, b"x" * 3_000_000)
        os.write(2, b"the last line\\n")
        tell(os.readlink("/proc/self/fd/1").split(":")[0])
        """
    )
    assert told == ["pipe"]
    for line in ("to the output", "to the errors", "the last line", "bytes left out"):
        assert line in result.log
    assert len(result.log) < 700_000


# -- what a worker sees


@pytest.mark.slow
def test_the_room_is_sealed(inside):
    told, _ = inside(
        """
        import ctypes, socket, signal
        status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
        libc = ctypes.CDLL(None, use_errno=True)
        tell({
            "user": [os.getresuid(), os.getresgid(), os.getgroups()],
            "capabilities": [int(status[n].strip(), 16) for n in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
            "no new privileges": status["NoNewPrivs"].strip(),
            "system calls filtered": status["Seccomp"].strip(),
            "interfaces": [n for _, n in socket.if_nameindex()],
            "connect": attempt(lambda: socket.create_connection(("1.1.1.1", 53), 3)),
            "write": {p: attempt(lambda: open(p + "/x", "w")) for p in
                ("/", "/usr", "/etc", "/dev", "/kit", "/kit/evaluator", "/room", "/tmp", "/submission")},
            "kit": [sorted(os.listdir("/kit")), sorted(os.listdir("/kit/evaluator"))],
            "empty": [os.listdir(p) for p in ("/home", "/root")],
            "door": [attempt(lambda: os.listdir("/room/door")),
                attempt(lambda: socket.socket(socket.AF_UNIX).connect("/room/door/socket"))],
            "processes": [p for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid()],
            "place": [os.getcwd(), os.path.expanduser("~"), os.environ["TMPDIR"]],
            "device": attempt(lambda: os.mknod("/scratch/disk", 0o60666, os.makedev(8, 0))),
            "namespace": libc.unshare(0x10000000),
        })
        """
    )
    (seen,) = told
    user = 65534 if os.geteuid() == 0 else os.getuid()
    assert seen["user"][0] == [user] * 3
    assert 0 not in seen["user"][1] + seen["user"][2]
    assert seen["capabilities"] == [0] * 5
    assert (seen["no new privileges"], seen["system calls filtered"]) == ("1", "2")
    assert seen["interfaces"][0] == "lo"
    assert not any(name.startswith(("eth", "docker", "veth")) for name in seen["interfaces"])
    assert seen["connect"] == "OSError"
    assert set(seen["write"].values()) <= {"OSError", "PermissionError"}
    assert seen["kit"][0] == ["evaluator", "run.py"]
    assert set(seen["kit"][1]) == {"__init__.py", "strategies", "worker"}
    assert seen["empty"] == [[], []]
    assert seen["door"] == ["PermissionError", "FileNotFoundError"]
    assert seen["processes"] == ["1"]
    assert seen["place"] == ["/scratch"] * 3
    assert seen["device"] == "PermissionError"
    assert seen["namespace"] == -1


@pytest.mark.slow
def test_the_guard_of_the_same_user_can_be_neither_killed_nor_read(inside):
    told, result = inside(
        """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        for number in (9, 19, 15, 11, 4):
            attempt(lambda: os.kill(1, number))
        tell({
            "trace": libc.ptrace(16, 1, 0, 0),
            "files": [attempt(lambda: open("/proc/1/" + n, "rb").read(1)) for n in ("mem", "environ", "auxv")],
            "folders": [attempt(lambda: os.listdir("/proc/1/" + n)) for n in ("fd", "map_files")],
            "links": [attempt(lambda: os.readlink("/proc/1/" + n)) for n in ("cwd", "exe", "root")],
            "own": bool(os.listdir("/proc/self/fd")),
        })
        """
    )
    assert result.verdict is Verdict.OK
    (seen,) = told
    assert seen["trace"] == -1
    assert seen["own"]
    assert {*map(str, seen["files"] + seen["folders"] + seen["links"])} == {"PermissionError"}


@pytest.mark.slow
def test_the_environment_is_the_kits_and_not_the_machines_or_the_images(inside, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/of/this/machine")
    monkeypatch.setenv("TZ", "UTC")
    told, _ = inside("tell(dict(os.environ))\ntell(open('/proc/self/environ').read())", threads=3)
    assert "hunter2" not in str(told)
    assert "/of/this/machine" not in str(told)
    assert told[0]["TZ"] == "UTC"
    assert told[0]["OMP_NUM_THREADS"] == "3"
    assert set(told[0]) <= {
        *("PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL", "LC_CTYPE", "CUDA_VISIBLE_DEVICES"),
        *("PYTHONHASHSEED", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"),
        *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    }


# -- limits


BOMBS = {
    "anonymous": "held = [bytearray(1 << 24) for _ in range(64)]",
    "by a child": "if os.fork() == 0:\n    held = [bytearray(1 << 24) for _ in range(64)]\nos.wait()\ntime.sleep(60)",
    "shared memory": "with open('/dev/shm/x', 'wb') as file:\n    [file.write(bytes(1 << 24)) for _ in range(63)]",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_a_memory_bomb_is_a_memory_limit_with_its_figure(inside, name):
    _, result = inside(BOMBS[name], limits=SMALL)
    assert result.verdict is Verdict.MEMORY_LIMIT
    assert re.search(r"0\.2[5-9] GiB used, 0\.25 GiB allowed", result.reason)


@pytest.mark.slow
def test_processes_are_limited(inside):
    told, _ = inside(
        """
        count = 0
        try:
            while count < 200:
                if os.fork() == 0:
                    time.sleep(60)
                    os._exit(0)
                count += 1
        except BlockingIOError:
            pass
        tell(count)
        """,
        limits=SMALL,
    )
    assert 1 < told[0] < SMALL.processes


@pytest.mark.slow
def test_the_engine_holds_the_limits_of_the_round(inside):
    told, _ = inside(
        """
        found = {}
        for name in ("memory.max", "pids.max", "cpu.max", "memory/memory.limit_in_bytes", "pids/pids.max", "cpu/cpu.cfs_quota_us",
                     "cpu/cpu.cfs_period_us"):
            text = attempt(lambda: open("/sys/fs/cgroup/" + name).read().split())
            if isinstance(text, list):
                found[name.split("/")[-1]] = [int(x) for x in text]
        tell(found)
        """,
        limits=Limits(memory=3 << 30, processes=77, cpus=1),
    )
    (seen,) = told
    assert seen.get("memory.max", seen.get("memory.limit_in_bytes")) == [3 << 30]
    assert seen["pids.max"] == [77]
    quota, period = seen.get("cpu.max") or seen["cpu.cfs_quota_us"] + seen["cpu.cfs_period_us"]
    assert quota == period


@pytest.mark.slow
def test_scratch_is_bounded_by_its_mount(inside):
    told, result = inside(
        """
        def fill():
            with open("/scratch/fill", "wb") as file:
                while True:
                    file.write(bytes(1 << 20))
        tell([attempt(fill), os.path.getsize("/scratch/fill")])
        """,
        limits=SMALL,
    )
    assert told == [["OSError", pytest.approx(SMALL.disk, rel=0.1)]]
    assert result.verdict is Verdict.OK


@pytest.mark.slow
def test_a_disk_bomb_through_the_checkpoint_folder_finds_no_room(inside):
    code = "f = open('/scratch/checkpoint/fill', 'wb')\nwhile True:\n    f.write(bytes(1 << 20)); f.flush(); time.sleep(0.01)"
    _, result = inside(code, limits=SMALL)
    assert result.verdict is Verdict.RUNTIME_ERROR
    assert "No space left on device" in result.reason


# -- the end


@pytest.mark.slow
def test_the_deadline_ends_everything(inside, docker):
    told, result = inside(
        """
        import signal
        for number in range(1, 65):
            attempt(lambda: signal.signal(number, signal.SIG_IGN))
        if os.fork() == 0:
            os.setsid()
            os.fork()
        os.write(1, b"TOLD 1\\n")
        time.sleep(600)
        """,
        seconds=1.5,
    )
    assert result.verdict is Verdict.TIME_LIMIT
    assert told == [1, 1, 1]
    assert left_in_the_end(docker.engine) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("os._exit(0)", "exited with status 0"),
        ("os._exit(137)", "exited with status 137"),
        ("os.kill(os.getpid(), 9)", r"killed by signal 9 \(SIGKILL\)"),
        ("import ctypes; ctypes.string_at(0)", r"killed by signal 11 \(SIGSEGV\)"),
    ],
)
def test_exit_and_signal_are_told_apart(inside, code, said):
    _, result = inside(code)
    assert result.verdict is Verdict.RUNTIME_ERROR
    assert re.search(said, result.reason)


@pytest.mark.slow
def test_what_was_handed_to_the_container_is_gone_from_the_machine(room, tmp_path, monkeypatch):
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    worker = room.start(WorkerSpec(submission=tmp_path))
    assert worker.channel.receive(time.monotonic() + 30).kind == "hello"
    # The socket through which the descriptors went in is closed and removed while the worker runs.
    assert list(tmp_path.iterdir()) == []
    assert worker.end() == worker.end()
    worker.log()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.slow
def test_an_engine_that_is_gone_does_not_keep_a_worker_alive(docker, tmp_path):
    class Fickle(Engine):
        gone = False

        def ask(self, *args, **options):
            if self.gone:
                raise OSError("no Docker engine answers")
            return super().ask(*args, **options)

    engine = Fickle(docker.engine.path)
    worker = DockerSandbox(engine=engine).start(WorkerSpec(submission=tmp_path))
    assert worker.channel.receive(time.monotonic() + 30).kind == "hello"
    (name,) = containers(docker.engine)
    first = docker.engine.ask("GET", f"/containers{name}/json")["State"]["Pid"]
    engine.gone = True
    assert worker.end().guarded
    worker.log()
    assert not os.path.exists(f"/proc/{first}")
    assert left_in_the_end(docker.engine) == []


@pytest.mark.slow
def test_when_the_evaluator_is_killed_its_container_goes_with_it(docker, strategy, data_folder, tmp_path):
    path = strategy("""
        def purchase_phase(self):
            if os.fork() == 0:
                os.setsid()
            time.sleep(600)
    """)
    program = f"""
        import sys
        from pathlib import Path
        import numpy as np
        sys.path.insert(0, {str(ROOT / "tests")!r})
        from conftest import CLASSES, TINY
        from evaluator.purchase.session import run_session
        from evaluator.purchase.session_spec import SessionSpec
        from evaluator.purchase.sets import read_sets
        from evaluator.sandbox.docker import DockerSandbox
        sets = read_sets(TINY, Path({str(data_folder)!r}), cache=Path({str(tmp_path / "cache")!r}))
        images, labels = sets.images, sets.splits["unlabelled"].labels
        order = np.arange(len(labels))
        run_session(SessionSpec(Path({str(path)!r}), CLASSES, images["training"], sets.splits["training"].labels,
            images["unlabelled"], order, images["debug"], labels, 3, 500.0, 10.0, 60.0, 1), DockerSandbox())
    """
    environment = os.environ | {"TMPDIR": str(tmp_path), "DOCKER_HOST": f"unix://{docker.engine.path}"}
    evaluator = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, env=environment)
    processes: list[list[str]] = []
    try:
        deadline = time.monotonic() + 60
        while len(processes) < 3 and time.monotonic() < deadline and evaluator.poll() is None:
            with contextlib.suppress(EngineError, IndexError):  # it is not there yet, or not yet running
                name = containers(docker.engine)[0]
                processes = docker.engine.ask("GET", f"/containers{name}/top")["Processes"]
            time.sleep(0.05)
    finally:
        evaluator.kill()
        evaluator.wait()
    assert len(processes) == 3  # the guard, the worker and its child
    assert left_in_the_end(docker.engine) == []


@pytest.mark.slow
def test_what_a_dead_evaluator_left_is_swept_and_nobody_elses(docker):
    boot, space, pid, began = owner().split("/")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    owners = {
        "dead": f"{boot}/{space}/{dead.pid}/{began}",
        "number-used-again": f"{boot}/{space}/{pid}/1",
        "before-this-boot": f"an-earlier-boot/{space}/{pid}/{began}",
        "ours": owner(),
        "of-another-room": f"{boot}/pid:[1]/{dead.pid}/{began}",
    }
    for name, said in owners.items():
        description = {"Image": docker.image, "Labels": {OWNER_LABEL: said}, "HostConfig": {"NetworkMode": "none"}}
        docker.engine.ask("POST", "/containers/create", description, name=name)
    try:
        assert sweep(docker.engine) == 3
        assert sorted(containers(docker.engine)) == ["/of-another-room", "/ours"]
    finally:
        for name in containers(docker.engine):
            docker.engine.ask("DELETE", f"/containers{name}", force="1")


@pytest.mark.slow
def test_the_tier_is_chosen_by_name_and_passes_its_self_check(docker, monkeypatch):
    from evaluator.sandbox import tiers

    monkeypatch.setenv("DOCKER_HOST", f"unix://{docker.engine.path}")
    tiers.state.cache_clear()
    try:
        assert tiers.choose("docker").name == "docker"
    finally:
        tiers.state.cache_clear()


# -- an image for one submission


def a_wheel(folder: Path) -> None:
    """A package ``pressed`` of one module, as a wheel."""
    info = "pressed-1.2.dist-info"
    files = {
        "pressed.py": "ANSWER = 42\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: pressed\nVersion: 1.2\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    folder.mkdir()
    with zipfile.ZipFile(folder / "pressed-1.2-py3-none-any.whl", "w") as file:
        for name, content in (files | {f"{info}/RECORD": record}).items():
            file.writestr(name, content)


@pytest.mark.slow
@pytest.mark.endurance
def test_a_submission_finds_what_it_asked_for_in_its_own_image(docker, strategy, session, told, tmp_path):
    pytest.importorskip("pip", reason="the base image needs pip")
    a_wheel(tmp_path / "wheels")
    how = How(network="none", wheels=tmp_path / "wheels")
    body = "def purchase_phase(self, unlabelled_dataset):\n    import pressed\n    tell([pressed.ANSWER, os.getuid() != 0])\n"
    path = strategy(body)
    (path / "requirements.txt").write_text("pressed>=1\n")
    made = built_image(path, docker.image, how=how, engine=docker.engine, log=tmp_path / "log")
    try:
        assert made.built
        assert "Successfully installed pressed-1.2" in (tmp_path / "log").read_text()
        room = DockerSandbox(engine=docker.engine, image=made.name)
        assert told(session(path, sandbox=room)) == [[42, True]]
        without = session(path, sandbox=DockerSandbox(engine=docker.engine, image=docker.image))
        assert without.verdict == Verdict.RUNTIME_ERROR
        assert "No module named 'pressed'" in without.reason
        assert not built_image(path, docker.image, how=how, engine=docker.engine).built, "it is built once"
        (path / "requirements.txt").write_text("pressed>=2\n")
        with pytest.raises(ImageError, match=r"No matching distribution found for pressed>=2") as error:
            built_image(path, docker.image, how=how, engine=docker.engine)
        assert error.value.verdict == Verdict.RUNTIME_ERROR
        left = docker.engine.ask("GET", "/images/json", filters={"dangling": ["true"], "label": [LABEL]})
        assert left == [], "a build that fails leaves no layers"
        for seconds in (0.05, 1.0):  # before its first container, and while that runs
            with pytest.raises(ImageError, match="was not built within"):
                built_image(path, docker.image, how=replace(how, seconds=seconds), engine=docker.engine)
        left = docker.engine.ask("GET", "/images/json", filters={"dangling": ["true"], "label": [LABEL]})
        assert left == [], "nor does a build that is left"
    finally:
        remove(docker.engine, made.name)
    assert left_in_the_end(docker.engine) == []


BUYS = """from run import ZEWDPCBaseRun


class Mine(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset, budget):
        unlabelled_dataset.purchase_labels(range(budget))
"""
RULES = """name = "Labels"
sandbox = "docker"
requirements = "image"
[quota]
pause = 0
[resources]
disk = 0
[retention]
images = 0
[image]
network = "none"
wheels = "wheels"
"""
ASKED = {"foxes": "pressed>=1\n", "owls": "absent-from-here\n", "elks": ""}
"""Requirements by participant."""


def sent(root: Path, sources: Path, participant: str) -> None:
    """Put a submission that uses what it asks for into the inbox of a judge."""
    source = sources / participant
    source.mkdir(parents=True)
    uses = "import pressed\nassert pressed.ANSWER == 42\n" if "pressed" in ASKED[participant] else ""
    (source / "run.py").write_text(f"# of {participant}\n{uses}{BUYS}")
    if ASKED[participant]:
        (source / "requirements.txt").write_text(ASKED[participant])
    (root / "inbox" / participant).mkdir(parents=True)
    package = root / "inbox" / participant / "mine.zip"
    write_package(source, "purchase", package)
    os.utime(package, (1, 1))


def returned(root: Path, participant: str) -> dict:
    (path,) = (root / "outbox" / participant).glob("*-public-v1.json")
    return json.loads(path.read_text())


@pytest.mark.slow
@pytest.mark.endurance
def test_a_judge_builds_an_image_for_each_submission_that_asks_for_packages(docker, tmp_path, monkeypatch, capsys):
    """From the inbox to the outbox: installed, not to be had, nothing asked for; then the private part."""
    pytest.importorskip("pip", reason="the base image needs pip")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{docker.engine.path}")
    root = tmp_path / "judge"
    root.mkdir()
    a_wheel(root / "wheels")
    (root / "judge.toml").write_text(RULES)
    part = f'profile = "debug"\npipelines = ["proxy"]\npairs = "621:17"\ncache = "{tmp_path / "cache"}"\n'
    (root / "public.toml").write_text(part)
    for participant in ASKED:
        sent(root, tmp_path / "sources", participant)
    assert main(["judge", "run", str(root), "--once"]) == 0
    capsys.readouterr()
    for participant in ("foxes", "elks"):
        (cell,) = returned(root, participant)["cells"]
        assert (cell["verdict"], 0 <= cell["score"] <= 1) == ("OK", True), participant
    form = returned(root, "owls")
    assert (form["verdict"], form["cells"]) == ("RUNTIME_ERROR", [])
    assert "No matching distribution found for absent-from-here" in form["faults"][0]["printed"]
    assert str(tmp_path) not in json.dumps(form)
    assert main(["judge", "status", str(root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["builder"]["images"] == 1
    (root / "judge.toml").write_text('private = "private.toml"\n' + RULES)
    (root / "private.toml").write_text(part)
    queue = Queue(root / "queue.db", who="ana")
    (number,) = [row["id"] for row in queue.rows("SELECT id FROM submission WHERE participant = 'foxes'")]
    queue.choose("foxes", [number], time.time())
    assert queue.open_private(1, time.time()) == 1
    assert main(["judge", "run", str(root), "--once"]) == 0
    (private,) = queue.results("private")
    outcomes = [json.loads(path.read_text()) for path in root.glob("runs/*.image.json")]
    assert sorted(str(of.get("built")) for of in outcomes) == ["False", "None", "True"], "the private part finds the image"
    (name,) = {of["image"] for of in outcomes if "image" in of}
    assert [cell["verdict"] for cell in private["result"]["cells"]] == ["OK"]
    assert queue.used("owls", time.time()) == 1, "a fault of the lists counts"
    assert queue.check().faults == ()
    queue.close()
    capsys.readouterr()
    assert main(["judge", "clean", str(root), "--json", "--yes"]) == 0
    kinds = [of["kind"] for of in json.loads(capsys.readouterr().out)["things"]]
    assert kinds.count("image") == 1, "the record of a build that failed"
    assert docker.engine.image(name) is not None, "what was chosen keeps its image"
    remove(docker.engine, name)
    assert left_in_the_end(docker.engine) == []
