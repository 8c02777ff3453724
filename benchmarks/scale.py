"""How the cost grows with the pool, with the size of its images and with the labels that are bought.

    python -m benchmarks.scale [--json benchmarks/results/scale.json] [--plot docs/images/scale.svg] [--page docs/benchmarks.md]
    python -m benchmarks.scale --stored benchmarks/results/scale.json --plot docs/images/scale.svg --page docs/benchmarks.md

Each axis by itself, the others at a default: pools of 1,000 to 100,000 images (64 px, 100 labels), images of 64 to 384 px (1,000
images), 100 to 10,000 labels (a pool of 10,000 at 64 px). The parts are the kit's own: folder, cache, session, worker (tier
``process``), market, ledger, store, training loop. Of the training single steps are measured, with all images of a run in place; an
epoch is as many of them as it has, and the figures say so. Sizes take turns, so that other work on the machine meets all of
them alike, and the first turn is not counted. ``--quick-look`` takes small sizes and two turns: it shows that everything works.

What may grow linearly has a power of 1.1 at most, what may not grow 0.1, both over the upper part of the axis
(``benchmarks/growth.py``). The exit status is 1 where one is over its limit and the interval leaves no doubt. The temporary folder
(3 GiB for the whole run; TMPDIR says where) is removed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
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
from benchmarks.synthetic import CLASSES, write_split
from evaluator.data.cache import CachedImages, cache_images
from evaluator.data.folders import Split, read_split

START, END = "<!-- scale: written by benchmarks/scale.py -->", "<!-- end of scale -->"


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

    def series(self, part: str, axis: str, sizes: Iterable[int], rows: dict[str, dict[str, Any]]) -> list[Series]:
        """The figures kept under the names of ``rows``, which say unit, limit and note, as series; sizes in order."""
        return [
            Series(name, part, axis, {size: self.found[f"{part}: {name}"][size] for size in sizes}, **row)
            for name, row in rows.items()
        ]


def provided(bench: Bench, n: int, side: int, part: str, size: int) -> tuple[Split, CachedImages]:
    """A split of ``n`` images, read, checked and decoded; what that costs is kept under ``part`` at ``size``."""
    place = bench.folder / f"{part}-{n}-{side}"
    write_split(place / "unlabelled", n, side)
    hashes = place / "hashes.json"

    def read() -> Split:
        return read_split(place / "unlabelled", CLASSES, stat_cache=hashes)

    def decoded() -> CachedImages:
        return cache_images(split, side, place / "cache", verify=True)

    for _ in range(bench.plan.dear_turns):
        hashes.unlink(missing_ok=True)
        shutil.rmtree(place / "cache", ignore_errors=True)
        split = bench.timed(f"{part}: read and check the folder, first time", size, read)
        images = bench.timed(f"{part}: decode into the cache", size, decoded)
        bench.timed(f"{part}: read and check it again", size, read)
        bench.timed(f"{part}: open the cache and verify it", size, decoded)
    return split, images


ONCE = {
    "read and check the folder, first time": {},
    "decode into the cache": {},
    "read and check it again": {},
    "open the cache and verify it": {},
}


def measure(plan: Plan, folder: Path, say: Callable[[str], None]) -> list[Series]:
    """Everything, as series."""
    # Not at the top: the processes that decode import this module too, and should not wait for torch.
    from benchmarks import scale_training

    bench = Bench(plan, folder)
    pools = {}
    for n in plan.pools:
        say(f"pools: folder and cache of {n:,} images")
        pools[n] = provided(bench, n, plan.side, "once", n)
    say("pools: cells")
    scale_cell.pools(bench, pools)
    say("labels: purchases, ledgers, results")
    labels_pool = max(plan.labels)
    if labels_pool not in pools:
        pools[labels_pool] = provided(bench, labels_pool, plan.side, "labels", labels_pool)
    scale_cell.labels(bench, *pools[labels_pool])
    say("image sizes: folders, caches, cells")
    sides = {side: provided(bench, plan.images, side, "size", side * side) for side in plan.sides}
    scale_cell.sides(bench, sides)
    say("training: steps by labels, steps by image size")
    scale_training.by_labels(bench)
    scale_training.by_side(bench)
    pixels = [side * side for side in plan.sides]
    return [
        *bench.series("cell", "pool", plan.pools, scale_cell.CELL),
        *bench.series("memory", "pool", plan.pools, scale_cell.MEMORY),
        *bench.series("once", "pool", plan.pools, ONCE),
        *bench.series("purchase", "labels", plan.labels, scale_cell.PURCHASE),
        *bench.series("training", "labels", plan.labels, scale_training.BY_LABELS),
        *bench.series(
            "size",
            "pixels",
            pixels,
            {name: row for name, row in ONCE.items() if "again" not in name} | scale_cell.SIZE | scale_training.BY_SIDE,
        ),
    ]


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


def replaced(page: str, text: str) -> str:
    """``page`` with ``text`` between its two marks.

    Raises:
        ValueError: the marks are not there, once each and in order.
    """
    if page.count(START) != 1 or page.count(END) != 1 or page.index(START) > page.index(END):
        raise ValueError(f"the page needs the marks {START!r} and {END!r}, once each")
    return f"{page[: page.index(START)]}{START}\n{text}{page[page.index(END) :]}"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def main(arguments: list[str] | None = None) -> int:
    """Measure or read, print, store, draw; 0, or 1 where something grows too fast."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick-look", action="store_true", help="small sizes, two turns: a minute instead of half an hour")
    parser.add_argument("--stored", type=Path, help="measure nothing: take the figures of this file")
    parser.add_argument("--json", type=Path, help="store the figures here")
    parser.add_argument("--plot", type=Path, help="draw them here (SVG; needs matplotlib, which is in requirements-dev.txt)")
    parser.add_argument("--page", type=Path, help="put the tables between the marks of this page")
    args = parser.parse_args(arguments)
    if args.stored:
        stored = json.loads(args.stored.read_text(encoding="utf-8"))
    else:
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="scale-") as folder:
            plan = QUICK_LOOK if args.quick_look else Plan()

            def say(what: str) -> None:
                print(f"{time.monotonic() - started:6.0f} s  {what}", file=sys.stderr, flush=True)

            series = measure(plan, Path(folder), say)
        command = "python -m benchmarks.scale" + (" --quick-look" if args.quick_look else "")
        stored = {
            "command": command,
            "machine": machine(),
            "seconds": round(time.monotonic() - started),
            "plan": vars(plan),
            "series": [s.as_dict() for s in series],
        }
    if args.json:
        _write(args.json, json.dumps(stored, indent=1, allow_nan=False) + "\n")
    series = [Series.from_dict(plain) for plain in stored["series"]]
    print(page_text(stored))
    if args.page:
        _write(args.page, replaced(args.page.read_text(encoding="utf-8"), page_text(stored)))
    if args.plot:
        draw(series, args.plot)
    return int(any(s.verdict() == "too steep" for s in series))


if __name__ == "__main__":
    sys.exit(main())
