"""Draw the table of a stored run as the terminal shows it: ``python -m docs.make_picture [result.json]``.

Without a file the newest run of ``results/`` is drawn. The picture loads nothing from anywhere: fonts are the reader's own.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from evaluator.cli.tracks import TRACKS
from evaluator.errors import ConfigurationError, KitError
from evaluator.places import RESULTS
from evaluator.report.terminal import show_result

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 104
"""Columns of the picture: the table of one seed, with room for its notes."""


def newest(results: Path) -> Path:
    """The summary of the run that was started last.

    Raises:
        ConfigurationError: no run lies there.
    """
    found = sorted(results.glob("*/result.json"), key=lambda path: path.parent.name)
    if not found:
        raise ConfigurationError(f"{results} holds no run; make one with `make evaluate`, or name a result.json")
    return found[-1]


def picture(summary: dict, title: str) -> str:
    """The run as SVG text. Equal runs give equal pictures."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    show_result(console, summary, TRACKS.known[summary["track"]])
    svg = console.export_svg(title=title, theme=MONOKAI, unique_id="result")
    # Rich names fonts on another site; a page that is read offline, or that forbids it, must look the same.
    return re.sub(r"<!--.*?-->|@font-face\s*\{.*?\}\s*", "", svg, flags=re.DOTALL).replace(
        "Fira Code", "ui-monospace, Menlo, Consolas"
    )


def main() -> int:
    """Write the picture; the exit status is 0, or 2 for something the user can mend."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, nargs="?", help="a run's result.json (default: the newest of results/)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "result.svg", help="default: docs/images/result.svg")
    parser.add_argument("--title", default="python local_evaluation.py", help="the line at the top (default: %(default)s)")
    args = parser.parse_args()
    try:
        path = args.result or newest(RESULTS)
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
            text = picture(summary, args.title)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"{path} is not the result of a run ({error!r}); name a result.json of results/") from None
    except KitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    args.out.parent.mkdir(parents=True, exist_ok=True)
    temporary = args.out.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(args.out)
    print(f"wrote {args.out} from {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
