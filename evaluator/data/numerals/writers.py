"""Writers: how each forms letters, with which pen, on which paper, and how much that varies from image to image."""

from __future__ import annotations

from dataclasses import dataclass, replace

from evaluator.data.numerals.page import Page
from evaluator.data.numerals.strokes import Hand
from evaluator.data.painted.exact import Draws


@dataclass(frozen=True)
class Writer:
    """A person with pen and paper.

    Attributes:
        hand, page: on average.
        other_case: share of numerals in letters of the other size.
        careless: factor on how much every image differs from the average.
    """

    hand: Hand
    page: Page
    other_case: float
    careless: float

    @classmethod
    def drawn(cls, draws: Draws) -> Writer:
        """A writer by chance."""
        small = draws.random() < 0.45
        serif = draws.uniform(0.12, 0.3) if draws.random() < 0.4 else 0.0
        hand = Hand(
            small=small,
            middle=draws.uniform(0.25, 0.45),
            dot=0.95 if draws.random() < 0.85 else 0.1,
            spread=draws.uniform(0.4, 0.95),
            gap=draws.uniform(0.18, 0.5),
            slant=draws.normal(0.06, 0.12),
            turn=draws.normal(0.0, 0.05),
            bend=draws.uniform(0.01, 0.06),
            round=draws.uniform(0.2, 0.6) if draws.random() < 0.2 else 0.0,
            wobble=draws.uniform(0.008, 0.04),
            uneven=draws.uniform(0.03, 0.16),
            serif=serif,
            joined=draws.random() < 0.5,
            radius=draws.uniform(0.022, 0.07),
            taper=draws.uniform(0.0, 0.6),
        )
        paper = draws.uniform(185, 255)
        page = Page(
            height=draws.uniform(28, 80),
            margin=(draws.uniform(0.05, 0.15), draws.uniform(0.2, 0.6)),
            paper=paper,
            ink=draws.uniform(0, 0.5) * paper,
            patchy=draws.uniform(0, 14) if draws.random() < 0.6 else 0.0,
            fade=draws.uniform(0.1, 0.5) if draws.random() < 0.35 else 0.0,
            soft=draws.uniform(0.8, 2.6),
            noise=draws.uniform(1, 9) if draws.random() < 0.6 else 0.0,
            ruled=draws.uniform(9, 26) if draws.random() < 0.12 else 0.0,
        )
        return cls(hand, page, 0.12, draws.uniform(0.6, 1.6))

    def varied(self, draws: Draws) -> tuple[Hand, Page]:
        """The hand and the page of one image."""
        hand, page, much = self.hand, self.page, self.careless
        small = hand.small != (draws.random() < self.other_case)
        scale = 1 + 0.25 * much * draws.uniform(-1, 1)
        hand = replace(
            hand,
            small=small,
            spread=max(0.25, hand.spread * (1 + 0.15 * much * draws.normal())),
            gap=max(0.12, hand.gap * (1 + 0.2 * much * draws.normal())),
            slant=hand.slant + 0.06 * much * draws.normal(),
            turn=hand.turn + 0.05 * much * draws.normal(),
            radius=max(0.014, hand.radius * (1 + 0.15 * much * draws.normal())),
        )
        paper = min(255.0, max(150.0, page.paper + 8 * much * draws.normal()))
        page = replace(page, height=page.height * scale, paper=paper, ink=min(0.75 * paper, page.ink * draws.uniform(0.7, 1.4)))
        return hand, page
