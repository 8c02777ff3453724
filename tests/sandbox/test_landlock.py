"""Landlock: what a ruled process can still do, by its rules and by the version of the kernel's ABI."""

import ctypes
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from evaluator.errors import ConfigurationError
from evaluator.sandbox import landlock, landlocked, tiers
from evaluator.sandbox.conformance import CHECKS
from evaluator.sandbox.conformance.check import run_check
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
