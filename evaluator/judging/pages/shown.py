"""Figures and names as the pages of a board write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from evaluator.judging.board import Scored, data_scored
from evaluator.judging.pages.render import bar
from evaluator.report.colours import span_of
from evaluator.scoring.intervals import Interval
from evaluator.submission.manifest import LINKS, web_address
from evaluator.tables import Metric
from evaluator.text import name as harmless
from evaluator.words import counted

PAGES = "submissions"
"""Folder of the pages of submissions."""
LINK_TEXTS = dict(zip(LINKS, ("code", "write-up"), strict=True))


def first_large(text: str) -> str:
    """A text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def page_name(number: int) -> str:
    """The file of a submission's page, in ``PAGES``. It stays the same under every version of the rules."""
    return f"{number}.html"


def score(value: Interval | None, metric: Metric, collapsed: int = 0) -> dict[str, str] | None:
    """A mean and its interval as texts. ``collapsed``: cells in it whose model learnt nothing, which give it a mark."""
    if value is None:
        return None
    span = "" if value.low is None or value.high is None else f"[{metric.text(value.low)}, {metric.text(value.high)}]"
    return {"mean": metric.text(value.mean), "span": span, "mark": f"{counted(collapsed, 'cell')} collapsed" if collapsed else ""}


def sort_value(value: Interval | None) -> str:
    """What a table is sorted by; empty where there is no score, so that its row comes last in either direction."""
    return "" if value is None else f"{value.mean:.9g}"


def ends_of(values: Sequence[Interval | None], metric: Metric) -> tuple[float, float]:
    """The ends of a scale for all means and intervals, within what the metric can be."""
    found = [x for value in values if value is not None for x in (value.mean, value.low, value.high) if x is not None]
    low, high = span_of(found)
    return (low if metric.low is None else max(low, metric.low)), (high if metric.high is None else min(high, metric.high))


def strip(value: Interval | None, ends: tuple[float, float]) -> Any:
    """The picture of an interval, or nothing."""
    return "" if value is None else bar(value, ends)


def moment(at: float | None) -> str:
    """A time to the minute, without its zone."""
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


def anchor(participant: str) -> str:
    """What follows ``#`` in an address that filters a table by participant."""
    return f"of={quote(harmless(participant), safe='')}"


def links(of: Scored) -> list[dict[str, str]]:
    """The links that a participant gave, those alone that a page may have."""
    given: Mapping[str, Any] = of.detail.get("links", {})
    found = [(LINK_TEXTS[name], str(given[name])) for name in LINKS if name in given]
    return [{"text": text, "address": address, "host": host} for text, address in found if (host := web_address(address))]


def seeds_text(numbers: Sequence[int]) -> str:
    """``0 to 4``, or the single numbers where some are missing."""
    ordered = sorted(numbers)
    if not ordered:
        return "none"
    if len(ordered) > 2 and ordered[-1] - ordered[0] == len(ordered) - 1:
        return f"{ordered[0]} to {ordered[-1]}"
    return ", ".join(map(str, ordered))


def data_text(found: Sequence[Scored]) -> str:
    """The digests of the data that were scored, shortened; ``board.json`` has them whole."""
    shown = [f"{split} {digest[:12]}" for split, digests in data_scored(found).items() for digest in digests]
    return ", ".join(shown) or "not stored"


def versions_text(found: Sequence[Scored]) -> str:
    """The versions of the rules and of the code that computed the metric."""
    metric = sorted({of.metric_version for of in found if of.metric_version})
    return f"rules {found[0].version}, metric {', '.join(map(str, metric)) or 'not stored'}" if found else "none"
