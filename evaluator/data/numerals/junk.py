"""Images that are no numeral of the task, under a label that says they are: what a collection from many people holds as well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from evaluator.data.numerals.page import Page, photographed
from evaluator.data.numerals.strokes import NUMERALS, Hand, Stroke, written
from evaluator.data.painted.exact import Draws

OTHERS = ("iiii", "vv", "xx", "xi", "xii", "ivi", "vx", "iix", "xv", "iiv")
"""Letters in an order that is no class."""


def _scribble(hand: Hand, page: Page, draws: Draws) -> np.ndarray:
    return photographed([_wild(hand, draws) for _ in range(1 + draws.integer(4))], page, draws)


def _other(hand: Hand, page: Page, draws: Draws) -> np.ndarray:
    return photographed(written(OTHERS[draws.integer(len(OTHERS))], hand, draws), page, draws)


def _cut(hand: Hand, page: Page, draws: Draws) -> np.ndarray:
    strokes = written(NUMERALS[2 + draws.integer(8)], hand, draws)
    return photographed(strokes, replace(page, margin=(-0.55, -0.15)), draws)


def _blank(hand: Hand, page: Page, draws: Draws) -> np.ndarray:
    return photographed([], page, draws)


def _faint(hand: Hand, page: Page, draws: Draws) -> np.ndarray:
    faint = replace(page, ink=page.paper - draws.uniform(3, 12), noise=draws.uniform(10, 24))
    return photographed(written(NUMERALS[draws.integer(10)], hand, draws), faint, draws)


def _struck_out(hand: Hand, page: Page, draws: Draws) -> np.ndarray:
    strokes = written(NUMERALS[draws.integer(10)], hand, draws)
    return photographed([*strokes, *(_wild(hand, draws) for _ in range(3))], page, draws)


KINDS: Mapping[str, tuple[float, Callable[[Hand, Page, Draws], np.ndarray]]] = {
    "scribble": (0.25, _scribble),
    "other letters": (0.3, _other),
    "cut": (0.15, _cut),
    "blank": (0.05, _blank),
    "faint": (0.1, _faint),
    "struck out": (0.15, _struck_out),
}
"""Share of each kind among junk, and what draws it."""


def junk(hand: Hand, page: Page, draws: Draws) -> np.ndarray:
    """An image of no class: uint8 (h, w)."""
    chances, drawn = zip(*KINDS.values(), strict=True)
    return drawn[draws.choice(chances)](hand, page, draws)


def _wild(hand: Hand, draws: Draws) -> Stroke:
    """A stroke in random directions."""
    points = [(draws.uniform(0, 1.2), draws.uniform(0, 1)) for _ in range(4 + draws.integer(6))]
    return Stroke(tuple(points), (hand.radius, hand.radius))
