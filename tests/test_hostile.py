"""Every attack in every tier: what is stopped stays stopped, and what a tier does not stop is known, one by one."""

from __future__ import annotations

import ast
import functools
import re
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.hostile.__main__ import table
from tests.hostile.attack import (
    BUDGET,
    HERE,
    HOLES,
    POOL,
    ROOT,
    TIERS,
    Attack,
    Outcome,
    attacks,
    engine,
    judge,
    kit_copy,
    run,
    works,
)

EVERY = {attack.name: attack for attack in attacks()}
AT_ONCE = 2


def is_slow(attack: Attack, tier: str) -> bool:
    """Slow by itself, or as one of many: a container takes its time, and an ordinary user's room differs by its watch alone."""
    return attack.slow or tier == "docker" or (tier == "bubblewrap, watched" and not attack.resources)


LONG = 15.0
"""Seconds on the clock of an attack that takes its time."""
ON_THE_CHANNEL = ("buy_", "claim_", "frame_", "part_", "predict_")


OF_A_KIND = 4
"""Attacks of one kind, which have the first word of their names in common, that the tests of the product run in bubblewrap."""


IN_LANDLOCK = ("file_absolute", "file_earlier_results", "kill_evaluator", "proc_mem")
"""Attacks that the tests of the product run in landlock: on what it adds to the process tier."""


def in_the_product(attack: Attack, tier: str) -> bool:
    """Whether the tests of the product run an attack in a tier: what comes over the channel in the portable tier, and of every
    other kind the first that are short in bubblewrap. The rest are endurance tests."""
    if tier == "landlock":
        return attack.name in IN_LANDLOCK
    if attack.name.startswith(ON_THE_CHANNEL) or tier != "bubblewrap":
        return tier == "process" and attack.name.startswith(ON_THE_CHANNEL)
    kind = attack.name.partition("_")[0]
    short = [name for name, own in EVERY.items() if name.partition("_")[0] == kind and own.seconds < LONG]
    return attack.name in short[:OF_A_KIND]


def marks_of(attack: Attack, tier: str) -> list[pytest.MarkDecorator]:
    """``slow`` where it is; together all attacks in all tiers take too long for every run of the tests."""
    slow = [pytest.mark.slow] if is_slow(attack, tier) else []
    return slow if in_the_product(attack, tier) else [*slow, pytest.mark.endurance]


PARAMETERS = [
    pytest.param(attack.name, tier, id=f"{attack.name}-{tier}", marks=marks_of(attack, tier))
    for attack in EVERY.values()
    for tier in (*TIERS, "docker")
]
# Said of the process tier alone: these it stops too, whatever else it cannot.
THROUGH_THE_CHANNEL = {"pool", "budget", "ledger", "late", "growth", "outlives"}


@pytest.fixture(scope="session")
def kit() -> Iterator[Path]:
    """A copy of the kit, whose folder everybody may pass through."""
    with tempfile.TemporaryDirectory(prefix="attack-kit-") as folder:
        yield kit_copy(Path(folder))


@pytest.fixture(scope="module")
def outcome(request: pytest.FixtureRequest, kit: Path) -> Iterator[Callable[[str, str], Outcome]]:
    """Runs what was collected, two at a time, and hands out what came of it."""
    chosen = [item.callspec.params for item in request.session.items if getattr(item, "originalname", "") == "test_attack"]
    wanted = {params["tier"] for params in chosen}
    with ExitStack() as stack:
        if "docker" in wanted:
            stack.enter_context(engine())
        working = {tier for tier in wanted if works(tier)}
        pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
        jobs: dict[tuple[str, str], Future[Outcome]] = {
            (p["name"], p["tier"]): pool.submit(run, EVERY[p["name"]], p["tier"], kit) for p in chosen if p["tier"] in working
        }
        yield lambda name, tier: jobs[name, tier].result()
        for job in jobs.values():
            job.cancel()


@functools.cache
def reasons(tier: str) -> tuple[str, ...]:
    """Why a tier does not work here; nothing where it does."""
    said: list[str] = []
    return () if works(tier, say=said.append) else tuple(said)


