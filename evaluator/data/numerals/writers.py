"""Writers: how each forms letters, with which pen, on which paper, and how much that varies from image to image."""

from __future__ import annotations

from dataclasses import dataclass, replace

from evaluator.data.numerals.page import MARKER, MOST, PENCIL, Lines, Page
from evaluator.data.numerals.strokes import Hand
from evaluator.data.painted.exact import Draws

SMALL = 0.22
"""Share of writers who write small letters."""
SERIFS = 0.6
"""Share of the others who give letters serifs, mostly joined to bars over the whole numeral; of those with small letters 0.25."""


@dataclass(frozen=True)
class Writer:
    """A person with pen and paper.

    Attributes:
        hand, page: on average. ``pen``: half of its line's width, as a share of an image's height.
        other_case: share of numerals in letters of the other size.
        careless: factor on how much every image differs from the average.
    """

    hand: Hand
    page: Page
    pen: float
    other_case: float
    careless: float

    @classmethod
    def drawn(cls, draws: Draws) -> Writer:
        """A writer by chance. Who writes small has no finer pen, so that some letters run together."""
        small = draws.random() < SMALL
        serif = draws.uniform(0.1, 0.32) if draws.random() < (0.25 if small else SERIFS) else 0.0
        pencil = draws.random() < 0.45
        hand = Hand(
            small=small,
            middle=draws.uniform(0.25, 0.45),
            dot=0.95 if draws.random() < 0.85 else 0.1,
            spread=draws.uniform(0.4, 0.8),
            gap=draws.uniform(0.2, 0.4),
            slant=draws.normal(0.04, 0.08),
            turn=draws.normal(0.0, 0.03),
            bend=draws.uniform(0.01, 0.06),
            round=draws.uniform(0.2, 0.7) if draws.random() < 0.25 else 0.0,
            wobble=draws.uniform(0.008, 0.035),
            uneven=draws.uniform(0.03, 0.15),
            serif=serif,
            joined=draws.random() < 0.7,
            boxed=0.5 if draws.random() < 0.25 else 0.0,
            radius=0.0,
            taper=draws.uniform(0.0, 0.6),
        )
        lines: Lines = "none"
        if draws.random() < 0.1:
            lines = "grid" if draws.random() < 0.4 else "columns"
        page = Page(
            rows=int(draws.uniform(88, 128)),
            columns=0,
            filled=draws.uniform(0.28, 0.7),
            centre=(draws.normal(0.49, 0.05), draws.normal(0.5, 0.06)),
            ink=PENCIL if pencil else MARKER,
            worn=draws.uniform(0.2, 0.8) if pencil and draws.random() < 0.4 else 0.0,
            lines=lines,
            broken=draws.uniform(0.1, 0.8),
            crowded=0.25 if draws.random() < 0.3 else 0.0,
            specks=draws.uniform(0, 2),
        )
        return cls(hand, page, draws.uniform(0.014, 0.034), 0.1, draws.uniform(0.5, 1.2))

    def varied(self, draws: Draws) -> tuple[Hand, Page]:
        """The hand and the page of one image."""
        hand, page, much = self.hand, self.page, self.careless
        filled = min(0.95, max(0.16, page.filled * (1 + 0.2 * much * draws.normal())))
        rows = min(MOST, max(72, int(page.rows * (1 + 0.08 * much * draws.normal()))))
        hand = replace(
            hand,
            small=hand.small != (draws.random() < self.other_case),
            spread=max(0.25, hand.spread * (1 + 0.15 * much * draws.normal())),
            gap=max(0.12, hand.gap * (1 + 0.2 * much * draws.normal())),
            slant=hand.slant + 0.06 * much * draws.normal(),
            turn=hand.turn + 0.05 * much * draws.normal(),
            radius=max(0.004, self.pen * (1 + 0.15 * much * draws.normal())) / filled,
        )
        centre = tuple(min(0.85, max(0.15, at + 0.05 * much * draws.normal())) for at in page.centre)
        page = replace(
            page,
            rows=rows,
            columns=min(MOST, max(56, int(rows * (1.07 + 0.16 * draws.normal())))),
            filled=filled,
            centre=(centre[0], centre[1]),
            worn=min(1.0, page.worn * draws.uniform(0.6, 1.2)),
        )
        return hand, page
