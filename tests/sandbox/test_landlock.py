"""Landlock: what a ruled process can still do, by its rules and by the version of the kernel's ABI."""

import ctypes
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from evaluator.cli.main import main
from evaluator.errors import ConfigurationError
from evaluator.purchase.track import PURCHASE
from evaluator.sandbox import landlock, landlocked, sockets, tiers
from evaluator.sandbox.conformance import CHECKS
from evaluator.sandbox.conformance.check import run_check
from evaluator.sandbox.process import ProcessSandbox
from evaluator.sandbox.tier import WorkerSpec

ROOT = Path(__file__).resolve().parents[2]
needed = pytest.mark.skipif(landlock.abi() < landlocked.LEAST, reason=f"this kernel offers Landlock's ABI {landlock.abi()}")
PRELUDE = """
import json, os, socket, sys
sys.path.insert(0, {folder!r})
import landlock
landlock.restrict({places!r})
def attempt(action):
    try:
        return action()
    except OSError as error:
        return error.errno
def read(path):
    with open(path) as file:
        return file.read()
"""


def ruled(places, code):
    """What a ruled process of its own tells, by one expression."""
    text = PRELUDE.format(folder=str(ROOT / "evaluator" / "sandbox"), places=places) + f"print(json.dumps({code}))\n"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", text], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


PYTHON = [("read", "/usr"), ("read", "/lib"), ("read", sys.prefix), ("read", sys.base_prefix)]
DENIED = 13


