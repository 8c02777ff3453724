"""Which baselines of the cleaning track find wrong labels: the page ``docs/cleaning-results.md`` and its pictures.

    python -m experiments.cleaning --run         # run what is missing, then write figures, page and pictures
    python -m experiments.cleaning --page-only   # write page and pictures from the committed figures
    python -m experiments.cleaning --check       # are page and pictures what the committed figures give? Writes nothing

``--run`` may be interrupted, and goes on where it stopped: cells are kept in the folder of results. Its processor time is counted
over all of its runs there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.pages import write_json, write_text
from evaluator.cli.parsing import Prose
from evaluator.cli.tracks import TRACKS
from evaluator.errors import ConfigurationError, KitError
from evaluator.history.reading import read_cells
from evaluator.places import data_place
from experiments.check import cleaning, differences
from experiments.cleaning.cells import pack, read
from experiments.cleaning.page import COMMAND, Study, page
from experiments.cleaning.study import DATA_SETS, SEEDS, missing, run
from experiments.places import HERE, Places

OUT = Path("results", "cleaning-study")
REAL = HERE.root.parent / "shared" / "data"
MINUTES = "cleaning-study.json"
"""Below the folder of results: seconds of processor time that its runs took."""


def main(arguments: Sequence[str] | None = None, places: Places = HERE) -> int:
    """Run, write, or check.

    Returns:
        0; 1 where ``--check`` finds a difference; 2 for an error that the user can correct; 130 where Ctrl-C ended a run.
    """
    args = parse(arguments)
    try:
        if args.check:
            return report(places)
        if args.run:
            gathered(args, places)
        written(places)
    except KitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.filename}: cannot be written ({error.strerror})", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__, formatter_class=Prose)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--run", action="store_true", help="run what is missing, then write figures, page and pictures")
    what.add_argument("--page-only", action="store_true", help="write page and pictures from the committed figures")
    what.add_argument("--check", action="store_true", help="compare page and pictures with what the committed figures give")
    parser.add_argument("--out", type=Path, default=HERE.root / OUT, metavar="DIR", help=f"folder of results (default: {OUT})")
    parser.add_argument("--real", type=Path, default=REAL, metavar="DIR", help="folder of real data (default: ../shared/data)")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="folder of caches (default: as of local_evaluation.py)")
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N", help=f"default: {SEEDS}")
    parser.add_argument("--machine", default="this machine", metavar="TEXT", help="the machine in words, for the page")
    found = parser.parse_args(arguments)
    if found.seeds < 2:
        parser.error(f"--seeds is {found.seeds}; an interval needs 2 or more")
    return found


def gathered(args: argparse.Namespace, places: Places) -> None:
    """Run what is missing, and write the file of cells.

    Raises:
        KitError: data are not good, or a folder cannot be written.
    """
    taken = set()
    used = args.out / MINUTES
    before = json.loads(used.read_text())["seconds"] if used.is_file() else 0.0
    began = time.process_time()
    for cell in run(args.out, args.real, data_place(args.cache), args.seeds):
        taken.add(cell)
        write_json(used, {"seconds": round(before + time.process_time() - began, 1)})
    cells = [cell for _, cell, _ in read_cells(args.out, TRACKS) if cell is not None and cell["cell"] in taken]
    if not cells:
        raise ConfigurationError(f"{args.out}: no cell was run; expected some. Look at the messages above")
    left_out = [f"{of.name} is not here, and was left out" for of in DATA_SETS if missing(of, args.real)]
    made = {
        "command": f"{COMMAND} --run --seeds {args.seeds}",
        "cpu_minutes": round(json.loads(used.read_text())["seconds"] / 60, 1),
        "machine": args.machine,
        "left_out": left_out,
    }
    write_text(places.cleaning_cells, pack(cells, made))


def written(places: Places) -> None:
    """Write page and pictures from the committed figures.

    Raises:
        ConfigurationError: there are none, or they cannot be read.
    """
    from experiments.cleaning.pictures import draw

    stored, source = read(places.cleaning_cells)
    study = Study.of(stored)
    write_text(places.cleaning_page, page(study))
    pictures = draw(study, places.images, source)
    print(f"wrote {places.cleaning_page} and {len(pictures)} pictures from {len(study.rows):,} cells")


def report(places: Places) -> int:
    """Print every committed page and picture of the study that is not what its figures give; 1 where there is any, else 0.

    Raises:
        ConfigurationError: figures are missing or cannot be read.
    """
    checked = differences(places, (cleaning,))
    for finding in checked.findings:
        print(f"error: {finding}", file=sys.stderr)
    for note in checked.notes:
        print(f"note: {note}")
    if not checked.findings:
        print(f"{checked.files} pages and pictures are what their committed figures give")
    return int(bool(checked.findings))


if __name__ == "__main__":
    sys.exit(main())