def usable(tier: str) -> None:
    """Skip, with the reason, where a tier does not work here."""
    if reasons(tier):
        pytest.skip("; ".join(reasons(tier)))


@pytest.mark.parametrize(("name", "tier"), PARAMETERS)
def test_attack(name: str, tier: str, outcome: Callable[[str, str], Outcome]) -> None:
    """The holes are exactly those that are written down, and the verdict is one of those it must get."""
    # Once the engine runs, where one can.
    usable(tier)
    seen, expected = outcome(name, tier), EVERY[name].of(tier)
    assert set(seen.holes) == set(expected["holes"]), (seen.holes, seen.report)
    assert seen.verdict in expected["verdicts"], seen.report


def test_sealed_tiers_have_no_holes_written_down() -> None:
    """What an organiser of strangers' code is promised: nothing is excused."""
    for attack in EVERY.values():
        for tier in ("bubblewrap", "bubblewrap, watched", "docker"):
            assert not attack.of(tier)["holes"], (attack.name, tier)


def test_process_tier_holds_what_it_promises() -> None:
    """No label and no budget through the channel; every hole it has is one of a same-user process, and is explained."""
    for attack in EVERY.values():
        expected = attack.of("process")
        assert not THROUGH_THE_CHANNEL & set(expected["holes"]), attack.name
        assert bool(expected["holes"]) == bool(expected["why"]), f"{attack.name}: a reason for what is not stopped, and only then"


def test_landlock_gives_away_no_secret() -> None:
    """What it does not stop is a connection without TCP, a changed mode or place of work, or something in shared memory."""
    for attack in EVERY.values():
        expected = attack.of("landlock")
        assert set(expected["holes"]) <= {"network", "changed", "traces", "carried", "claimed"}, attack.name
        assert bool(expected["holes"]) == bool(expected["why"]), attack.name


def test_every_attack_is_whole() -> None:
    """A hundred and ninety or more; each names itself and its aim, and speaks of holes and verdicts that exist."""
    from evaluator.errors import Verdict

    assert len(EVERY) >= 190
    assert {path.parent.name for path in HERE.glob("*/run.py")} == set(EVERY)
    verdicts = {str(verdict) for verdict in Verdict} | {"none"}
    for attack in EVERY.values():
        assert attack.title.endswith(".")
        assert attack.aim
        for tier in ("process", "landlock", "bubblewrap", "docker"):
            assert set(attack.of(tier)["holes"]) <= HOLES.keys()
            assert set(attack.of(tier)["verdicts"]) <= verdicts


# -- the suite itself ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weakness", "name", "hole"),
    [
        ("environment", "secrets_environment", "environment"),
        ("network", "connect_tcp", "network"),
        ("network", "connect_abstract", "network"),
        ("labels", "file_absolute", "file"),
    ],
)
def test_a_weakened_tier_is_seen(weakness: str, name: str, hole: str, kit: Path) -> None:
    """A room with one wall left out lets the attack through, and the suite says so: it can fail."""
    usable("bubblewrap")
    seen = run(EVERY[name], "bubblewrap", kit, weakened=weakness)
    assert hole in seen.holes
    assert seen.word == "not stopped"


TOKENS = {
    kind: f"CANARY-{kind}-{'0' * 32}" for kind in ("memory", "descriptor", "environment", "file", "cache", "results", "keyring")
}
PLAN = {"secrets": TOKENS | {"pool": "0123456789abcdef" * 4}, "budget": BUDGET, "carry": "CARRIED-1"}


def report(log: str = "", **changes: object) -> dict:
    """What a keeper says of a harmless session."""
    text = {"reason": "", "trace": "", "log": log, "class_name": "Attack", "disagreement": None, "phases": []}
    cell = {"verdict": "OK", "text": text, "bought": 2, "different": 2, "wrong": 0, "seconds": 0.5, "guarded": True}
    whole = {"cells": [cell], "growth": 0, "patched": False, "order": list(range(POOL)), "status": 0, "hung": False}
    whole |= {"survivors": [], "changed": [], "traces": [], "contacts": []}
    return (
        whole
        | {k: v for k, v in changes.items() if k in whole}
        | {"cells": [cell | {k: v for k, v in changes.items() if k in cell}] + ([cell] if changes.get("second") else [])}
    )