@needed
def test_files_are_closed_but_for_those_that_are_named(tmp_path):
    for name in ("shown", "hidden"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(name)
    places = [*PYTHON, ("read", str(tmp_path / "shown")), ("write", str(tmp_path / "home")), ("read", "/nowhere")]
    (tmp_path / "home").mkdir()
    seen = ruled(
        places,
        f"[attempt(lambda: read(p)) for p in ({str(tmp_path / 'shown' / 'x')!r}, {str(tmp_path / 'hidden' / 'x')!r})] + "
        f"[attempt(lambda: open(p, 'w').write('y')) for p in "
        f"({str(tmp_path / 'shown' / 'x')!r}, {str(tmp_path / 'hidden' / 'y')!r}, {str(tmp_path / 'home' / 'y')!r})] + "
        f"[attempt(lambda: os.listdir({str(tmp_path)!r})), attempt(lambda: os.truncate({str(tmp_path / 'hidden' / 'x')!r}, 0))]",
    )
    assert seen == ["shown", DENIED, DENIED, DENIED, 1, DENIED, DENIED]
    assert (tmp_path / "hidden" / "x").read_text() == "hidden"


@needed
def test_a_name_alone_can_be_listed_and_not_opened(tmp_path):
    (tmp_path / "x").write_text("x")
    path = str(tmp_path)
    seen = ruled([*PYTHON, ("list", path)], f"[os.listdir({path!r}), attempt(lambda: read({path + '/x'!r}))]")
    assert seen == [["x"], DENIED]


@needed
def test_other_processes_of_the_same_user_cannot_be_read_or_traced():
    pid = os.getpid()
    code = f"[attempt(lambda: open(f'/proc/{pid}/{{n}}', 'rb').read(1) and 0) for n in ('environ', 'mem', 'maps')]"
    code += f" + [attempt(lambda: os.readlink('/proc/{pid}/fd/0') and 0)]"
    assert set(ruled([*PYTHON, ("read", "/proc")], code)) <= {DENIED, 1}


@needed
def test_ports_signals_and_abstract_sockets_by_version():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0dck-test-{os.getpid()}")
        abstract.listen()
        code = f"""[attempt(lambda: socket.create_connection(("127.0.0.1", {server.getsockname()[1]}), 2) and 0),
        attempt(lambda: socket.socket(socket.AF_UNIX).connect("\\0dck-test-{os.getpid()}")),
        attempt(lambda: os.kill({os.getpid()}, 0)), attempt(lambda: os.kill(os.getpid(), 0))]"""
        seen = ruled(PYTHON, code)
    if landlock.abi() >= 4:
        assert seen[0] == DENIED
    if landlock.abi() >= 6:
        assert seen[1:3] == [1, 1]
    assert seen[3] is None


@needed
def test_nothing_can_be_gained_after_it():
    seen = ruled([*PYTHON, ("read", "/proc")], "read('/proc/self/status')")
    fields = dict(line.split(":\t", 1) for line in seen.splitlines() if ":\t" in line)
    assert fields["NoNewPrivs"] == "1"
    assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == 0
    assert int(fields["CapBnd"], 16) == 0 or os.geteuid() != 0


@pytest.mark.parametrize("found", [0, 2])
def test_the_tier_says_what_the_kernel_lacks(monkeypatch, found):
    monkeypatch.setattr(landlocked, "abi", lambda: found)
    tiers.state.cache_clear()
    with pytest.raises(ConfigurationError, match=r"landlock does not work here.*Linux 6\.2"):
        tiers.choose("landlock")
    tiers.state.cache_clear()


def test_a_kernel_without_the_call_offers_nothing(monkeypatch):
    class Libc:
        def __init__(self, *_, **__):
            self.syscall = lambda *_: -1

    monkeypatch.setattr(ctypes, "CDLL", Libc)
    assert landlock.abi() == 0
    with pytest.raises(OSError, match="landlock_create_ruleset"):
        landlock.restrict([])


KNOWN = [(1, 8, 13), (2, 8, 14), (3, 8, 15), (4, 16, 15), (5, 16, 16), (6, 24, 16), (9, 24, 16)]
"""Version, bytes of the attributes, number of rights to files."""


@pytest.mark.parametrize(("version", "length", "handled"), KNOWN)
def test_the_kernel_is_asked_only_for_what_its_version_knows(monkeypatch, version, length, handled):
    asked = []

    class Libc:
        def __init__(self, *_, **__):
            pass

        def syscall(self, number, *arguments):
            asked.append((number, arguments))
            return os.open("/dev/null", os.O_RDONLY) if number == landlock.CREATE else 0

        def prctl(self, *_):
            return 0

        capset = prctl

    monkeypatch.setattr(landlock, "abi", lambda: version)
    monkeypatch.setattr(landlock.ctypes, "CDLL", Libc)
    landlock.restrict([("write", "/tmp"), ("device", "/dev/null"), ("read", "/nowhere")])
    (_, (attributes, size, _)), *rules, (last, _) = asked
    assert (len(attributes), size.value) == (length, length)
    assert int.from_bytes(attributes[:8], "little").bit_length() == handled
    assert last == landlock.RESTRICT
    rights = [int.from_bytes(rule[1][2][:8], "little") for rule in rules]
    assert len(rights) == 2, "what is not there is left out"
    assert all(right < 1 << handled for right in rights), "an unknown right would be refused"


@needed
def test_the_tier_keeps_what_it_promises_of_files_and_calls():
    sandbox = tiers.choose("landlock")
    for made in CHECKS:
        if made.promise in ("contents", "calls"):
            result = run_check(made, sandbox)
            assert result.verdict == "passed", (made.name, result.detail)


@needed
def test_the_rules_name_nothing_that_holds_labels(tmp_path):
    sandbox = landlocked.LandlockSandbox()
    places = sandbox.places(WorkerSpec(submission=tmp_path / "s"), tmp_path / "scratch")
    opened = [Path(path) for word, path in places if word != "list"]
    kit = (ROOT / name for name in ("data", "results", "evaluator/cli"))
    for hidden in (*kit, Path("/app/input/ref"), Path("/root/.ssh"), Path("/home")):
        assert not [place for place in opened if hidden.is_relative_to(place)], hidden
    assert [path for word, path in places if word == "write"] == ["/dev/shm", str(tmp_path / "scratch")]


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Listens on a socket in a short folder, and gives its path. What this machine has is not looked at."""
    for variable in ("DOCKER_HOST", "CONTAINER_HOST", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK", "TMUX"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path))
    monkeypatch.setattr(sockets, "_RUN", tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    servers = []

    def listen(name: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        servers.append(socket.socket(socket.AF_UNIX))
        servers[-1].bind(name)  # by a short name: the whole path of a test may be longer than a socket's can be
        servers[-1].listen(0)
        return path

    listen.servers = servers
    yield listen
    for server in servers:
        server.close()


@pytest.mark.parametrize(
    ("name", "variable", "value", "what"),
    [
        ("d.sock", "DOCKER_HOST", "unix://{}", "a container engine"),
        ("p.sock", "CONTAINER_HOST", "unix://{}", "a container engine"),
        ("x/docker.sock", "XDG_RUNTIME_DIR", "{.parent}", "a Docker engine"),
        ("x/podman/podman.sock", "XDG_RUNTIME_DIR", "{.parent.parent}", "a Podman engine"),
        ("x/bus", "XDG_RUNTIME_DIR", "{.parent}", "the user's bus"),
        ("x/systemd/private", "XDG_RUNTIME_DIR", "{.parent.parent}", "the user's systemd"),
        ("b", "DBUS_SESSION_BUS_ADDRESS", "unix:path={},guid=0;unix:abstract=x", "the user's bus"),
        ("agent", "SSH_AUTH_SOCK", "{}", "an ssh agent"),
        ("t,1", "TMUX", "{},123,0", "a tmux server"),
        (f"run/user/{os.geteuid()}/bus", "XDG_RUNTIME_DIR", "", "the user's bus"),
        (f"tmux-{os.geteuid()}/default", "TMUX", "", "a tmux server"),
    ],
)
def test_a_socket_that_acts_for_whoever_connects_is_found_by_its_name(served, monkeypatch, name, variable, value, what):
    path = served(name)
    monkeypatch.setenv(variable, value.format(path))
    assert (what, path) in sockets.reachable()
    server = served.servers[0]
    server.setblocking(False)
    with server.accept()[0] as line:
        assert line.recv(1) == b"", "nothing is sent"


def test_a_socket_that_nobody_serves_or_that_has_two_names_is_told_rightly(served, monkeypatch, tmp_path):
    path = served("x/docker.sock")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path.parent))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    assert [found for _, found in sockets.reachable() if found.is_relative_to(tmp_path)] == [path], "once"
    served.servers[0].close()
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to("circle")
    for value in (path, tmp_path / "file", tmp_path / "circle", tmp_path / "gone", "/" + "x" * 5000, "\udcff"):
        monkeypatch.setenv("DOCKER_HOST", f"unix://{value}")
        assert [found for _, found in sockets.reachable() if found == Path(value)] == []


def test_a_server_with_a_full_queue_counts(served, monkeypatch):
    path = served("d.sock")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    monkeypatch.setattr(sockets, "PATIENCE", 0.01)
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two:
        for line in (one, two):
            line.setblocking(False)
            line.connect_ex("d.sock")
        assert ("a container engine", path) in sockets.reachable()


@needed
def test_the_tier_names_what_it_leaves_open_wherever_tiers_are_spoken_of(served, monkeypatch, capsys):
    path = served("d.sock")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    monkeypatch.setenv("COLUMNS", "400")
    said = tiers.exposed(landlocked.LandlockSandbox())
    assert f"a container engine ({path})" in said
    assert "Judge strangers in bubblewrap or docker, or as a user who may not connect to" in said
    assert tiers.exposed(ProcessSandbox()) == "", "it promises nothing"
    monkeypatch.setattr(tiers, "SANDBOXES", {name: tiers.SANDBOXES[name] for name in ("landlock", "process")})
    assert main(["doctor"]) == 0
    assert f"warning: {said}" in capsys.readouterr().out
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["tiers"]
    assert (found["landlock"]["exposed"], found["process"]["exposed"]) == (said, "")


@needed
@pytest.mark.parametrize("tier", ["landlock", "auto", "process"])
def test_a_judge_names_what_its_tier_leaves_open_before_it_begins(served, monkeypatch, capsys, tmp_path, tier):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{served('d.sock')}")
    monkeypatch.setattr(tiers, "SANDBOXES", {name: tiers.SANDBOXES[name] for name in ("landlock", "process")})
    (tmp_path / "judge").mkdir()
    (tmp_path / "judge" / "judge.toml").write_text(f'name = "Labels"\nsandbox = "{tier}"\n')
    (tmp_path / "judge" / "public.toml").write_text("no-option = 1\n")
    assert main(["judge", "run", str(tmp_path / "judge"), "--once"]) == 2
    said = capsys.readouterr().err
    assert ("warning: isolation: the tier landlock does not rule sockets in files" in said) is (tier != "process")


@needed
@pytest.mark.parametrize(("tier", "warned"), [("landlock", 1), ("process", 0)])
def test_a_sweep_and_a_validation_warn_of_what_their_tier_leaves_open(served, monkeypatch, capsys, tmp_path, ready, tier, warned):
    path = served("d.sock")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    opening = "isolation: the tier landlock does not rule sockets in files"
    assert len([said for said in ready(sandbox=tier).warnings if said.startswith(opening) and str(path) in said]) == warned
    nothing = SimpleNamespace(found=(), said="nothing", trace="", full_trace="")
    monkeypatch.setattr(type(PURCHASE), "trial", lambda *_: nothing)
    head = "from run import ZEWDPCBaseRun\n\n\nclass Mine(ZEWDPCBaseRun):\n"
    (tmp_path / "mine.py").write_text(f"{head}    def purchase_phase(self, unlabelled_dataset):\n        pass\n")
    assert main(["validate", str(tmp_path / "mine.py"), "--sandbox", tier, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["warnings"]
    assert len([said for said in found if opening in str(said)]) == warned, found
