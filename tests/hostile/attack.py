"""One attack: what it must not achieve, how it is run, and the judgement over what came of it."""

from __future__ import annotations

import ast
import atexit
import functools
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import docker_engine
from evaluator.sandbox import tiers
from evaluator.sandbox.engine import Engine
from evaluator.sandbox.landlock import abi
from evaluator.sandbox.landlocked import LEAST
from evaluator.sandbox.scratch import remove_tree

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
USER = 61234
"""An ordinary user without processes or files, for the evaluator of attacks on the process tier, where root starts the suite."""
POOL, BUDGET = 64, 6
MIB = 1 << 20
LATE_PIXEL = 171
"""Value of every pixel of the prediction phase, by which an attack knows its images."""
LIMITS = {"memory": 512 * MIB, "processes": 64, "disk": 64 * MIB, "files": 5_000}
GROWTH = 300 * MIB
"""What the evaluator's memory may grow by. One frame of the channel may hold 64 MiB, and is copied three times."""

TIERS = ("process", "landlock", "bubblewrap", "bubblewrap, watched")
"""``watched``: bubblewrap started by an ordinary user, who may make no control groups."""

HOLES = {
    "pool": "labels of the pool that were not bought",
    "file": "the file of labels",
    "cache": "a file beside the image cache",
    "results": "the results of an earlier cell",
    "environment": "the evaluator's environment",
    "descriptor": "an open descriptor of the evaluator",
    "memory": "the evaluator's memory",
    "keyring": "a key of the evaluator's session",
    "budget": "more labels than the budget",
    "ledger": "a ledger that does not say what was sold",
    "outlives": "a process that outlives its session",
    "changed": "files outside of the scratch folder",
    "traces": "something left on the machine",
    "carried": "something that the next cell finds",
    "network": "a connection",
    "late": "a session that ends more than a second after its limit",
    "evaluator": "the evaluator's end, or a change in it",
    "growth": "growth of the evaluator's memory",
    "terminal": "a message with characters that steer a terminal",
    "claimed": "what only the attack itself can see",
}
"""What an attack can achieve."""


@dataclass(frozen=True)
class Attack:
    """One hostile submission, from its ``run.py`` and ``expect.toml``.

    Attributes:
        title: the first line of its docstring, which names the attack.
        aim: what it must not achieve.
        verdicts: one of them it must get.
        cells: how often it runs, one after the other, in one evaluator.
        resources: it is about memory, processes or disk, so that the watched tier is of interest before others.
        restart: every phase has a worker of its own, so the attack has checkpoint hooks.
        free_seconds: what importing may take without being charged; less than the kit's allowance, so that nobody waits for it.
        spoils_kit: where it succeeds the kit is changed, so it gets a copy of its own.
        claims: its own word counts as an achievement, since nobody else can see it.
        tiers: what differs by tier: ``verdicts``; ``holes`` that are not stopped, and ``why``.
    """

    name: str
    title: str
    aim: str
    verdicts: tuple[str, ...]
    seconds: float = 2.0
    load_seconds: float = 20.0
    cells: int = 1
    restart: bool = False
    free_seconds: float = 10.0
    resources: bool = False
    claims: bool = False
    spoils_kit: bool = False
    slow: bool = False
    tiers: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Attack:
        """The attack in ``folder``."""
        expect = tomllib.loads((folder / "expect.toml").read_text())
        docstring = ast.get_docstring(ast.parse((folder / "run.py").read_text()))
        assert docstring, f"{folder.name}/run.py has no docstring that names the attack"
        tiers = {name: expect.pop(name) for name in ("process", "landlock", "bubblewrap", "watched", "docker") if name in expect}
        return cls(folder.name, docstring.splitlines()[0], verdicts=tuple(expect.pop("verdicts")), tiers=tiers, **expect)

    def of(self, tier: str) -> dict[str, Any]:
        """What is expected in a tier."""
        short = "watched" if "watched" in tier else tier
        return {"verdicts": self.verdicts, "holes": [], "why": ""} | self.tiers.get(short, {})


def attacks() -> list[Attack]:
    """All of them, by name."""
    return [Attack.read(path.parent) for path in sorted(HERE.glob("*/expect.toml"))]


