"""Images that are no numeral of the task, under a label that says they are: what a collection from many people holds as well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from evaluator.data.numerals.page import Page, scanned
from evaluator.data.numerals.strokes import NUMERALS, Hand, Point, Stroke, written
from evaluator.data.painted.exact import Draws, direction

OTHERS = ("iiii", "xi", "xii", "xiii", "vv", "xx", "xv", "vx", "iix", "xiv")
"""Letters whose order is no class."""

Draw = Callable[[Hand, Page, Draws], np.ndarray]


def _scribble(hand: Hand, page: Page, draws: Draws) -> np.ndarray:
    """A zigzag, as to try a pen."""
    turns, lean = 4 + draws.integer(6), draws.uniform(0.2, 0.7)
    points = [(0.1 * n + lean * (n % 2) + 0.03 * draws.normal(), 0.9 * ((n + 1) % 2) + 0.05 * draws.normal()) for n in range(turns)]
    return scanned([_line(hand, points)], page, draws)


def _face(hand: Hand, page: Page, draws: Draws) -> np.ndarray:
    """Two eyes and a mouth."""
    mouth = [(0.1 * n, 0.6 + 0.4 * (1 - (n / 4 - 1) ** 2) + 0.02 * draws.normal()) for n in range(9)]
    eyes = [[(at, 0.1), (at + 0.02 * draws.normal(), 0.1 + draws.uniform(0.05, 0.3))] for at in (0.25, 0.55)]
    return scanned([_line(hand, points) for points in (mouth, *eyes)], page, draws)


def _spiral(hand: Hand, page: Page, draws: Draws) -> np.ndarray:
    """A spiral."""
    points: list[Point] = []
    for n in range(20 + draws.integer(20)):
        cosine, sine = direction(0.5 * n)
        points.append((0.02 * n * cosine, 0.02 * n * sine))
    return scanned([_line(hand, points)], replace(page, filled=page.filled * 0.7), draws)


def _other(hand: Hand, page: Page, draws: Draws) -> np.ndarray:
    """A number beyond the task."""
    return scanned(written(OTHERS[draws.integer(len(OTHERS))], hand, draws), page, draws)


def _between(hand: Hand, page: Page, draws: Draws) -> np.ndarray:
    """The parts of two numerals that stood beside each other."""
    first, second = (NUMERALS[draws.integer(10)] for _ in range(2))
    away = replace(page, centre=(draws.uniform(-0.15, 0.1), page.centre[1]), filled=max(page.filled, 0.6))
    return scanned(written(first, hand, draws), away, draws, written(second, hand, draws))


def _worn_out(hand: Hand, page: Page, draws: Draws) -> np.ndarray:
    """So thin and dry that dots are left."""
    dots = replace(page, worn=draws.uniform(1.6, 2.4), lines="columns", broken=0.8)
    return scanned(written(NUMERALS[draws.integer(10)], replace(hand, radius=hand.radius * 0.7), draws), dots, draws)


def _shaded(hand: Hand, page: Page, draws: Draws) -> np.ndarray:
    """Under a shadow."""
    return scanned(written(NUMERALS[draws.integer(10)], hand, draws), replace(page, shade=draws.uniform(0.2, 0.7)), draws)


def _struck_out(hand: Hand, page: Page, draws: Draws) -> np.ndarray:
    """Written over until nobody can read it."""
    thick = replace(hand, radius=hand.radius * 1.5)
    over = [(draws.uniform(-0.1, 0.9), draws.uniform(0, 1)) for _ in range(8)]
    return scanned([*written(NUMERALS[draws.integer(10)], thick, draws), _line(thick, over)], page, draws)


KINDS: Mapping[str, tuple[float, Draw]] = {
    "scribble": (0.16, _scribble),
    "face": (0.1, _face),
    "spiral": (0.06, _spiral),
    "other number": (0.2, _other),
    "between two": (0.13, _between),
    "worn out": (0.15, _worn_out),
    "shaded": (0.05, _shaded),
    "struck out": (0.15, _struck_out),
}
"""Share of each kind among junk, and what draws it."""


def junk(hand: Hand, page: Page, draws: Draws) -> np.ndarray:
    """An image of no class: uint8 (h, w)."""
    chances, drawn = zip(*KINDS.values(), strict=True)
    return drawn[draws.choice(chances)](hand, page, draws)


def _line(hand: Hand, points: list[Point]) -> Stroke:
    return Stroke(tuple(points), (hand.radius, hand.radius))
