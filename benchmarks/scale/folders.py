"""What an evaluation does once, before any cell: read and check the folder, decode it into the cache, verify the cache."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.scale.bench import Bench
from benchmarks.scale.synthetic import CLASSES, write_split
from benchmarks.stopwatch.processor import PROCESSOR, processor_seconds
from evaluator.data.cache import CachedImages, cache_images
from evaluator.data.folders import Split, read_split

Provided = dict[int, tuple[Split, CachedImages]]
"""A split and its decoded images, by the size on the axis."""
ONCE: dict[str, dict[str, Any]] = {
    "read and check the folder, first time": {"note": PROCESSOR},
    "decode into the cache": {"note": f"{PROCESSOR} of all processes"},
    "read and check it again": {"note": PROCESSOR},
    "open the cache and verify it": {"note": PROCESSOR},
}


def provided(bench: Bench, sizes: dict[int, tuple[int, int]], part: str, turns: int) -> Provided:
    """Make splits, read, check and decode them; what that costs is kept under ``part``.

    Args:
        sizes: (images, side) by the size on the axis.
        turns: repetitions that are counted; one more, before them, is not. With 0 nothing is measured.
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
            # Not repeated: it takes long enough to be measured as it is, and it starts processes of its own.
            began = processor_seconds()
            caches[size] = opened()
            bench.keep(f"{part}: decode into the cache", size, processor_seconds() - began)
            bench.processor(f"{part}: read and check it again", size, read)
            bench.processor(f"{part}: open the cache and verify it", size, opened)
    return {size: (splits[size], caches[size]) for size in sizes}