@dataclass(frozen=True)
class Outcome:
    """What came of an attack.

    Attributes:
        holes: kinds of ``HOLES``, with what was seen; empty where nothing was achieved.
        verdict: of the session, or of its prediction phase where the rest was ``OK``; the first one that is not ``OK``.
        noticed: the evaluator says that something was wrong, by its verdict or otherwise.
        report: everything that was seen.
    """

    holes: dict[str, str]
    verdict: str
    noticed: bool
    report: dict[str, Any]

    @property
    def word(self) -> str:
        """``stopped``: without effect, and judged like any other submission. ``detected``: without effect, and named."""
        return "not stopped" if self.holes else "detected" if self.noticed else "stopped"


def kit_copy(folder: Path) -> Path:
    """A copy of what the kit runs: an attack that reaches it spoils nothing. Compiled, so that running it changes nothing."""
    kit = folder / "kit"
    left_out = shutil.ignore_patterns("weights_data", "__pycache__", "cli", "report")
    shutil.copytree(ROOT / "evaluator", kit / "evaluator", ignore=left_out)
    for file in (ROOT / "run.py", HERE / "keeper.py", HERE / "weakened.py"):
        shutil.copy(file, kit / file.name)
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(kit)], check=True)
    _give(folder)
    return kit


def is_ordinary(tier: str) -> bool:
    """Whether the evaluator must become an ordinary user: to be watched, and so that no attack on the process tier is root's."""
    return os.geteuid() == 0 and tier in ("process", "landlock", "bubblewrap, watched")


