"""An audit in words: which changes of the ranking are more than noise, and under which sources; never more than the tests allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluator.audit.results import Audit, Reversal, ViewResult
from evaluator.scoring.paired import holm
from evaluator.text import name as shown_name
from evaluator.words import counted

MOST = 12
"""Pairs that are told of in words; the tables have all."""
MOST_NAMED = 4
"""Views that are named one by one."""


@dataclass(frozen=True)
class Verdict:
    """What an audit says.

    Attributes:
        headline: in one sentence.
        changed: whether at least one pair turns round beyond noise; None where there is no ranking.
        sentences: what it rests on, in order.
    """

    headline: str
    changed: bool | None
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class _Turned:
    """A pair that changes places somewhere, and the views in which it does."""

    ahead: str
    behind: str
    views: tuple[tuple[ViewResult, Reversal], ...]

    @property
    def shown(self) -> list[tuple[ViewResult, Reversal]]:
        return [(view, swap) for view, swap in self.views if swap.shown]


def verdict_of(audit: Audit) -> Verdict:
    """The verdict on a ranking."""
    models, views = len(audit.models), audit.views[1:]
    if models < 2:
        return Verdict("There is one model, so there is no ranking to audit; its accuracy in each view is in the table.", None, ())
    if not views:
        return Verdict("There is no view besides all images with the labels as given, so nothing was audited.", None, ())
    pairs = models * (models - 1) // 2
    turned = _turned(views)
    shown = [pair for pair in turned if pair.shown]
    where = (
        f"{counted(len(views), 'view')} of {counted(len(audit.sources), 'source')}"
        if audit.sources
        else counted(len(views), "view")
    )
    if shown:
        headline = f"{len(shown)} of {counted(pairs, 'pair')} of models change{'s' if len(shown) == 1 else ''} places beyond noise."
    elif turned:
        headline = (
            f"{len(turned)} of {counted(pairs, 'pair')} of models change{'s' if len(turned) == 1 else ''} places in some "
            f"view, and no "
            "change is more than noise."
        )
    else:
        headline = f"No pair of models changes places in any view ({where})."
    sentences = [_pair(pair, views, audit.settings.alpha) for pair in sorted(turned, key=lambda pair: not pair.shown)[:MOST]]
    if len(turned) > MOST:
        more, beyond = len(turned) - MOST, max(len(shown) - MOST, 0)
        sentences.append(
            f"{counted(more, 'more pair')} change{'s' if more == 1 else ''} places, {beyond or 'none'} of them beyond noise; the "
            "tables have them."
        )
    sentences += _controls(views, audit.settings.alpha)
    sentences.append(_limits(audit, pairs))
    return Verdict(headline, bool(shown), tuple(sentences))


def _turned(views: Sequence[ViewResult]) -> list[_Turned]:
    found: dict[tuple[str, str], list[tuple[ViewResult, Reversal]]] = {}
    for view in views:
        for swap in view.swaps:
            found.setdefault((swap.ahead, swap.behind), []).append((view, swap))
    return [_Turned(ahead, behind, tuple(own)) for (ahead, behind), own in found.items()]


def _pair(pair: _Turned, views: Sequence[ViewResult], alpha: float) -> str:
    """What is said of a pair."""
    ahead, behind = shown_name(pair.ahead), shown_name(pair.behind)
    if pair.shown:
        weakest = max(swap.p for _, swap in pair.shown)
        p = "below 0.001" if weakest < 0.001 else f"{weakest:.3f}{' or less' if len(pair.shown) > 1 else ''}"
        text = f"{ahead} is ahead of {behind} with labels as given, and behind it beyond noise in {_named(pair.shown)}"
        text += f" (corrected p {p})."
        rest = [(view, swap) for view, swap in pair.views if not swap.shown]
        if rest:
            text += f" The order turns within noise in {_named(rest)}."
    else:
        _, strongest = min(pair.views, key=lambda each: each[1].p)
        before, after = strongest.before, strongest.after
        text = (
            f"{ahead} is ahead of {behind} by {_points(before.gap)} with labels as given and behind it by {_points(-after.gap)} in "
            f"{_named(pair.views)}: within noise."
        )
        text = (
            text
            if len(pair.views) == 1
            else (
                f"{ahead} is ahead of {behind} by {_points(before.gap)} with labels as given and behind it in "
                f"{_named(pair.views)}: within "
                "noise."
            )
        )
        weak = [word for word, order in (("the first", before), ("the second", after)) if order.p_holm >= alpha]
        if len(weak) == 2:
            text += " Neither of the two orders is shown."
        elif weak:
            text += f" Of the two orders {weak[0]} is not shown."
        else:
            text += " Each order is shown in its own view, but not both after the correction over the whole audit."
    sources = {view.source for view in views if view.source}
    without = sorted(sources - {view.source for view, _ in pair.views if view.source})
    if without and len(sources) > 1:
        text += f" Under {_list(without)} the order stays."
    return text


def _named(found: Sequence[tuple[ViewResult, Reversal | None]]) -> str:
    """Views in words, those of a source together; many of one source are counted."""
    by_source: dict[str, list[str]] = {}
    for view, _ in found:
        by_source.setdefault(view.source, []).append(view.name)
    few = len(found) <= MOST_NAMED
    parts = []
    for source, names in by_source.items():
        own = _list([shown_name(name) for name in names]) if few or len(names) == 1 else f"{len(names)} views"
        parts.append(f"{own} by {shown_name(source)}" if source else own)
    return _list(parts)


def _list(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _points(share: float) -> str:
    return f"{100 * share:.3f} points"


def _controls(views: Sequence[ViewResult], alpha: float) -> list[str]:
    """Whether leaving images out changes the ranking more than chance does, corrected over all that were compared."""
    compared = [view for view in views if view.matched is not None]
    if not compared:
        return []
    p = holm(np.array([view.matched.below for view in compared if view.matched is not None]))
    more = [view for view, value in zip(compared, p.tolist(), strict=True) if value < alpha]
    if not more:
        return [
            f"In none of {counted(len(compared), 'view')} that leave{'s' if len(compared) == 1 else ''} images out does the "
            f"ranking "
            "change more than when as many images of the same difficulty are left out at random."
        ]
    views_named = _named([(view, None) for view in more])
    return [
        f"Leaving images out changes the ranking more than leaving out as many images of the same difficulty at random does in "
        f"{views_named}. That is said of the ranking as a whole; of single pairs only what stands above."
    ]


def _limits(audit: Audit, pairs: int) -> str:
    """What the verdict cannot say."""
    decided = audit.views[0].decided
    open_pairs = pairs - decided
    text = (
        f"With labels as given the order of {decided} of {counted(pairs, 'pair')} is shown on these {len(audit.benchmark):,} images"
    )
    text += (
        f"; the other {f'{open_pairs} are' if open_pairs > 1 else 'one is'} too close to be told apart, so that their ranks mean "
        "little in any view."
        if open_pairs
        else "."
    )
    return text
