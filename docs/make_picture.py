"""Draw the table of a stored run as the terminal shows it: ``python -m docs.make_picture [result.json]``.

Without a file the newest run of ``results/`` is drawn. The picture loads nothing from anywhere: fonts are the reader's own. What
it shows is kept beside it (``result.svg``, ``result.json``), so that it is drawn anew with ``--again`` where tables have changed; a
test compares the two.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.terminal_theme import MONOKAI

from evaluator.cli.parsing import Prose
from evaluator.cli.tracks import TRACKS
from evaluator.errors import ConfigurationError, KitError
from evaluator.files import write_text
from evaluator.places import RESULTS
from evaluator.report.terminal import show_result
from evaluator.text import json_text

ROOT = Path(__file__).resolve().parents[1]
IMAGE = ROOT / "docs" / "images" / "result.svg"
UNSEEN = frozenset({"predictions", "answer", "history", "timings", "f1", "thresholds"})
"""Members of a cell that the table of a run does not show; most of a cell."""
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
    console.print()  # the frame cuts what hangs below the last line
    svg = console.export_svg(title=title, theme=MONOKAI, unique_id="result")
    # Rich names fonts on another site; a page that is read offline, or that forbids it, must look the same.
    return re.sub(r"<!--.*?-->|@font-face\s*\{.*?\}\s*", "", svg, flags=re.DOTALL).replace(
        "Fira Code", "ui-monospace, Menlo, Consolas"
    )


def kept(summary: dict[str, Any]) -> dict[str, Any]:
    """What of a run its table shows: without places on the machine, and without what makes cells large."""
    submission = {name: value for name, value in summary["submission"].items() if name not in ("folder", "time")}
    return summary | {"submission": submission, "cells": [_seen(cell) for cell in summary["cells"]]}


def _seen(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: _seen(inner) for name, inner in value.items() if name not in UNSEEN}


def stored(image: Path) -> tuple[dict[str, Any], str]:
    """What a picture shows, and its title: from the file beside it.

    Raises:
        OSError, ValueError, KeyError: there is none, or it is damaged.
    """
    content = json.loads(image.with_suffix(".json").read_text(encoding="utf-8"))
    return content["summary"], content["title"]


def main() -> int:
    """Write the picture; the exit status is 0, or 2 for something the user can mend."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=Prose)
    parser.add_argument("result", type=Path, nargs="?", help="a run's result.json (default: the newest of results/)")
    parser.add_argument("--again", action="store_true", help="draw what the picture shows anew, as tables look now")
    parser.add_argument("--out", type=Path, default=IMAGE, help="default: docs/images/result.svg")
    parser.add_argument("--title", default="python local_evaluation.py", help="the line at the top (default: %(default)s)")
    args = parser.parse_args()
    try:
        path = args.out.with_suffix(".json") if args.again else args.result or newest(RESULTS)
        try:
            if args.again:
                summary, title = stored(args.out)
            else:
                summary, title = kept(json.loads(path.read_text(encoding="utf-8"))), args.title
            text = picture(summary, title)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"{path} is not the result of a run ({error!r}); name a result.json of results/") from None
    except KitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_text(args.out.with_suffix(".json"), json_text({"title": title, "summary": summary}, indent=1) + "\n")
    write_text(args.out, text)
    print(f"wrote {args.out} from {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
