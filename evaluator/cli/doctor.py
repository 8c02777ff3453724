"""Which isolation tiers work on this machine, and whether a tier passes its checks."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from evaluator.report.console import hanging, line, show_table, terminal
from evaluator.report.live import doing
from evaluator.text import json_text, one_line, say

STYLES = {"passed": "green", "failed": "bold red", "not promised": "dim", "not checked": "yellow"}


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``doctor`` to the command line."""
    verb = subparsers.add_parser(
        "doctor", help="which isolation tiers work here, and do they pass their checks", description=__doc__
    )
    verb.add_argument("--sandbox", metavar="TIER", help="run all checks on this tier (about a minute)")
    verb.add_argument("--gpu", action="store_true", help="give the workers access to the GPU")
    verb.add_argument("--json", action="store_true", help="print the findings as JSON")


def main(args: argparse.Namespace) -> int:
    """Run the verb. Returns 0, or 1 if no tier works or a check failed."""
    return _examine(args) if args.sandbox else _survey(args)


def _survey(args: argparse.Namespace) -> int:
    from evaluator.sandbox.tier import PROMISES
    from evaluator.sandbox.tiers import SANDBOXES, WAYS, exposed, state

    tiers = {}
    with doing(terminal(stderr=True), "isolation tiers") as moved:
        for number, name in enumerate(SANDBOXES):
            moved(number, len(SANDBOXES), f"trying {name}")
            seen = state(name, args.gpu)
            made = SANDBOXES[name](args.gpu) if not seen.reason else None
            promises, gap = ([], "") if made is None else (sorted(made.promises), exposed(made))
            found = {"works": not seen.reason, "promises": promises, "way": seen.way or WAYS[name], "exposed": gap}
            tiers[name] = asdict(seen) | found
    chosen = next((name for name, tier in tiers.items() if tier["works"]), None)
    gpus = _gpus()
    if args.json:
        print(json_text({"auto": chosen, "tiers": tiers, "gpus": gpus}, indent=1))
        return 0 if chosen else 1
    console = terminal()
    table = Table(box=None, pad_edge=False)
    for column in ("tier", "here", "start", "limits by", "hides from the worker"):
        table.add_column(column)
    for name, tier in tiers.items():
        if tier["works"]:
            some = "contents of files" if "contents" in tier["promises"] else "nothing that this user can read"
            kept = "everything that it is not given" if len(tier["promises"]) == len(PROMISES) else some
            start = f"{1000 * tier['start_up']:.0f} ms"
            table.add_row(name, Text("works", "green"), start, tier["limited_by"], kept)
        else:
            table.add_row(name, Text("does not work", "yellow"), "", "", "")
    show_table(console, table)
    for name, tier in tiers.items():
        if not tier["works"]:
            hanging(console, f"{name}: {tier['reason']}; {tier['way']}", "dim")
        if tier["exposed"]:
            hanging(console, f"warning: {tier['exposed']}")
    console.print(f"auto uses {chosen or 'no tier: none works here'}", highlight=False)
    console.print(one_line("GPU: " + ("; ".join(gpus) or "none seen")), highlight=False)
    return 0 if chosen else 1


def _gpus() -> list[str]:
    # Read from the driver, because importing torch takes seconds.
    from pathlib import Path

    found = []
    for place in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        lines = dict(line.split(":", 1) for line in place.read_text().splitlines() if ":" in line)
        found.append(lines.get("Model", place.parent.name).strip())
    return found


def _examine(args: argparse.Namespace) -> int:
    from evaluator.purchase.conformance import SESSION_CHECKS
    from evaluator.sandbox.conformance import CHECKS
    from evaluator.sandbox.conformance.check import run_checks
    from evaluator.sandbox.tiers import choose, exposed

    sandbox = choose(args.sandbox, gpu=args.gpu)
    if gap := exposed(sandbox):
        say(f"warning: {gap}")
    checks = (*CHECKS, *SESSION_CHECKS)
    results = []
    with doing(terminal(stderr=True), checks[0].name) as moved:
        for result in run_checks(checks, sandbox):
            results.append(result)
            following = checks[len(results)].name if len(results) < len(checks) else "done"
            moved(len(results), len(checks), following)
    counts: Counter[str] = Counter(result.verdict for result in results)
    if args.json:
        print(json_text({"tier": sandbox.name, "counts": counts, "checks": [asdict(result) for result in results]}, indent=1))
    else:
        _show(terminal(), sandbox.name, results, counts)
    return 1 if counts["failed"] else 0


def _show(console: Console, name: str, results: list[Any], counts: Counter[str]) -> None:
    table = Table(title=f"isolation tier {name}", title_justify="left", box=None, pad_edge=False)
    table.add_column("check")
    table.add_column("verdict")
    table.add_column("s", justify="right")
    table.add_column("detail", overflow="fold")
    for result in results:
        detail = f"{result.detail}. Its duty: {result.duty}" if result.verdict == "failed" else result.detail
        row = (result.name, Text(result.verdict, STYLES[result.verdict]), f"{result.seconds:.2f}", line(detail, "dim", 2_000))
        table.add_row(*row)
    show_table(console, table)
    console.print(", ".join(f"{counts[verdict]} {verdict}" for verdict in STYLES if counts[verdict]), highlight=False)
