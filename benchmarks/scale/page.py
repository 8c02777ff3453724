"""The part of ``docs/benchmarks.md`` on scale, from stored figures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.pages import Region
from benchmarks.scale.growth import PANELS, Series, tables

COMMAND = "python -m benchmarks.scale"
FIGURES, PICTURE, PAGE = "benchmarks/results/scale.json", "docs/images/scale.svg", "docs/benchmarks.md"
"""Committed files, below the root of the repository."""
AGAIN = f"{COMMAND} --stored {FIGURES} --plot {PICTURE} --page {PAGE}"
"""Draws the picture and writes the part of the page, from the committed figures."""
REGION = Region("scale", COMMAND)


def read(path: Path) -> dict[str, Any]:
    """A file of figures."""
    return json.loads(path.read_text(encoding="utf-8"))


def series_of(stored: Mapping[str, Any]) -> list[Series]:
    """The series of a file of figures."""
    return [Series.from_dict(plain) for plain in stored["series"]]


def digest(stored: Mapping[str, Any]) -> str:
    """A hash of the figures, which the picture has in its metadata."""
    text = json.dumps(stored["series"], sort_keys=True, allow_nan=False)
    return f"figures sha256:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def page_text(stored: Mapping[str, Any]) -> str:
    """The part of the page with figures: hardware, command, what grows too fast, and tables."""
    series = series_of(stored)
    where = stored["machine"]
    text = f"`{stored['command']}` on {where['hardware']}; {where['system']}, {where['versions']}; "
    text += f"load average {where['load']} at the end. Medians.\n\n"
    meanings = {
        "too steep": "Grows faster than its limit",
        "unclear": "Over its limit, but with an interval that contains the limit",
    }
    for verdict, meaning in meanings.items():
        names = [f"{s.name} ({PANELS[s.part, s.axis]})" for s in series if s.verdict() == verdict]
        text += f"- {meaning}: {'; '.join(names) or 'nothing'}.\n"
    return f"{text}\n{tables(series)}"
