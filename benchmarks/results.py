"""Which baselines beat random: the page ``docs/results.md``, its pictures and the cells behind it.

    python -m benchmarks.results --run              # run what is missing of benchmarks/experiments, then all of the below
    python -m benchmarks.results --cells results/   # gather cells into benchmarks/results/strategies-*.json, write the page
    python -m benchmarks.results --cells results/ --keep   # and keep those that the files hold already
    python -m benchmarks.results --page-only        # write the page from these files alone; no cells are needed

``--run`` may be interrupted, and goes on where it stopped; with ``--keep`` also elsewhere, from the files alone, at the first seed
that they do not hold whole. Files, page and pictures are written whole or not at all.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.result_cells import pack, unpack
from benchmarks.result_grids import Cell, Grid, gather
from benchmarks.result_page import Results, page
from evaluator.cli.main import main as evaluator
from evaluator.errors import ConfigurationError, KitError
from evaluator.report.page import write_page

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = ROOT / "benchmarks" / "experiments"
STORED = ROOT / "benchmarks" / "results"
FILES = {False: STORED / "strategies-full.json", True: STORED / "strategies-proxy.json"}
"""Cells of full trainings, and those of the proxy."""
PAGE = ROOT / "docs" / "results.md"
IMAGES = ROOT / "docs" / "images"


def packed(grids: Sequence[Grid], folders: Sequence[Path], kept: Sequence[Cell] = ()) -> dict[bool, str]:
    """The text of the two files, by whether it is the proxy's; a file without an experiment is not there.

    Raises:
        KitError: a folder that holds no results.
    """
    gathered = gather(grids, folders, kept)
    texts = {}
    for proxy in (False, True):
        own = [grid for grid in grids if grid.proxy == proxy]
        cells = gathered.cells(proxy)
        stored = Counter(name for name, _ in cells)
        if own:
            texts[proxy] = pack(cells, [grid.as_dict(stored[grid.name]) for grid in own], gathered.left_out)
    return texts


def read(files: Mapping[bool, Path]) -> tuple[list[dict[str, Any]], str]:
    """Content of the stored files, and a digest over them that pictures carry.

    Raises:
        ConfigurationError: none is there, or one is no JSON.
    """
    there = [path for path in files.values() if path.exists()]
    if not there:
        raise ConfigurationError(f"there is no {' and no '.join(map(str, files.values()))}; gather cells first, with --cells DIR")
    texts = [path.read_bytes() for path in there]
    try:
        return [json.loads(text) for text in texts], f"cells sha256:{hashlib.sha256(b''.join(texts)).hexdigest()[:16]}"
    except ValueError as error:
        raise ConfigurationError(f"{' or '.join(map(str, there))} is no JSON ({error}); gather the cells anew") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, gather, write; 0, 2 for something that the user can mend, 130 where Ctrl-C ended a sweep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="store_true", help="run what is missing of the experiments first")
    parser.add_argument("--page-only", action="store_true", help="gather nothing: write the page from the committed cells")
    parser.add_argument(
        "--cells",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="folders of results; --run writes into the first (default: results/)",
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the cells of the files that are committed, and do not run them again"
    )
    parser.add_argument("--experiments", type=Path, nargs="+", metavar="TOML", help="default: benchmarks/experiments/*.toml")
    args = parser.parse_args(arguments)
    try:
        if args.page_only and (args.run or args.cells or args.keep):
            raise ConfigurationError("--page-only takes the committed cells; leave --run, --cells and --keep out")
        if not args.page_only:
            files = args.experiments or sorted(EXPERIMENTS.glob("*.toml"))
            grids = [Grid.read(file) for file in files]  # a mistake in the last file is said before the first is run
            folders = args.cells or [ROOT / "results"]
            there = any(path.exists() for path in FILES.values())
            kept = [cell for content in read(FILES)[0] for cell in unpack(content)] if args.keep and there else []
            for file, grid in zip(files, grids, strict=True) if args.run else ():
                words = ["sweep", "--file", str(file), "--out", str(folders[0])]
                if (left := grid.unfinished(kept)) != grid.seeds:
                    words += ["--first-seed", str(left.start), "--seeds", str(len(left))]
                status = evaluator(words) if left else 0
                if status not in (0, 1):  # 1: a cell failed, which is a row of the page
                    return status
            for proxy, text in packed(grids, folders, kept).items():
                write_page(FILES[proxy], text)
        stored, source = read(FILES)
        results = Results.of(stored)
        write_page(PAGE, page(results))
        from benchmarks.result_pictures import draw

        pictures = draw(results, IMAGES, source)
    except KitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {PAGE} and {len(pictures)} pictures from {sum(len(file['columns'].get('cell', ())) for file in stored):,} cells")
    return 0


if __name__ == "__main__":
    sys.exit(main())
