"""How the cost grows with the pool, with the size of its images and with the number of labels bought.

    python -m benchmarks.scale [--json benchmarks/results/scale.json] [--plot docs/images/scale.svg] [--page docs/benchmarks.md]
    python -m benchmarks.scale --stored benchmarks/results/scale.json --plot docs/images/scale.svg --page docs/benchmarks.md
    python -m benchmarks.scale --quick-look     # small sizes, two turns: a minute, to see that it runs
    python -m benchmarks.scale --only replay    # the rows whose name contains this

The first command measures, the second draws the stored figures and writes the tables again. Both print the tables.

One axis varies at a time, the others stay at a default: pools of 1,000 to 100,000 images (64 px, 100 labels), images of 64 to 384
px (1,000 images), 100 to 10,000 labels (a pool of 10,000 images of 64 px). The parts are the kit's own: folder, cache, session,
worker (tier ``process``), market, ledger, store, training loop. Training is measured by single steps, with all images of a run in
memory; the time of an epoch is its number of steps times a step. Sizes take turns, so that other work on the machine disturbs all
of them alike, and the first turn is not counted. Work that only computes is measured in processor time
(``benchmarks/stopwatch/processor.py``). A row's full name begins with its part: ``--only "cell: one purchase"``.

What may grow linearly has a power of at most 1.1, what may not grow at most 0.1, both over the upper part of the axis
(``benchmarks/scale/growth.py``). The exit status is 1 where a row is over its limit with its whole interval. The temporary folder
(3 GiB for the whole run; TMPDIR says where) is removed.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.pages import write_json, write_text
from benchmarks.scale import cell, folders, steps
from benchmarks.scale.bench import QUICK_LOOK, Bench, Plan
from benchmarks.scale.growth import Series, draw
from benchmarks.scale.page import COMMAND, REGION, digest, page_text, read
from benchmarks.stopwatch.machine import described
from evaluator.cli.parsing import Prose


def measure(plan: Plan, folder: Path, say: Callable[[str], None], only: str = "") -> list[Series]:
    """Measure everything, or the rows whose name contains ``only``.

    Raises:
        SystemExit: no row's name contains ``only``.
    """
    of_size = {name: row for name, row in folders.ONCE.items() if "again" not in name}
    pixels = [side * side for side in plan.sides]
    parts = {
        "cell": ("pool", plan.pools, cell.CELL),
        "memory": ("pool", plan.pools, cell.MEMORY),
        "once": ("pool", plan.pools, folders.ONCE),
        "purchase": ("labels", plan.labels, cell.PURCHASE),
        "training": ("labels", plan.labels, steps.BY_LABELS),
        "size": ("pixels", pixels, of_size | cell.SIZE | steps.BY_SIDE),
    }
    names = [f"{part}: {name}" for part, (_, _, rows) in parts.items() for name in rows]
    parts = {
        part: (axis, sizes, {name: row for name, row in rows.items() if only in f"{part}: {name}"})
        for part, (axis, sizes, rows) in parts.items()
    }
    if not any(rows for _, _, rows in parts.values()):
        raise SystemExit(f"--only: no row's name contains {only!r}; expected a part of one of: {'; '.join(names)}")

    def wanted(part: str, among: Iterable[str] | None = None) -> bool:
        rows = parts[part][2]
        return bool(rows if among is None else rows.keys() & set(among))

    bench = Bench(plan, folder)
    if wanted("cell") or wanted("memory") or wanted("once"):
        say("pools: folders and caches")
        turns = plan.long_turns if wanted("once") else 0
        pools = folders.provided(bench, {n: (n, plan.side) for n in plan.pools}, "once", turns)
        if wanted("cell") or wanted("memory"):
            say("pools: cells")
            cell.pools(bench, pools)
    if wanted("purchase"):
        say("labels: purchases, ledgers, results")
        most = max(plan.labels)
        cell.labels(bench, *folders.provided(bench, {most: (most, plan.side)}, "labels", 0)[most])
    if wanted("size", [*of_size, *cell.SIZE]):
        say("image sizes: folders, caches, cells")
        turns = plan.long_turns if wanted("size", of_size) else 0
        sides = folders.provided(bench, {side * side: (plan.images, side) for side in plan.sides}, "size", turns)
        if wanted("size", cell.SIZE):
            cell.sides(bench, sides)
    if wanted("training"):
        say("training: steps by labels")
        steps.by_labels(bench)
    if wanted("size", steps.BY_SIDE):
        say("training: steps by image size")
        steps.by_side(bench)
    return [series for part, (axis, sizes, rows) in parts.items() for series in bench.series(part, axis, sizes, rows)]


def machine() -> dict[str, str]:
    """What measured, as the page says it. ``load`` is the average of the last five minutes: 1 is this run by itself."""
    found = described("numpy", "torch")
    return {
        "hardware": f"{found['cores']} cores, {found['processor']}, {found['memory_gib']} GiB",
        "system": found["system"],
        "versions": f"Python {found['python']}, numpy {found['numpy']}, torch {found['torch']}",
        "load": f"{found['load'][1]:.1f}",
    }


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__, formatter_class=Prose)
    parser.add_argument("--quick-look", action="store_true", help="small sizes, two turns: a minute instead of half an hour")
    parser.add_argument("--only", default="", metavar="WORDS", help="measure the rows whose name contains this; not with --page")
    parser.add_argument("--stored", type=Path, metavar="FILE", help="measure nothing, take the figures of this file")
    parser.add_argument("--json", type=Path, metavar="FILE", help="store the figures there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw them there (SVG; needs matplotlib: requirements-dev.txt)")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the tables between the marks of this page")
    options = parser.parse_args(arguments)
    if options.only and (options.page or options.stored):
        parser.error("--only: given with --page or --stored; expected by itself, because the page shows all rows")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Measure or read, print, store, draw; 0, or 1 where something grows too fast."""
    options = parse(arguments)
    if options.stored:
        stored = read(options.stored)
    else:
        started = time.monotonic()

        def say(what: str) -> None:
            print(f"{time.monotonic() - started:6.0f} s  {what}", file=sys.stderr, flush=True)

        plan = QUICK_LOOK if options.quick_look else Plan()
        with tempfile.TemporaryDirectory(prefix="scale-") as folder:
            series = measure(plan, Path(folder), say, options.only)
        chosen = ["--quick-look"] * options.quick_look + ["--only", options.only] * bool(options.only)
        stored = {
            "command": shlex.join([*COMMAND.split(), *chosen]),
            "machine": machine(),
            "seconds": round(time.monotonic() - started),
            "plan": vars(plan),
            "series": [s.as_dict() for s in series],
        }
    if options.json:
        write_json(options.json, stored)
    print(page_text(stored))
    series = [Series.from_dict(plain) for plain in stored["series"]]
    if options.page:
        write_text(options.page, REGION.replaced(options.page.read_text(encoding="utf-8"), page_text(stored)))
    if options.plot:
        draw(series, options.plot, digest(stored))
    return int(any(s.verdict() == "too steep" for s in series))


if __name__ == "__main__":
    sys.exit(main())
