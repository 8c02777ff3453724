"""One chart of a report as an SVG file of its own: with its style, a frame, and its legend."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from evaluator.report.html import charts
from evaluator.report.html.svg import WIDTH, element, number, words
from evaluator.sections import Cloud

LINE = 18.0


def standalone(part: Cloud) -> str:
    """A cloud of points as an SVG document that follows the reader's light or dark setting."""
    style = "".join(Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("page.css", "chart.css"))
    drawn = charts.cloud(part)
    height = 280.0
    kinds = [*((f"g{place}", f"{name} ({len(members):,})") for place, (name, members) in enumerate(part.groups))]
    others = len(part.points) - len({i for _, members in part.groups for i in members})
    kinds.append(("rest", f"{part.rest} ({others:,})"))
    own = " .paper { fill: var(--card); } text { font: 12px system-ui, sans-serif; fill: var(--ink); }"
    parts = [
        element("style", None, Markup(style + own)),
        element("rect", {"width": "100%", "height": "100%", "class": "paper"}),
        words(8, 18, part.title, most=WIDTH - 16),
        words(8, 34, part.caption, "axis", most=WIDTH - 16),
        element("svg", {"y": 40, "width": WIDTH, "height": number(height)}, drawn),
    ]
    y = height + 40 + LINE
    for kind, text in kinds:
        dot = element("path", {"d": Markup(f"M14 {number(y - 4)}h0"), "class": f"points {kind}", "style": "stroke-width:9"})
        parts += [dot, words(24, y, text, most=WIDTH - 32)]
        y += LINE
    head = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": f"0 0 {WIDTH} {number(y)}",
        "width": 2 * WIDTH,
        "height": number(2 * y),
    }
    return str(element("svg", head, *parts)) + "\n"
