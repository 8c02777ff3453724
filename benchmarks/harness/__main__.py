"""What everything around the training costs: workers, isolation, sweeps, reports, strategies.

    python -m benchmarks.harness worker [options]
    python -m benchmarks.harness isolation [options]
    python -m benchmarks.harness sweep [options]
    python -m benchmarks.harness report [options]
    python -m benchmarks.harness strategies [options]
    python -m benchmarks.harness cleaning [options]
    python -m benchmarks.harness audit [options]
    python -m benchmarks.harness curation [options]
    python -m benchmarks.harness board [options]

``--help`` after the name says what is measured, on what, and which options there are. All data are made for the measurement: random
images, random labels, cells that were never trained.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from evaluator.cli.parsing import Prose

WHICH = ("worker", "isolation", "sweep", "report", "strategies", "cleaning", "curation", "audit", "board")


def main(arguments: list[str] | None = None) -> None:
    """Run the chosen benchmark with the rest of the arguments."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.harness", description=__doc__, formatter_class=Prose)
    parser.add_argument("which", choices=WHICH, help="the benchmark; options after it are its own")
    given = sys.argv[1:] if arguments is None else arguments
    which = parser.parse_args(given[:1]).which
    import_module(f"benchmarks.harness.{which}").main(given[1:])


if __name__ == "__main__":
    main()
