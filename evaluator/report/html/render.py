"""A page as one HTML file: no script, nothing from a network, every text escaped."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from PIL import Image

from evaluator.report.html import charts
from evaluator.report.html.svg import SERIES, element, swatch
from evaluator.sections import Bars, Cloud, Curves, Dots, Flow, Gallery, Picture, Section
from evaluator.tables import Block
from evaluator.text import LINE_WIDTH, one_line

MOST_BYTES = 3 * 2**20
"""Size of a page. Pictures that would make it larger are left out, and the page says how many."""
MOST_SIDE = 160
"""Largest side of a picture in the file, in pixels."""
LONG = 32
"""Characters from which on a text in a table may be folded, and its column is on the left."""
NARROW = 46
"""Characters of a table that fits into one column of the page."""
_TEXT_WIDTH = 2_000


@dataclass(frozen=True)
class Facts:
    """A section of names and texts, below a command line. ``notes``: sentences below them; ``files``: name and content of each."""

    title: str
    command: str
    rows: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Tabled:
    """A section of figures and of tables."""

    title: str
    parts: tuple[Bars | Dots | Curves | Flow | Gallery | Cloud | Block, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """What a report holds.

    Attributes:
        lead: one line below the title.
        scores: figure and its name, the main one first.
    """

    title: str
    lead: str
    scores: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    sections: tuple[Section | Tabled | Facts, ...] = ()


@dataclass
class _Room:
    """Bytes that pictures may still take."""

    left: int
    refused: int = field(default=0)

    def take(self, size: int) -> bool:
        fits = size <= self.left
        self.left -= size if fits else 0
        self.refused += not fits
        return fits


def render(page: Page) -> str:
    """The page as HTML. Equal pages give equal texts."""
    room = _Room(MOST_BYTES - 2**19)  # half a megabyte for what is no picture
    sections = [_section(section, room) for section in page.sections]
    if room.refused:
        sections[-1]["notes"] += (f"{room.refused} pictures were left out, so that the page stays below {MOST_BYTES >> 20} MB.",)
    shown = {"title": page.title, "lead": page.lead, "scores": page.scores, "warnings": page.warnings, "sections": sections}
    return _template().render(page=shown, style=Markup(_file("page.css") + _file("chart.css")))


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    # ``finalize`` sees every expression of the template, so that no text is shown without having been made visible. Autoescaping
    # follows it.
    environment = jinja2.Environment(autoescape=True, finalize=_shown, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(_file("page.html"))


def _shown(value: Any) -> Any:
    if isinstance(value, Markup):
        return value
    if isinstance(value, Command):
        return "\n".join(one_line(line, _TEXT_WIDTH) for line in value.split("\n"))
    return one_line(value, _TEXT_WIDTH)


class Command(str):
    """A command line, or a file that we wrote: the line breaks are ours and stay."""


def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _section(section: Section | Tabled | Facts, room: _Room) -> dict[str, Any]:
    head: dict[str, Any] = {"title": section.title, "notes": section.notes, "figures": [], "command": "", "facts": (), "files": ()}
    if isinstance(section, Facts):
        files = [(name, Command(content.rstrip("\n"))) for name, content in section.files]
        return head | {"command": Command(section.command), "facts": section.rows, "files": files}
    return head | {"figures": [_figure(part, room) for part in section.parts]}


def _figure(part: Bars | Dots | Curves | Flow | Gallery | Cloud | Block, room: _Room) -> dict[str, Any]:
    title = part.title[:1].upper() + part.title[1:]
    head: dict[str, Any] = {"title": title, "caption": "" if isinstance(part, Block) else part.caption, "width": "", "legend": ()}
    head |= {"drawn": "", "pictures": (), "side": 0, "block": None}
    if isinstance(part, Block):
        kinds = ["long" if any(len(row[place]) >= LONG for row in part.rows) else "short" for place in range(len(part.headers))]
        return head | {"block": part, "kinds": kinds, "width": _width(part)}
    if isinstance(part, Gallery):
        embedded = [found for picture in part.pictures if (found := _embedded(picture, part.side, room)) is not None]
        return head | {"pictures": embedded, "side": part.side, "width": " wide"}
    if isinstance(part, Bars | Dots | Curves):
        drawn, legend = chart(part)
        return head | {"drawn": drawn, "legend": legend}
    if isinstance(part, Flow):
        return head | {"drawn": charts.flow(part), "legend": [(Markup(""), text) for text in charts.numbered(part.stages)]}
    groups = [(_dot(f"g{place}"), f"{name} ({len(members)})") for place, (name, members) in enumerate(part.groups)]
    others = len(part.points) - len({i for _, members in part.groups for i in members})
    return head | {"drawn": charts.cloud(part), "legend": [*groups, (_dot("rest"), f"{part.rest} ({others:,})")]}


def chart(part: Bars | Dots | Curves) -> tuple[Markup, Sequence[tuple[Markup, str]]]:
    """A chart as SVG, and its legend: a mark and a name for each series where there are several. ``chart.css`` is its style."""
    if isinstance(part, Bars):
        return charts.bars(part), ()
    if isinstance(part, Dots):
        names = [series.name for series in part.series]
        return charts.dots(part), _legend(names) if len(names) > 1 else ()
    return charts.curves(part), _legend([curve.name for curve in part.curves])


def _width(block: Block) -> str:
    """How many columns of the page a table takes: one (the narrowest), two or all of them."""
    columns = zip(block.headers, *block.rows, strict=True)
    letters = sum(max(len(text) for text in column) + 2 for column in columns)
    return "" if letters <= NARROW else " broad" if len(block.headers) < 8 else " wide"


def _legend(names: Sequence[str]) -> list[tuple[Markup, str]]:
    shown = [(swatch(place), one_line(name, LINE_WIDTH)) for place, name in enumerate(names[:SERIES])]
    return shown + ([(Markup(""), f"{len(names) - SERIES} more are in the table only")] if len(names) > SERIES else [])


def _dot(kind: str) -> Markup:
    return element(
        "svg",
        {"viewBox": "0 0 14 14", "class": "swatch", "aria-hidden": "true"},
        element("path", {"d": "M7 7h0", "class": f"points {kind}", "style": "stroke-width:9"}),
    )


def _embedded(picture: Picture, side: int, room: _Room) -> dict[str, Any] | None:
    """A picture as a data URI; None where the page would become too large."""
    image = Image.fromarray(picture.pixels)
    most = min(2 * side, MOST_SIDE)  # twice, for screens of high density
    if max(image.size) > most:
        image.thumbnail((most, most), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    image.save(content, "JPEG", quality=88, subsampling=0)
    source = "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()
    if not room.take(len(source)):
        return None
    shown = {"width": side, "height": round(side * image.height / image.width), "text": picture.text, "lines": picture.lines}
    return shown | {"source": Markup(source)}
