"""Runs the attacks and writes their table.

    python -m tests.hostile [--only NAME ...] [--tier TIER ...] [--table docs/attacks.md]

Without ``--table`` the outcomes are printed and no file is written.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from evaluator.cli.parsing import Prose
from tests.hostile.attack import HOLES, TIERS, Attack, Outcome, attacks, engine, kit_copy, run, works

INTRODUCTION = """# The attacks

Written by `make attacks`; do not edit. Every row is a small hostile submission in `tests/hostile/`. Each is run through a whole
session in every isolation tier. The outcome is measured from outside: the test plants secrets and looks at what is left on the
machine; it does not believe what the attack reports. [threat-model.md](threat-model.md) says what each tier is for.

- **stopped**: the attack had no effect, and the submission was judged like any other submission.
- **detected**: the attack had no effect, and the verdict or a note in the result names it.
- **not stopped**: the attack reached its aim or had another effect; the footnote says why this tier does not stop it.

"""


def table(outcomes: dict[tuple[str, str], Outcome], every: list[Attack], tiers: list[str]) -> str:
    """The table as Markdown."""
    lines = [INTRODUCTION]
    for tier in tiers:
        done = [outcome.word for (_, t), outcome in outcomes.items() if t == tier]
        counts = ", ".join(f"{done.count(word)} {word}" for word in ("stopped", "detected", "not stopped"))
        cells = [cell for (_, t), outcome in outcomes.items() if t == tier for cell in outcome.report.get("cells", [])]
        holders = ", ".join(sorted({cell.get("limited_by", "") for cell in cells} - {""}))
        lines.append(f"- `{tier}`: {len(done)} attacks, {counts}. Memory and number of processes are limited by: {holders}.\n")
    lines.append(f"\nMeasured on Linux {platform.release().split('-')[0]}, Python {platform.python_version()}.\n\n")
    lines.append(f"| attack | must not achieve | {' | '.join(tiers)} |\n|---|---|{'---|' * len(tiers)}\n")
    reasons: list[str] = []
    for attack in every:
        cells = []
        for tier in tiers:
            outcome = outcomes.get((attack.name, tier))
            if outcome is None:
                cells.append("")
            elif outcome.holes:
                seen = "; ".join(f"{HOLES[kind]} ({what})" for kind, what in outcome.holes.items())
                why = attack.of(tier)["why"] or f"a hole: {seen}"
                if why not in reasons:
                    reasons.append(why)
                cells.append(f"**not stopped**[^{reasons.index(why) + 1}]")
            else:
                cells.append(outcome.word + (f" ({outcome.verdict})" if outcome.verdict != "OK" else ""))
        lines.append(f"| `{attack.name}`: {attack.title} | {attack.aim} | {' | '.join(cells)} |\n")
    lines.append("\n")
    lines += [f"[^{number}]: {reason}.\n" for number, reason in enumerate(reasons, 1)]
    return "".join(lines)


def main() -> int:
    """Run, print, and write the table where one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=Prose)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--tier", nargs="+", default=[*TIERS, "docker"])
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    every = [attack for attack in attacks() if not args.only or attack.name in args.only]
    outcomes: dict[tuple[str, str], Outcome] = {}
    unexpected = 0
    started = time.monotonic()
    with ExitStack() as stack:
        if "docker" in args.tier:
            stack.enter_context(engine(say=print))
        tiers = [tier for tier in args.tier if works(tier, say=print)]
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="attack-kit-"))
        pool = stack.enter_context(ThreadPoolExecutor(2))
        kit = kit_copy(Path(folder))
        jobs = {(attack.name, tier): pool.submit(run, attack, tier, kit) for attack in every for tier in tiers}
        for attack in every:
            for tier in tiers:
                if (attack.name, tier) not in jobs:
                    continue
                outcome = outcomes[attack.name, tier] = jobs[attack.name, tier].result()
                expected = attack.of(tier)
                right = set(outcome.holes) == set(expected["holes"]) and outcome.verdict in expected["verdicts"]
                unexpected += not right
                note = "" if right else f"   <-- expected {expected['holes']} and {expected['verdicts']}"
                wall = outcome.report["wall"]
                line = f"{attack.name:24}{tier:20}{outcome.word:12}{outcome.verdict:16}{wall:5.1f} s"
                print(line, outcome.holes or "", note, flush=True)
    print(f"{len(outcomes)} runs, {unexpected} of them not as expected, {time.monotonic() - started:.0f} s")
    if args.table:
        args.table.write_text(table(outcomes, every, tiers), encoding="utf-8")
    return 1 if unexpected else 0


if __name__ == "__main__":
    raise SystemExit(main())
