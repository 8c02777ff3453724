"""Every tier that works here keeps every duty; tiers that are broken on purpose are found out; the choice of a tier.

The checks of all tiers run side by side, each tier's in a process of its own: they mostly wait.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from evaluator.cli.main import main
from evaluator.errors import ConfigurationError
from evaluator.purchase.conformance import SESSION_CHECKS
from evaluator.sandbox import tiers
from evaluator.sandbox.channel import HostChannel
from evaluator.sandbox.conformance import CHECKS, ending, files, given, limits, messages, neighbours, selfcheck
from evaluator.sandbox.conformance.check import Check, check, run_check
from evaluator.sandbox.conformance.stage import marked, need
from evaluator.sandbox.guarded import worker_command
from evaluator.sandbox.logs import LogReader
from evaluator.sandbox.process import ProcessSandbox
from evaluator.sandbox.readonly import sealed
from evaluator.sandbox.tier import PROMISES, Ended

ROOT = Path(__file__).resolve().parents[2]
ORDINARY = 65534
PLAYS = {
    "process": (*CHECKS, *SESSION_CHECKS),
    "bubblewrap": (*CHECKS, *SESSION_CHECKS),
    "docker": (*CHECKS, *SESSION_CHECKS),
    # What differs from the above is the limits, and who ends the tree.
    "process, watched": (*limits.CHECKS, *ending.CHECKS),
    "bubblewrap, ordinary user": (*limits.CHECKS, *files.CHECKS, *neighbours.CHECKS, *given.CHECKS),
}
PLAYER = """
import json, sys
from evaluator.sandbox.conformance import {modules}
from evaluator.sandbox.conformance.check import run_checks
from evaluator.sandbox.tiers import SANDBOXES
{imports}
for result in run_checks(({checks}), {sandbox}):
    print(json.dumps([result.name, result.verdict, result.detail]), flush=True)
"""


DOCKER = """
from benchmarks.harness import docker_engine
try:
    with docker_engine.running_engine() as running:
        from evaluator.sandbox.docker import DockerSandbox
        sandbox = DockerSandbox(engine=running.engine, image=running.image)
{player}
except docker_engine.NoEngine as error:
    print(json.dumps(["", "no engine", str(error)]))
"""


def program(variant: str) -> str:
    """What the process of a variant runs; an ordinary user's imports no more than he can be given."""
    if variant == "process, watched":
        imports, sandbox = "from evaluator.sandbox.process import ProcessSandbox", "ProcessSandbox(cgroups=False)"
        return PLAYER.format(modules="ending, limits", imports=imports, checks="*limits.CHECKS, *ending.CHECKS", sandbox=sandbox)
    if "ordinary" in variant:
        names = "*limits.CHECKS, *files.CHECKS, *neighbours.CHECKS, *given.CHECKS"
        return PLAYER.format(
            modules="files, given, limits, neighbours", imports="", checks=names, sandbox='SANDBOXES["bubblewrap"](False)'
        )
    sandbox = f"SANDBOXES[{variant!r}](False)" if variant != "docker" else "sandbox"
    imports = "from evaluator.purchase.conformance import SESSION_CHECKS"
    player = PLAYER.format(modules="CHECKS", imports=imports, checks="*CHECKS, *SESSION_CHECKS", sandbox=sandbox)
    return player if variant != "docker" else "import json\n" + DOCKER.format(player=textwrap.indent(player, "        "))


