"""How the cost grows with the pool, with the size of its images and with the labels that are bought.

    python -m benchmarks.scale [--json benchmarks/results/scale.json] [--plot docs/images/scale.svg] [--page docs/benchmarks.md]
    python -m benchmarks.scale --stored benchmarks/results/scale.json --plot docs/images/scale.svg --page docs/benchmarks.md

Each axis by itself, the others at a default: pools of 1,000 to 100,000 images (64 px, 100 labels), images of 64 to 384 px (1,000
images), 100 to 10,000 labels (a pool of 10,000 at 64 px). The parts are the kit's own: folder, cache, session, worker (tier
``process``), market, ledger, store, training loop. Of the training single steps are measured, with all images of a run in place; an
epoch is as many of them as it has, and the figures say so. Sizes take turns, so that other work on the machine meets all of
them alike, and the first turn is not counted. What only computes is measured in processor time (``benchmarks/stopwatch.py``).
``--quick-look`` takes small sizes and two turns: it shows that everything works. ``--only replay`` measures the rows whose name
holds that (``once: ``, ``cell: one purchase``: the part before the colon counts too).

What may grow linearly has a power of 1.1 at most, what may not grow 0.1, both over the upper part of the axis
(``benchmarks/growth.py``). The exit status is 1 where one is over its limit and the interval leaves no doubt. The temporary folder
(3 GiB for the whole run; TMPDIR says where) is removed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import scale_cell
from benchmarks.growth import PANELS, Series, draw, tables
from benchmarks.pages import Region, write_whole
from benchmarks.stopwatch import PROCESSOR, measured, processor_seconds
from benchmarks.synthetic import CLASSES, write_split
from evaluator.data.cache import CachedImages, cache_images
from evaluator.data.folders import Split, read_split

REGION = Region("scale", "benchmarks/scale.py")


@dataclass(frozen=True)
class Plan:
    """What is measured, and how often. ``pools`` and ``labels`` count images, ``sides`` are pixels."""

    pools: tuple[int, ...] = (1_000, 3_000, 10_000, 30_000, 100_000)
    sides: tuple[int, ...] = (64, 128, 224, 384)
    labels: tuple[int, ...] = (100, 300, 1_000, 3_000, 10_000)
    side: int = 64
    images: int = 1_000
    bought: int = 100
    turns: int = 15
    dear_turns: int = 3
    steps: int = 4


QUICK_LOOK = Plan((100, 300, 1_000), (32, 48, 64), (30, 100, 300), images=100, bought=30, turns=2, dear_turns=2, steps=2)


class Bench:
    """Measures, and keeps figures by series and size."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.folder = plan, folder
        self.found: dict[str, dict[int, list[float]]] = {}

    def keep(self, name: str, size: int, value: float) -> None:
        """One figure more."""
        self.found.setdefault(name, {}).setdefault(size, []).append(value)

    def timed(self, name: str, size: int, work: Callable[..., Any], *given: Any) -> Any:
        """Do ``work`` with what is given, and keep its seconds."""
        started = time.perf_counter()
        value = work(*given)
        self.keep(name, size, time.perf_counter() - started)
        return value

    def processor(self, name: str, size: int, work: Callable[..., Any], *given: Any) -> Any:
        """The same in processor time of work that waits for nothing: see ``stopwatch``."""
        value, seconds = measured(lambda: work(*given))
        self.keep(name, size, seconds)
        return value

    def series(self, part: str, axis: str, sizes: Iterable[int], rows: dict[str, dict[str, Any]]) -> list[Series]:
        """The figures kept under the names of ``rows``, which say unit, limit and note, as series; sizes in order."""
        return [
            Series(name, part, axis, {size: self.found[f"{part}: {name}"][size] for size in sizes}, **row)
            for name, row in rows.items()
        ]


Provided = dict[int, tuple[Split, CachedImages]]