@pytest.mark.parametrize(
    ("changes", "hole"),
    [
        *(({"log": f"LOOT {token}"}, kind) for kind, token in TOKENS.items()),
        ({"log": "LOOT matrix 456789abcdef"}, "pool"),
        ({"bought": BUDGET + 1, "different": BUDGET + 1}, "budget"),
        ({"different": 1}, "ledger"),
        ({"wrong": 1}, "ledger"),
        ({"seconds": 3.5}, "late"),
        ({"log": "CARRIED-1", "second": True}, "carried"),
        ({"survivors": ["sleep"]}, "outlives"),
        ({"changed": ["results/earlier.json"]}, "changed"),
        ({"traces": ["/dev/shm/x"]}, "traces"),
        ({"contacts": ["tcp"]}, "network"),
        ({"status": -9}, "evaluator"),
        ({"hung": True}, "evaluator"),
        ({"patched": True}, "evaluator"),
        ({"growth": 1 << 40}, "growth"),
        ({"log": "LOOT 3 GiB"}, "claimed"),
    ],
)
def test_each_hole_is_seen(changes: dict, hole: str) -> None:
    """The judgement over a report: every kind of loss is found, and by itself."""
    attack = Attack("x", "x.", "x", ("OK",), claims=True)
    if hole == "carried":
        changes = {"second": True}
        whole = report(**changes)
        whole["cells"][1] = whole["cells"][1] | {"text": whole["cells"][1]["text"] | {"log": "CARRIED-1"}}
    else:
        whole = report(**changes)
    seen = judge(attack, PLAN, whole).holes
    assert hole in seen
    assert set(seen) <= {hole, "claimed"}
    assert not judge(attack, PLAN, report()).holes


def test_labels_known_beyond_the_budget_are_a_hole() -> None:
    """Counted are the labels that an attack can say, and not those that the ledger says it bought."""
    import json

    import numpy as np

    bits = np.unpackbits(np.frombuffer(PLAN["secrets"]["pool"].encode(), np.uint8)).reshape(POOL, 8).tolist()
    attack = Attack("x", "x.", "x", ("OK",))

    def seen(n: int) -> dict[str, str]:
        return judge(attack, PLAN, report(log="LABELS " + json.dumps({str(i): bits[i] for i in range(n)}))).holes

    assert "budget" in seen(BUDGET + 10)
    assert not seen(BUDGET)


def test_the_table_names_every_attack_and_explains_every_hole() -> None:
    """Rows for all attacks; a footnote for each that is not stopped."""
    harmless = judge(EVERY["file_absolute"], PLAN, report())
    read = judge(EVERY["file_absolute"], PLAN, report(log=TOKENS["file"]))
    outcomes = {("file_absolute", "process"): read, ("file_absolute", "bubblewrap"): harmless}
    text = table(outcomes, [EVERY["file_absolute"]], ["process", "bubblewrap"])
    assert "| **not stopped**[^1] | stopped |" in text
    assert "[^1]: the same user may read its own files." in text


def test_the_written_table_is_of_these_attacks() -> None:
    """docs/attacks.md was made by this suite: it names the same attacks, and no holes in the tiers for strangers."""
    text = (ROOT / "docs" / "attacks.md").read_text()
    assert set(re.findall(r"^\| `(\w+)`:", text, re.MULTILINE)) == set(EVERY), "run `make attacks`"
    (head,) = re.findall(r"^\| attack \|.*$", text, re.MULTILINE)
    sealed = next(place for place, column in enumerate(head.split("|")) if column.strip() == "bubblewrap")
    for row in re.findall(r"^\| `\w+`:.*$", text, re.MULTILINE):
        assert "not stopped" not in "|".join(row.split("|")[sealed:]), row
        assert "a hole" not in row


def test_attacks_hold_no_docstring_twice() -> None:
    """Two attacks of one name would be one attack."""
    titles = [ast.get_docstring(ast.parse(path.read_text())) for path in HERE.glob("*/run.py")]
    assert len(set(titles)) == len(titles)