def ordinary_python(folder: Path) -> str:
    """An interpreter with numpy that an ordinary user can run, and the sandboxes' half of the kit in the folder ``kit``."""
    folder.chmod(0o755)
    (folder / "kit" / "evaluator").mkdir(parents=True)
    for file in (ROOT / "run.py", *(ROOT / "evaluator").glob("*.py")):
        shutil.copy(file, folder / "kit" / file.relative_to(ROOT))
    for name in ("sandbox", "strategies", "worker"):
        shutil.copytree(
            ROOT / "evaluator" / name, folder / "kit" / "evaluator" / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    (folder / "temporary").mkdir()
    (folder / "temporary").chmod(0o777)
    if serves(sys.executable):
        return sys.executable
    system = f"/usr/bin/python3.{sys.version_info.minor}"
    made = (
        os.path.exists(system)
        and not subprocess.run([system, "-m", "venv", "--without-pip", folder / "venv"], check=False).returncode
    )
    if made:
        library = folder / "venv" / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
        for name in ("numpy", "numpy.libs"):
            if (source := Path(sysconfig.get_paths()["platlib"]) / name).is_dir():
                shutil.copytree(source, library / name, ignore=shutil.ignore_patterns("tests", "__pycache__"))
        if serves(python := str(folder / "venv" / "bin" / "python")):
            return python
    raise LookupError(f"an ordinary user can run neither {sys.executable} (its folder is closed) nor {system} with numpy")


def serves(python: str) -> bool:
    """Whether the ordinary user can run this interpreter with numpy."""
    try:
        command = [python, "-c", "import numpy"]
        return not subprocess.run(command, **ordinary(), capture_output=True, cwd="/", check=False).returncode
    except OSError:
        return False


def ordinary() -> dict[str, object]:
    """Arguments that start a process as the ordinary user, where we are root."""
    return {"user": ORDINARY, "group": ORDINARY, "extra_groups": []} if os.geteuid() == 0 else {}


@pytest.fixture(scope="module", autouse=True)
def plays(request, tmp_path_factory):
    """Per variant that works here the process that plays its checks; per variant that does not, why not.

    Started before the first test of this file and looked at by the last ones, so that the machine does not wait for them. Only
    variants that a selected test looks at are started.
    """
    cases = (getattr(item, "callspec", None) for item in request.session.items if item.path == request.path)
    selected = {case.params["variant"] for case in cases if case and "variant" in case.params}
    started: dict[str, subprocess.Popen | str] = {}
    house = Path(tempfile.mkdtemp(prefix="dck-ordinary-"))  # pytest's own folders are closed to others
    log = tmp_path_factory.mktemp("log")
    try:
        for variant in (variant for variant in PLAYS if variant in selected):
            options, python, place = {}, sys.executable, ROOT
            environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            if "ordinary" in variant:
                if "bubblewrap" in started and isinstance(started["bubblewrap"], str):
                    started[variant] = started["bubblewrap"]
                    continue
                try:
                    python, place, options = ordinary_python(house), house / "kit", ordinary()
                except LookupError as error:
                    started[variant] = str(error)
                    continue
                environment |= {"TMPDIR": str(house / "temporary"), "HOME": str(house)}
                refusal = subprocess.run(
                    [python, "-c", "from evaluator.sandbox.tiers import state; print(state('bubblewrap').reason)"],
                    cwd=place,
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=True,
                    **options,
                ).stdout.strip()
                if refusal:
                    started[variant] = f"bubblewrap does not work for an ordinary user here: {refusal}"
                    continue
            elif variant in ("process", "bubblewrap") and (reason := tiers.state(variant).reason):
                started[variant] = f"{reason}; {tiers.WAYS[variant]}"
                continue
            with open(log / "errors", "ab") as errors:
                command = [python, "-c", program(variant)]
                started[variant] = subprocess.Popen(
                    command, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=errors, **options
                )
        found: dict[str, dict] = {}

        def wait(variant: str) -> dict[str, tuple[str, str]]:
            play = started[variant]
            if isinstance(play, str):
                pytest.skip(f"{variant}: {play}")
            if variant not in found:
                out, _ = play.communicate(timeout=900)
                found[variant] = {name: (verdict, detail) for name, verdict, detail in map(json.loads, out.splitlines())}
            if "" in found[variant]:
                pytest.skip(f"{variant}: {found[variant][''][1]}")
            return found[variant]

        yield wait
    finally:
        for play in started.values():
            if not isinstance(play, str) and play.poll() is None:
                play.send_signal(signal.SIGINT)  # so that it ends its engine
                try:
                    play.wait(30)
                except subprocess.TimeoutExpired:
                    play.kill()
                    play.wait()
        shutil.rmtree(house, ignore_errors=True)


@pytest.mark.endurance
def test_the_list_is_long_unambiguous_and_says_what_it_asks():
    checks = (*CHECKS, *SESSION_CHECKS)
    assert len(checks) >= 30
    assert len({made.name for made in checks}) == len(checks)
    assert all(made.duty.endswith(".") for made in checks)
    assert {made.promise for made in checks} == {None, *PROMISES}


# -- tiers that are broken on purpose


class Naive:
    """What one writes first: a child process, killed at the end. Every fault in it is one that the list must find."""

    name = "naive"
    promises = frozenset(PROMISES)

    def start(self, spec):
        return NaiveWorker(spec)

    def opened(self, file):
        return os.open(file, os.O_RDWR) if isinstance(file, os.PathLike) else sealed(file.data)


class NaiveWorker:
    """A worker without guard, group, allow-list, cap or limit."""

    limited_by = "nothing"

    def __init__(self, spec):
        ours, theirs = socket.socketpair()
        home = tempfile.mkdtemp(dir=spec.submission.parent)
        self._output, write = os.pipe()
        os.set_inheritable(theirs.fileno(), True)
        self._process = subprocess.Popen(
            worker_command(theirs.fileno()),
            stdin=subprocess.DEVNULL,
            stdout=write,
            stderr=write,
            close_fds=False,  # inherits whatever is inheritable
            env=os.environ | {"HOME": home, "TMPDIR": home, "TORCH_HOME": str(spec.weights)},
            cwd=home,
        )
        os.close(write)
        theirs.close()
        self.pid = self._process.pid
        self.channel = HostChannel(ours)
        self._logs = LogReader(self._output)

    def seen(self, path):
        return str(path)

    def end(self):
        """Kill the child and nothing else; tell a signal as shells do; never notice who ended it."""
        self._process.kill()
        status = self._process.wait()
        self.channel.close()
        return Ended(code=status if status >= 0 else 128 - status)

    def follow(self, follower):
        self._logs.follow(follower)

    def log(self):
        return self._logs.close()[-100_000:]


NAIVE_FAULTS = {
    "a timeout kills grandchildren": "outlived",
    "a timeout kills what left the session": "outlived",
    "a timeout kills daemons": "outlived",
    "a fast death by signal is no timeout": "reported as",
    "a crash is told with its signal": "reported as",
    "the environment is an allow list": "has passed",
    "no secret is in the memory that the worker started with": "True",
    "only the streams and the channel are open": "beside the standard streams",
    "the order of sets repeats": "two orders",
    "the number of threads is told": "instead of 3",
    "weights are shown where there are any": "TORCH_HOME is set",
    "output is capped and its ends are kept": "lost",
    "memory of its own is limited": "the program",
    "processes are limited": "120 were started",
    "the disk is limited": "of at most",
    "the number of files is limited": "of at most",
    "no core is left": "core",
    "the evaluators files cannot be seen": "can be read",
    "the kits data and results cannot be seen": "the worker sees",
    "the kit cannot be changed": "can be changed",
    "what is given cannot be changed": "can be changed",
    "files in memory are gone with the run": "found",
    "other processes cannot be seen": "command line",
    "the first process is not the machines": "shares",
    "two workers do not see each other": "seen",
    "the machines own addresses cannot be reached": "arrived",
    "abstract sockets cannot be reached": "connected",
    "too much memory is a memory limit": "instead of MEMORY_LIMIT",
}


@pytest.fixture
def an_open_core_limit():
    """Core files are often off to begin with; then nothing shows who turned them off."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if hard == 0:
        pytest.skip("core files are off on this machine")
    resource.setrlimit(resource.RLIMIT_CORE, (min(4096, hard) if hard != resource.RLIM_INFINITY else 4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.endurance] if number % 6 else []) for number, name in enumerate(NAIVE_FAULTS)]
)
@pytest.mark.endurance
def test_a_naive_tier_is_found_out(name, monkeypatch, request):
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if name == "no core is left":
        request.getfixturevalue("an_open_core_limit")
    made = next(made for made in (*CHECKS, *SESSION_CHECKS) if made.name == name)
    result = run_check(made, Naive())
    assert result.verdict == "failed", result
    assert NAIVE_FAULTS[name] in result.detail, result.detail


def test_what_a_broken_tier_lets_live_is_not_left_on_the_machine():
    marks = []
    checks: list[Check] = []

    @check(checks)
    def leaves(stage):
        """Leaves a daemon."""
        with stage.cast("daemon()\ntime.sleep(600)\n") as actor:
            marks.append(actor.mark)
            actor.await_processes(2)
            need(not actor.end().left, "it lives")

    assert run_check(checks[0], Naive()).verdict == "failed"
    assert marked(marks[0]) == []


class Deaf(ProcessSandbox):
    """Starts nothing."""

    def start(self, spec):
        raise OSError("no such luck")


def test_a_check_never_raises_and_says_what_went_wrong():
    results = [run_check(made, Deaf()) for made in (*messages.CHECKS[:3], *SESSION_CHECKS[:2])]
    assert {result.verdict for result in results} == {"failed"}
    assert all("no such luck" in result.detail for result in results)


def test_what_is_not_promised_is_listed_and_what_is_not_said_is_asked():
    made = next(made for made in CHECKS if made.promise == "network")
    result = run_check(made, ProcessSandbox())
    assert (result.verdict, result.seconds) == ("not promised", 0.0)
    assert PROMISES["network"] in result.detail

    class Silent:
        start = ProcessSandbox().start

    assert run_check(made, Silent()).verdict == "failed"


def test_a_check_needs_a_duty_and_a_promise_that_exists():
    with pytest.raises(ConfigurationError, match="docstring"):
        Check("x", "", None, lambda stage: None)
    with pytest.raises(ConfigurationError, match="known: "):
        Check("x", "Does.", "peace", lambda stage: None)


# -- the self-check and the choice


@pytest.fixture
def fresh():
    """No tier has been looked at yet."""
    tiers.state.cache_clear()
    yield
    tiers.state.cache_clear()


def test_the_self_check_passes_what_holds_and_refuses_what_does_not(monkeypatch):
    for name in ("SSH_AUTH_SOCK", "PYTHONPATH", "LD_PRELOAD", "MAKEFLAGS"):
        monkeypatch.delenv(name, raising=False)  # they are looked for first, and a naive tier hands them on
    good = selfcheck.self_check(ProcessSandbox())
    assert good.reason == ""
    assert good.limited_by in ("cgroup v1", "cgroup v2", "watch")
    assert good.start_up > 0
    assert "no such luck" in selfcheck.self_check(Deaf()).reason
    naive = Naive()
    assert "outlived" in selfcheck.self_check(naive).reason

    class Claims(ProcessSandbox):
        promises: frozenset[str] = frozenset()

    for promise, words in (
        ("files", "can read the evaluator's files"),
        ("processes", "shares this machine's processes"),
        ("network", "network interfaces"),
    ):
        Claims.promises = frozenset({promise})
        if promise == "network" and all(name == "lo" for _, name in socket.if_nameindex()):
            continue  # a machine without a network promises it all by itself
        assert words in selfcheck.self_check(Claims()).reason


def test_auto_takes_the_first_tier_that_works_and_looks_once(fresh, monkeypatch):
    looked = []

    def look(sandbox):
        looked.append(sandbox.name)
        return selfcheck.SelfCheck("broken" if sandbox.name == "strong" else "")

    class Strong(ProcessSandbox):
        name = "strong"

    def absent(gpu):
        raise OSError("not installed")

    monkeypatch.setattr(tiers, "self_check", look)
    monkeypatch.setattr(tiers, "WAYS", dict.fromkeys(("absent", "strong", "weak"), "mend it"))
    monkeypatch.setattr(
        tiers, "SANDBOXES", {"absent": absent, "strong": lambda gpu: Strong(), "weak": lambda gpu: ProcessSandbox()}
    )
    assert tiers.choose().name == "process"
    assert tiers.choose("auto").name == "process"
    assert looked == ["strong", "process"]
    # A tier that was named is taken or refused, never lowered.
    with pytest.raises(ConfigurationError, match=r"strong does not work here: broken; mend it"):
        tiers.choose("strong")
    with pytest.raises(ConfigurationError, match="not installed; mend it"):
        tiers.choose("absent")
    with pytest.raises(ConfigurationError, match="choose one of auto, absent, strong, weak"):
        tiers.choose("fortress")
    monkeypatch.setattr(tiers, "SANDBOXES", {"absent": absent})
    with pytest.raises(ConfigurationError, match="not installed"):
        tiers.choose()


def test_the_gpu_is_asked_for_in_the_tier(fresh, monkeypatch):
    asked = []
    monkeypatch.setattr(tiers, "self_check", lambda sandbox: selfcheck.SelfCheck(""))
    monkeypatch.setattr(tiers, "SANDBOXES", {"process": lambda gpu: asked.append(gpu) or ProcessSandbox()})
    tiers.choose("process", gpu=True)
    assert asked == [True, True]


def test_bubblewrap_is_refused_by_name_where_it_is_not_installed(fresh, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="apt-get install bubblewrap"):
        tiers.choose("bubblewrap")


# -- the doctor


def test_the_doctor_says_which_tiers_work_and_how_to_get_the_others(fresh, capsys, monkeypatch, tmp_path):
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["tiers"]) == set(tiers.SANDBOXES)
    assert found["tiers"]["process"]["works"]
    assert found["tiers"][found["auto"]]["works"]
    tiers.state.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "300")
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "apt-get install bubblewrap" in out
    assert "auto uses" in out


@pytest.mark.endurance
def test_the_doctors_full_list_ends_with_one_where_a_check_fails(monkeypatch, capsys):
    from evaluator.purchase import conformance as sessions
    from evaluator.sandbox import conformance as rooms

    few = [made for made in CHECKS if made.name in ("an exit with zero is told", "the worker is not root", "no core is left")]
    monkeypatch.setattr(rooms, "CHECKS", tuple(few))
    monkeypatch.setattr(sessions, "SESSION_CHECKS", [])
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["doctor", "--sandbox", "process"]) == 0
    assert "2 passed, 1 not promised" in capsys.readouterr().out
    monkeypatch.setattr(tiers, "choose", lambda name, gpu: Naive())
    assert main(["doctor", "--sandbox", "process", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    counts = Counter(made["verdict"] for made in found["checks"])
    assert counts == found["counts"]
    assert counts["failed"] >= 1
    assert main(["doctor", "--sandbox", "process"]) == 1
    assert "Its duty: " in capsys.readouterr().out


def test_the_doctor_refuses_a_tier_that_is_none(capsys):
    assert main(["doctor", "--sandbox", "fortress"]) == 2
    assert "choose one of" in capsys.readouterr().err


def test_a_result_says_its_tier_and_what_held_its_limits(cell, strategy):
    result, _ = cell(strategy("def purchase_phase(self):\n    pass\n"))
    assert result["isolation"]["tier"] == "process"
    assert result["isolation"]["limited_by"] in ("cgroup v1", "cgroup v2", "watch")


def test_the_tier_is_part_of_what_names_a_cell(cell_spec, strategy):
    path = strategy("def purchase_phase(self):\n    pass\n")
    assert cell_spec(path, tier="process").digest() != cell_spec(path, tier="bubblewrap").digest()


def test_a_session_without_a_worker_says_that_nothing_held_it(session, strategy):
    assert session(strategy("def purchase_phase(self):\n    pass\n"), sandbox=Deaf()).limited_by == ""


# -- the tiers of this machine; last, see ``plays``


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "name"),
    [
        pytest.param(variant, made.name, marks=[] if variant == "bubblewrap" else [pytest.mark.endurance])
        for variant, checks in PLAYS.items()
        for made in checks
    ],
)
def test_a_tier_keeps_a_duty(plays, variant, name):
    findings = plays(variant)
    assert name in findings, f"the play of {variant} ended before it: {list(findings)[-1:]}"
    verdict, detail = findings[name]
    if verdict == "not checked":
        pytest.skip(detail)
    promise = next(made.promise for made in PLAYS[variant] if made.name == name)
    assert verdict == ("not promised" if variant.startswith("process") and promise else "passed"), detail