@functools.cache
def interpreter(user: bool) -> str:
    """An interpreter with NumPy for the evaluator; for an ordinary user one that it can reach.

    Raises:
        LookupError: there is none; the message says what was tried.
    """
    if not user or _serves(sys.executable):
        return sys.executable
    # An interpreter below root's home is closed to everybody else. The system's own is not; it gets what the evaluator imports.
    system = f"/usr/bin/python3.{sys.version_info.minor}"
    folder = Path(tempfile.mkdtemp(prefix="attack-python-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    command = [system, "-m", "venv", "--without-pip", str(folder)]
    if Path(system).exists() and subprocess.run(command, capture_output=True, check=False).returncode == 0:
        for name in ("numpy", "numpy.libs", "PIL", "pillow.libs"):
            source = Path(sysconfig.get_paths()["platlib"]) / name
            if source.is_dir():
                shutil.copytree(source, folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages" / name)
        if _serves(str(folder / "bin" / "python")):
            return str(folder / "bin" / "python")
    raise LookupError(f"an ordinary user can run neither {sys.executable} nor {system} with NumPy")


def _serves(python: str) -> bool:
    command = [python, "-c", "import numpy, PIL.Image, resource"]
    user = {"user": USER, "group": USER, "extra_groups": []}
    try:
        return subprocess.run(command, check=False, capture_output=True, cwd="/", **user).returncode == 0
    except OSError:
        return False  # it cannot even be started by that user


def run(attack: Attack, tier: str, kit: Path, weakened: str = "") -> Outcome:
    """Run an attack in a tier and judge it."""
    outcome = _run(attack, tier, kit, weakened)
    for _ in range(2):
        if set(outcome.holes) != {"late"}:
            break
        # A busy machine is late as well; an attack is late every time.
        outcome = _run(attack, tier, kit, weakened)
    return outcome


def _run(attack: Attack, tier: str, kit: Path, weakened: str) -> Outcome:
    ordinary = is_ordinary(tier)
    house = Path(tempfile.mkdtemp(prefix="attack-"))
    house.chmod(0o755)
    kinds = ("memory", "descriptor", "environment", "file", "cache", "results", "keyring")
    tokens = {kind: f"CANARY-{kind}-{secrets.token_hex(16)}" for kind in kinds}
    tokens["pool"] = secrets.token_hex(POOL // 2)
    plan = {
        "house": str(house),
        "kit": str(kit),
        "python": interpreter(ordinary),
        "tier": tier.split(",")[0],
        "weakened": weakened,
        "user": USER if ordinary else None,
        "secrets": tokens,
        "mark": f"attack-mark-{secrets.token_hex(8)}",
        "key": secrets.randbelow(1 << 30) + 1,
        "carry": f"CARRIED-{secrets.token_hex(16)}",
        "order": secrets.randbelow(1 << 30),
        "pool": POOL,
        "late_pixel": LATE_PIXEL,
        "budget": BUDGET,
        "cells": attack.cells,
        "seconds": attack.seconds,
        "load_seconds": attack.load_seconds,
        "free_seconds": attack.free_seconds,
        "restart": attack.restart,
        "limits": LIMITS,
        "patience": 60 + attack.load_seconds + 2 * attack.seconds * attack.cells,
    }
    try:
        _furnish(house, attack, plan)
        if attack.spoils_kit:
            (house / "own").mkdir()
            kit = kit_copy(house / "own")
            plan["kit"] = str(kit)
        keeper = subprocess.run(
            [sys.executable, "-s", str(kit / "keeper.py")],
            input=json.dumps(plan),
            capture_output=True,
            text=True,
            cwd=kit,
            env={
                "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
                "TMPDIR": str(house / "tmp"),
                "ATTACK_SECRET": tokens["environment"],
                "PYTHONDONTWRITEBYTECODE": "1",
                "OMP_NUM_THREADS": "1",
                **{name: os.environ[name] for name in ("DOCKER_HOST", "DATA_CENTRIC_KIT_IMAGE") if name in os.environ},
            },
            timeout=plan["patience"] + 60,
            check=False,
        )
        containers = _containers(house) if tier == "docker" else []
    finally:
        remove_tree(house)
    if keeper.returncode:
        raise RuntimeError(f"the keeper of {attack.name} failed: {keeper.stderr[-3000:]}")
    report = json.loads(keeper.stdout)
    # What runs in a container is the engine's child, and not the keeper's.
    return judge(attack, plan, report | {"survivors": report["survivors"] + containers})


def _containers(house: Path) -> list[str]:
    """Names of containers, running or not, that show something of the house."""
    known = Engine().ask("GET", "/containers/json", all="1")
    return [name for one in known for name in one["Names"] if any(str(house) in m.get("Source", "") for m in one.get("Mounts", []))]


@contextmanager
def engine(say: Callable[[str], None] = lambda reason: None) -> Iterator[None]:
    """A Docker engine, the machine's own or one that is started for the suite; without either the tier does not work."""
    with ExitStack() as stack:
        if "DOCKER_HOST" not in os.environ:
            try:
                running = stack.enter_context(docker_engine.running_engine())
            except docker_engine.NoEngine as reason:
                say(f"docker: {reason}")
            else:
                os.environ["DOCKER_HOST"] = f"unix://{running.engine.path}"
                stack.callback(os.environ.pop, "DOCKER_HOST", None)
                tiers.state.cache_clear()
        yield


def _furnish(house: Path, attack: Attack, plan: dict[str, Any]) -> None:
    """Labels, cache, earlier results and the submission, as they lie on an organiser's machine."""
    for name in ("data", "cache", "results", "tmp", "sockets", "victim"):
        (house / name).mkdir()
    tokens = plan["secrets"]
    (house / "data" / "labels.csv").write_text(f"filename,labels\n{tokens['file']}\n")
    np.save(house / "cache" / "images.npy", np.zeros((POOL, 8, 8, 3), np.uint8))
    np.save(house / "cache" / "prediction.npy", np.full((16, 8, 8, 3), LATE_PIXEL, np.uint8))
    np.save(house / "cache" / "labels.npy", np.frombuffer(tokens["cache"].encode(), np.uint8))
    (house / "cache" / "images.rows.json").write_text(json.dumps(tokens["cache"]))
    (house / "results" / "earlier.json").write_text(json.dumps({"ledger": tokens["results"]}))
    for part in ("", "round1", "round1/seed0"):
        # Folders and files as an organiser has them: whoever clears up through a link finds something to remove.
        (house / "victim" / part).mkdir(exist_ok=True)
        for name in ("labels.csv", "results.json", "notes.txt"):
            (house / "victim" / part / name).write_text(f"{part}/{name} of the organiser's\n")
    for path in (*(house / "data").iterdir(), *(house / "results").iterdir(), house / "cache" / "labels.npy"):
        # Shown on purpose, they must be readable too: the worker is another user.
        path.chmod(0o644 if plan["weakened"] == "labels" else 0o600)
    shutil.copytree(HERE / attack.name, house / "submission", ignore=shutil.ignore_patterns("expect.toml", "__pycache__"))
    shutil.copy(HERE / "aim.py", house / "submission" / "aim.py")
    if plan["user"] is not None:
        _give(house)


def _give(folder: Path) -> None:
    if os.geteuid() != 0:
        return
    folder.chmod(0o755)
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(os.path.join(place, name), USER, USER)
    os.chown(folder, USER, USER)


def judge(attack: Attack, plan: dict[str, Any], report: dict[str, Any]) -> Outcome:
    """What was achieved, decided by the secrets and by what is left, not by what the attack says."""
    holes: dict[str, str] = {}
    cells = report.get("cells", [])
    said = "\n".join(json.dumps(cell["text"]) for cell in cells)
    for kind, token in plan["secrets"].items():
        if kind != "pool" and token in said:
            holes[kind] = "its content was read"
    truth = plan["secrets"]["pool"]
    shuffled = "".join(truth[i] for i in report.get("order", []))
    known = {text[at : at + 10] for text in (truth, shuffled) for at in range(len(text) - 9)}
    if any(window in said for window in known):
        holes["pool"] = "a stretch of them was read"
    for cell in cells:
        right = _right_labels(cell["text"]["log"], shuffled)
        if cell["bought"] > plan["budget"] or right > plan["budget"] + 2:
            holes["budget"] = f"{cell['bought']} sold, {right} known, of {plan['budget']}"
        if cell["different"] != cell["bought"] or cell["wrong"]:
            holes["ledger"] = f"{cell['bought']} rows, {cell['different']} different, {cell['wrong']} wrong"
        if cell["seconds"] > attack.seconds + 1:
            holes["late"] = f"{cell['seconds']:.1f} s of {attack.seconds:g} s"
        told = [cell["text"][name] or "" for name in ("reason", "trace", "class_name", "disagreement")]
        if "\x1b" in "".join(told):
            holes["terminal"] = "an escape character"
        if attack.claims and (claim := re.search(r"^LOOT .*$", cell["text"]["log"], re.MULTILINE)):
            holes["claimed"] = claim[0][5:120]
    if any(plan["carry"] in json.dumps(cell["text"]) for cell in cells[1:]):
        holes["carried"] = "the next cell found it"
    if report["survivors"]:
        holes["outlives"] = report["survivors"][0][:120]
    if report["changed"]:
        holes["changed"] = ", ".join(report["changed"][:3])
    if report["traces"]:
        holes["traces"] = ", ".join(report["traces"][:3])
    if report["contacts"]:
        holes["network"] = ", ".join(report["contacts"])
    if "error" in report or report["status"] or report["hung"] or report["patched"]:
        holes["evaluator"] = str(report.get("error", f"status {report['status']}"))[-300:]
    elif report["growth"] > GROWTH:
        holes["growth"] = f"{report['growth'] >> 20} MiB"
    verdicts = [verdict for cell in cells for verdict in (cell["verdict"], *(p["verdict"] for p in cell["text"]["phases"]))]
    verdict = next((v for v in verdicts if v != "OK"), "OK" if verdicts else "none")
    noticed = verdict != "OK" or any(cell["text"]["disagreement"] or not cell["guarded"] for cell in cells)
    return Outcome(holes, verdict, noticed, report)


def _right_labels(log: str, shuffled: str) -> int:
    """How many labels an attack knows: of those that it printed, those that are right."""
    right = set()
    for line in log.splitlines():
        if line.startswith("LABELS "):
            for index, row in json.loads(line[7:]).items():
                if 0 <= int(index) < len(shuffled) and bytes(np.packbits(np.array(row, np.uint8))) == shuffled[int(index)].encode():
                    right.add(int(index))
    return len(right)


def works(tier: str, say: Callable[[str], None] = lambda reason: None) -> bool:
    """Whether a tier can be attacked here. Says why not."""
    if not sys.platform.startswith("linux"):
        say(f"{tier}: the suite needs Linux to see what is left of an attack")
        return False
    if tier == "docker":
        reason = tiers.state("docker").reason
        if reason:
            say(f"docker: {reason}")
        return not reason
    try:
        interpreter(is_ordinary(tier))
    except LookupError as error:
        say(f"{tier}: {error}")
        return False
    if tier == "process":
        return True
    if tier == "landlock":
        if abi() < LEAST:
            say(f"landlock: this kernel offers ABI {abi()}, and {LEAST} was expected")
        return abi() >= LEAST
    program = shutil.which("bwrap")
    if program is None:
        say(f"{tier}: the program bwrap is not installed")
        return False
    # A namespace within a namespace, as the tier makes them; refused by some kernels to ordinary users.
    user = {"user": USER, "group": USER, "extra_groups": []} if os.geteuid() == 0 and "watched" in tier else {}
    made = subprocess.run(
        [program, "--unshare-user", "--unshare-pid", "--unshare-net", "--ro-bind", "/", "/", "true"],
        capture_output=True,
        text=True,
        check=False,
        **user,
    )
    if made.returncode:
        say(f"{tier}: {made.stderr.strip()}")
    return made.returncode == 0