def provided(bench: Bench, sizes: dict[int, tuple[int, int]], part: str, turns: int) -> Provided:
    """Splits read, checked and decoded; what that costs is kept under ``part``.

    Args:
        sizes: (images, side) by the size on the axis.
        turns: how many are counted; one before them is not. With 0 of them nothing is measured.
    """
    splits, caches = {}, {}
    for n, side in sizes.values():
        write_split(bench.folder / f"{part}-{n}-{side}" / "unlabelled", n, side)
    for turn in range(turns + 1):
        for size, (n, side) in sizes.items():
            place = bench.folder / f"{part}-{n}-{side}"
            hashes = place / "hashes.json"

            def read(place: Path = place, hashes: Path = hashes) -> Split:
                return read_split(place / "unlabelled", CLASSES, stat_cache=hashes)

            def read_first(read: Callable[[], Split] = read, hashes: Path = hashes) -> Split:
                hashes.unlink(missing_ok=True)
                return read()

            splits[size] = split = read_first()

            def opened(split: Split = split, side: int = side, place: Path = place) -> CachedImages:
                return cache_images(split, side, place / "cache", verify=True)

            if not turn:
                caches[size] = opened()
                continue
            bench.processor(f"{part}: read and check the folder, first time", size, read_first)
            shutil.rmtree(place / "cache")
            # Once: it takes long enough to be measured, and starts its processes itself.
            began = processor_seconds()
            caches[size] = opened()
            bench.keep(f"{part}: decode into the cache", size, processor_seconds() - began)
            bench.processor(f"{part}: read and check it again", size, read)
            bench.processor(f"{part}: open the cache and verify it", size, opened)
    return {size: (splits[size], caches[size]) for size in sizes}


ONCE: dict[str, dict[str, Any]] = {
    "read and check the folder, first time": {"note": PROCESSOR},
    "decode into the cache": {"note": f"{PROCESSOR} of all processes"},
    "read and check it again": {"note": PROCESSOR},
    "open the cache and verify it": {"note": PROCESSOR},
}


def measure(plan: Plan, folder: Path, say: Callable[[str], None], only: str = "") -> list[Series]:
    """Everything, as series; or the rows whose name holds ``only``, and those that are measured with them are left out."""
    # Not at the top: the processes that decode import this module too, and should not wait for torch.
    from benchmarks import scale_training

    of_size = {name: row for name, row in ONCE.items() if "again" not in name}
    pixels = [side * side for side in plan.sides]
    parts = {
        "cell": ("pool", plan.pools, scale_cell.CELL),
        "memory": ("pool", plan.pools, scale_cell.MEMORY),
        "once": ("pool", plan.pools, ONCE),
        "purchase": ("labels", plan.labels, scale_cell.PURCHASE),
        "training": ("labels", plan.labels, scale_training.BY_LABELS),
        "size": ("pixels", pixels, of_size | scale_cell.SIZE | scale_training.BY_SIDE),
    }
    parts = {
        part: (axis, sizes, {name: row for name, row in rows.items() if only in f"{part}: {name}"})
        for part, (axis, sizes, rows) in parts.items()
    }

    if not any(rows for _, _, rows in parts.values()):
        raise SystemExit(f"no row's name holds {only!r}; the docstrings of benchmarks/scale*.py and the page list them")

    def wanted(part: str, among: Iterable[str] | None = None) -> bool:
        rows = parts[part][2]
        return bool(rows if among is None else rows.keys() & set(among))

    bench = Bench(plan, folder)
    if wanted("cell") or wanted("memory") or wanted("once"):
        say("pools: folders and caches")
        turns = plan.dear_turns if wanted("once") else 0
        pools = provided(bench, {n: (n, plan.side) for n in plan.pools}, "once", turns)
        if wanted("cell") or wanted("memory"):
            say("pools: cells")
            scale_cell.pools(bench, pools)
    if wanted("purchase"):
        say("labels: purchases, ledgers, results")
        most = max(plan.labels)
        scale_cell.labels(bench, *provided(bench, {most: (most, plan.side)}, "labels", 0)[most])
    if wanted("size", [*of_size, *scale_cell.SIZE]):
        say("image sizes: folders, caches, cells")
        turns = plan.dear_turns if wanted("size", of_size) else 0
        sides = provided(bench, {side * side: (plan.images, side) for side in plan.sides}, "size", turns)
        if wanted("size", scale_cell.SIZE):
            scale_cell.sides(bench, sides)
    if wanted("training"):
        say("training: steps by labels")
        scale_training.by_labels(bench)
    if wanted("size", scale_training.BY_SIDE):
        say("training: steps by image size")
        scale_training.by_side(bench)
    return [series for part, (axis, sizes, rows) in parts.items() for series in bench.series(part, axis, sizes, rows)]


