"""Pages as HTML files that need nothing beside them: style and script stand in the page, and no others may run or be loaded.

Every text is made visible and escaped where it is shown. Style and script are allowed by their hashes (a content security policy),
so that nothing which a stranger wrote can be either of them.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from evaluator import report
from evaluator.report.html.svg import element, line, number, picture_of
from evaluator.scoring.intervals import Interval
from evaluator.text import one_line

MARK = "<!-- made of "
"""Begins the second line of a page; a digest of everything that it was made of follows."""
_FOLDER = Path(__file__).parent
_TEXT_WIDTH = 2_000
_BAR = (132.0, 14.0)
"""Width and height of the picture of an interval, in its units."""


def render(template: str, key: str, **shown: Any) -> str:
    """A page of a template. ``key``: what it was made of, as ``made_of`` finds it again."""
    return _environment().get_template(template).render(key=Markup(key), **_shell(), **shown)


def style_and_script() -> str:
    """A digest of all that pages have in common: templates, style, script."""
    return _digest_of_files()


def made_of(path: Path) -> str:
    """The key that the page in a file was made of; empty where there is no such page."""
    try:
        with open(path, encoding="utf-8") as file:
            head = file.read(200)
    except (OSError, UnicodeDecodeError):
        return ""
    return head.partition(MARK)[2].partition(" ")[0]


def bar(value: Interval, ends: tuple[float, float]) -> Markup:
    """An interval as a line with a dot at the mean, on the scale between two ends. Its figures stand beside it as a text."""
    (low, high), (width, height) = ends, _BAR
    room, middle = width - 10, height / 2

    def at(x: float) -> float:
        return 5 + (min(max(x, low), high) - low) / ((high - low) or 1) * room

    parts = [line(1, middle, width - 1, middle, "rule")]
    said = f"{value.mean:.3f}"
    if value.low is not None and value.high is not None:
        parts.append(line(at(value.low), middle, at(value.high), middle, "span"))
        said = f"{value.low:.3f} to {value.high:.3f}"
    parts.append(element("circle", {"cx": number(at(value.mean)), "cy": number(middle), "r": "2.8", "class": "dot"}))
    return picture_of(width, height, f"interval {said}, on a scale from {low:.3g} to {high:.3g}", parts, "interval")


@cache
def _environment() -> jinja2.Environment:
    # ``finalize`` sees every expression of a template, so that no text is shown without having been made visible. Autoescaping
    # follows it.
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        finalize=lambda value: value if isinstance(value, Markup) else one_line(value, _TEXT_WIDTH),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _shell() -> dict[str, Any]:
    style = _text(_FOLDER / "site.css") + _text(_CHARTS)
    script = _text(_FOLDER / "site.js")
    allowed = f"style-src {_hash(style)}; script-src {_hash(script)}; img-src data:"
    policy = f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"
    return {"style": Markup(style), "script": Markup(script), "policy": Markup(policy)}


_CHARTS = Path(report.__file__).parent / "html" / "chart.css"


@cache
def _digest_of_files() -> str:
    files = [*sorted(_FOLDER.glob("*.html")), _FOLDER / "site.css", _FOLDER / "site.js", _CHARTS]
    return hashlib.sha256("".join(map(_text, files)).encode()).hexdigest()


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
