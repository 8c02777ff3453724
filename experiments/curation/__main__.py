"""What changed data are worth to the fixed model: a part of ``docs/curation.md``.

    python -m experiments.curation --run         # run what is missing, then write figures and page
    python -m experiments.curation --page-only   # write the page from the committed figures
    python -m experiments.curation --check       # is the page what the committed figures give? Writes nothing

``--run`` may be interrupted, and goes on where it stopped: cells and edits are kept in the folder of results. Two runs may share
the folder, each with seeds of its own (``--seeds 0 2 4``, ``--seeds 1 3``).
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tarfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.pages import write_json, write_text
from evaluator.cli.parsing import Prose
from evaluator.cli.tracks import TRACKS
from evaluator.curation.features import best_network
from evaluator.errors import ConfigurationError, KitError
from evaluator.history.reading import read_cells
from evaluator.places import data_place
from experiments.check import curation, differences
from experiments.curation.cells import pack, read, row
from experiments.curation.edits import CONDITIONS
from experiments.curation.page import COMMAND, REGION, Study, text
from experiments.curation.study import DATA_SETS, MADE, ROOT_SEED, missing, prepared, run
from experiments.places import HERE, Places

OUT = Path("results", "curation-study")
REAL = HERE.root.parent / "shared" / "data"
MINUTES = "minutes-{}.json"
ARCHIVE = "roman-numerals.tar.gz"


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
            ran(args)
        if args.run or args.gather:
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
    what.add_argument("--run", action="store_true", help="run what is missing, then write figures and page")
    what.add_argument("--gather", action="store_true", help="run nothing; write figures and page from the cells that are there")
    what.add_argument("--page-only", action="store_true", help="write the page from the committed figures")
    what.add_argument("--check", action="store_true", help="compare the page with what the committed figures give")
    parser.add_argument("--out", type=Path, default=HERE.root / OUT, metavar="DIR", help=f"folder of results (default: {OUT})")
    parser.add_argument("--real", type=Path, default=REAL, metavar="DIR", help="folder of real data (default: ../shared/data)")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="folder of caches (default: as of local_evaluation.py)")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", help="these seeds alone (default: those of every data set)")
    parser.add_argument("--data-sets", nargs="+", choices=[of.name for of in DATA_SETS], help="these alone (default: all)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="trainings side by side (default: 1)")
    parser.add_argument("--machine", default="", metavar="TEXT", help="the machine in words, for the page")
    found = parser.parse_args(arguments)
    if found.workers < 1 or any(seed < 0 for seed in found.seeds or ()):
        parser.error("--workers and --seeds: expected 1 or more, and seeds of 0 or more")
    return found


def ran(args: argparse.Namespace) -> None:
    """Run what is missing.

    Raises:
        KitError: data are not good, or a folder cannot be written.
    """
    args.out.mkdir(parents=True, exist_ok=True)
    chosen = [of for of in DATA_SETS if args.data_sets is None or of.name in args.data_sets]
    used = args.out / MINUTES.format(min(args.seeds) if args.seeds else "all")
    before = json.loads(used.read_text())["seconds"] if used.is_file() else 0.0
    images = unpacked(args.real, args.out)
    began = processor_time()
    for _ in run(args.out, images, data_place(args.cache), chosen, args.seeds, args.workers, lambda line: print(line, flush=True)):
        write_json(used, {"seconds": round(before + processor_time() - began, 1)})


def gathered(args: argparse.Namespace, places: Places) -> None:
    """Write the file of cells from what is stored.

    Raises:
        ConfigurationError: there are no cells.
    """
    images = unpacked(args.real, args.out)
    rows, sets, left_out = [], {}, []
    stored = [cell for _, cell, _ in read_cells(args.out, TRACKS) if cell is not None]
    versions: dict[str, str] = {}
    for data_set in DATA_SETS:
        if why := missing(data_set, images):
            left_out.append(f"{data_set.title} are left out: {why}")
            continue
        own, _ = prepared(data_set, images, args.out)
        data = own.load()
        for cell in stored:
            spec = cell["spec"]
            if spec["data"] == {"data": data.digest} and spec["submission"] in CONDITIONS and spec["root_seed"] == ROOT_SEED:
                rows.append(row(cell, args.out, data, data_set.name))
                versions = cell["versions"]
        if data_set.real:
            sets[data_set.name] = json.loads((args.out / MADE).read_text())
    if not rows:
        raise ConfigurationError(f"{args.out}: there is no cell of the study; expected some. Run: {COMMAND} --run")
    spent = sum(json.loads(file.read_text())["seconds"] for file in args.out.glob(MINUTES.format("*")))
    made: dict[str, Any] = {
        "command": f"{COMMAND} --run",
        "looked": "`../shared/data` (`--real DIR`)",
        "machine": args.machine or "One machine",
        "versions": {name: value for name, value in versions.items() if name in ("python", "torch", "numpy", "scikit-learn")}
        | {"cleanlab": version("cleanlab")},
        "network": best_network(),
        "cpu_minutes": round(spent / 60, 1),
        "sets": sets,
        "left_out": left_out,
    }
    write_text(places.curation_cells, pack(rows, made))


def written(places: Places) -> None:
    """Write the part of the page from the committed figures.

    Raises:
        ConfigurationError: there are none, or they cannot be read.
    """
    study = Study(read(places.curation_cells))
    write_text(places.curation_page, REGION.replaced(places.curation_page.read_text(), text(study)))
    print(f"wrote {places.curation_page} from {len(study.stored['cells']):,} cells")


def report(places: Places) -> int:
    """Print whether the page is what its figures give; 1 where it is not, else 0.

    Raises:
        ConfigurationError: figures are missing or cannot be read.
    """
    checked = differences(places, (curation,))
    for finding in checked.findings:
        print(f"error: {finding}", file=sys.stderr)
    if not checked.findings:
        print("the page is what its committed figures give")
    return int(bool(checked.findings))


def unpacked(real: Path, out: Path) -> Path:
    """The folder of real data whose images are unpacked: ``real`` itself, or a copy below ``out`` of an archive in it."""
    archive = real / "roman-numerals" / ARCHIVE
    if not archive.is_file() or (real / "roman-numerals" / "raw").is_dir():
        return real
    place = out / "unpacked"
    if not (place / "roman-numerals" / "raw").is_dir():
        with tarfile.open(archive) as packed:
            packed.extractall(place / "roman-numerals", filter="data")
    return place


def processor_time() -> float:
    """Seconds of processor time of this process and of its children that ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    sys.exit(main())