def machine() -> dict[str, str]:
    """What measured. ``load`` is that of the last five minutes: 1 is this run alone."""
    model = platform.machine()
    memory = 0
    for path, key in (("/proc/cpuinfo", "model name"), ("/proc/meminfo", "MemTotal")):
        for line in Path(path).read_text().splitlines() if Path(path).exists() else ():
            if line.startswith(key):
                text = line.partition(":")[2].strip()
                model, memory = (text, memory) if key == "model name" else (model, int(text.split()[0]) >> 20)
                break
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "torch"))
    return {
        "hardware": f"{os.cpu_count()} cores, {model}, {memory} GiB",
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "versions": f"Python {platform.python_version()}, {versions}",
        "load": f"{os.getloadavg()[1]:.1f}",
    }


def page_text(stored: dict[str, Any]) -> str:
    """The section of the page that holds figures: hardware, command, tables, and what grows too fast."""
    series = [Series.from_dict(plain) for plain in stored["series"]]
    where = stored["machine"]
    text = f"`{stored['command']}` on {where['hardware']}; {where['system']}, {where['versions']}; "
    text += f"load average {where['load']} at the end. Medians.\n\n"
    for verdict, meaning in (("too steep", "grows faster than it may"), ("unclear", "is over its limit, but the interval is not")):
        names = [f"{s.name} ({PANELS[s.part, s.axis]})" for s in series if s.verdict() == verdict]
        text += f"- What {meaning}: {'; '.join(names) or 'nothing'}.\n"
    return f"{text}\n{tables(series)}"


def main(arguments: list[str] | None = None) -> int:
    """Measure or read, print, store, draw; 0, or 1 where something grows too fast."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick-look", action="store_true", help="small sizes, two turns: a minute instead of half an hour")
    parser.add_argument("--only", default="", metavar="WORDS", help="measure the rows whose name holds this; nothing for --page")
    parser.add_argument("--stored", type=Path, help="measure nothing: take the figures of this file")
    parser.add_argument("--json", type=Path, help="store the figures here")
    parser.add_argument("--plot", type=Path, help="draw them here (SVG; needs matplotlib, which is in requirements-dev.txt)")
    parser.add_argument("--page", type=Path, help="put the tables between the marks of this page")
    args = parser.parse_args(arguments)
    if args.only and (args.page or args.stored):
        parser.error("--only measures a few rows; the page has room for all of them")
    if args.stored:
        stored = json.loads(args.stored.read_text(encoding="utf-8"))
    else:
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="scale-") as folder:
            plan = QUICK_LOOK if args.quick_look else Plan()

            def say(what: str) -> None:
                print(f"{time.monotonic() - started:6.0f} s  {what}", file=sys.stderr, flush=True)

            series = measure(plan, Path(folder), say, args.only)
        command = "python -m benchmarks.scale" + (" --quick-look" if args.quick_look else "")
        command += f" --only {shlex.quote(args.only)}" if args.only else ""
        stored = {
            "command": command,
            "machine": machine(),
            "seconds": round(time.monotonic() - started),
            "plan": vars(plan),
            "series": [s.as_dict() for s in series],
        }
    if args.json:
        write_whole(args.json, json.dumps(stored, indent=1, allow_nan=False) + "\n")
    series = [Series.from_dict(plain) for plain in stored["series"]]
    print(page_text(stored))
    if args.page:
        write_whole(args.page, REGION.replaced(args.page.read_text(encoding="utf-8"), page_text(stored)))
    if args.plot:
        draw(series, args.plot)
    return int(any(s.verdict() == "too steep" for s in series))


if __name__ == "__main__":
    sys.exit(main())
