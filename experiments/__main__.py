"""Which baselines beat random: the page ``docs/results.md``, its pictures and the cells behind it.

    python -m experiments --run                    # run what is missing of experiments/sweeps/*.toml, then do all of the below
    python -m experiments --forecast               # how long that takes on two cores, if nothing is stored; runs nothing
    python -m experiments --cells results/         # gather cells into experiments/cells/strategies-*.json, write page and pictures
    python -m experiments --cells results/ --keep  # and keep the cells that these files have already
    python -m experiments --page-only              # write page and pictures from these files; no other cells are needed
    python -m experiments --check                  # are committed pages and pictures what their figures give? Writes nothing

``--run`` may be interrupted, and continues where it stopped. With ``--keep`` it continues on another machine, too, from the
committed files: at the first seed whose cells they do not all have. Files, page and pictures are written whole or not at all.

``--check`` also looks at the parts of ``docs/benchmarks.md`` that a command writes, and at the page of the cleaning track
(``experiments/cleaning``). For each file that is not what its figures give it prints the command that writes it anew, and the exit
status is 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.pages import write_text
from evaluator.cli.main import main as evaluator
from evaluator.cli.parsing import Prose
from evaluator.errors import ConfigurationError, KitError
from experiments.check import check
from experiments.columns import read, unpack
from experiments.grids import Grid, packed
from experiments.page import COMMAND, Results, page
from experiments.places import HERE, Places


def main(arguments: Sequence[str] | None = None, places: Places = HERE) -> int:
    """Run, gather, write, or check.

    Returns:
        0; 1 where ``--check`` finds a difference; 2 for an error that the user can correct; 130 where Ctrl-C ended a sweep.
    """
    args = parse(arguments)
    try:
        if (args.check or args.page_only) and (args.run or args.cells or args.keep or args.check == args.page_only):
            raise ConfigurationError("--page-only and --check use the committed cells; leave --run, --cells and --keep out")
        if args.check:
            return report(places)
        if args.forecast:
            return forecast(args, places)
        if not args.page_only and (status := gathered(args, places)):
            return status
        return written(places)
    except KitError as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        print(f"error: {error.filename}: cannot be written ({error.strerror})", file=sys.stderr)
    return 2


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__, formatter_class=Prose)
    parser.add_argument("--run", action="store_true", help="first run what is missing of the sweeps")
    parser.add_argument("--forecast", action="store_true", help="say how long the sweeps take on two cores; run nothing")
    parser.add_argument("--page-only", action="store_true", help="gather nothing: write page and pictures from the committed cells")
    parser.add_argument("--check", action="store_true", help="compare committed pages and pictures with what their figures give")
    parser.add_argument(
        "--cells",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="folders of results; --run writes into the first (default: results/)",
    )
    parser.add_argument("--keep", action="store_true", help="keep the committed cells, and do not run them again")
    parser.add_argument("--experiments", type=Path, nargs="+", metavar="TOML", help="sweeps (default: experiments/sweeps/*.toml)")
    return parser.parse_args(arguments)


def gathered(args: argparse.Namespace, places: Places) -> int:
    """Run where asked, gather, and write the files of cells; the status of a sweep that did not end well, else 0.

    Raises:
        KitError: a sweep's file is not valid, or a folder has no results.
    """
    files = args.experiments or places.sweeps
    grids = [Grid.read(file) for file in files]  # a mistake in the last file is reported before the first sweep is run
    folders = args.cells or [places.root / "results"]
    stored = [places.cells(proxy) for proxy in (False, True)]
    kept = []
    if args.keep and any(path.exists() for path in stored):
        kept = [cell for content in read(stored)[0] for cell in unpack(content)]
    for file, grid in zip(files, grids, strict=True) if args.run else ():
        words = ["sweep", "--file", str(file), "--out", str(folders[0])]
        if (left := grid.unfinished(kept)) != grid.seeds:
            words += ["--first-seed", str(left.start), "--seeds", str(len(left))]
        status = evaluator(words) if left else 0
        if status not in (0, 1):  # 1: a cell failed, and the page shows that
            return status
    for proxy, text in packed(grids, folders, kept).items():
        write_text(places.cells(proxy), text)
    return 0


def forecast(args: argparse.Namespace, places: Places) -> int:
    """Print how long the sweeps take; 1 if it is more than they may, else 0.

    Raises:
        KitError: a sweep's file is not valid, or cells cannot be read.
    """
    from experiments.forecast import HOURS, costs, in_words

    stored = [path for path in (places.cells(proxy) for proxy in (False, True)) if path.exists()]
    found = costs([Grid.read(file) for file in args.experiments or places.sweeps], read(stored)[0] if stored else [])
    print("\n".join(in_words(found)))
    return int(sum(cost.seconds for cost in found) > 3600 * HOURS)


def written(places: Places) -> int:
    """Write page and pictures from the committed cells.

    Raises:
        ConfigurationError: there are no cells, or they cannot be read.
    """
    stored, source = read([places.cells(proxy) for proxy in (False, True)])
    results = Results.of(stored)
    write_text(places.page, page(results))
    from experiments.pictures import draw

    pictures = draw(results, places.images, source)
    cells = sum(len(file["columns"].get("cell", ())) for file in stored)
    print(f"wrote {places.page} and {len(pictures)} pictures from {cells:,} cells")
    return 0


def report(places: Places) -> int:
    """Print every committed page and picture that is not what its figures give; 1 where there is any, else 0.

    Raises:
        ConfigurationError: figures are missing or cannot be read.
    """
    checked = check(places)
    for finding in checked.findings:
        print(f"error: {finding}", file=sys.stderr)
    for note in checked.notes:
        print(f"note: {note}")
    if not checked.findings:
        print(f"{checked.files} pages and pictures are what their committed figures give")
    return int(bool(checked.findings))


if __name__ == "__main__":
    sys.exit(main())
