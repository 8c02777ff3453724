"""Roman numerals as strokes of a pen, before anything is drawn.

Lengths are in heights of a capital letter: y runs from 0 (its top) down to 1 (the line it stands on), x to the right. Only
operations of ``painted.exact`` are used, so strokes are the same to the bit on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass

from evaluator.data.painted.exact import Draws, direction

NUMERALS = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")
"""The numerals in the order of their values, which is that of the labels."""
SAMPLES = 7
"""Points that a curved stroke is drawn through."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Stroke:
    """A line that the pen draws without being lifted.

    Attributes:
        points: two or more.
        radius: half of the line's width at its beginning and at its end.
    """

    points: tuple[Point, ...]
    radius: tuple[float, float]


@dataclass(frozen=True)
class Hand:
    """How a person forms letters.

    Attributes:
        small: whether letters are small (i, v, x) rather than capital.
        middle: height at which small letters begin. ``dot``: whether a small i has its dot: 0 never, 1 always.
        spread: width of V and X. ``gap``: between letters.
        slant: shift to the right per height. ``turn``: of the whole numeral, in radians.
        bend: how far a stroke's middle leaves the straight line, as a share of its length. ``round``: of V's lower corner.
        wobble: deviation of every point from where it should be. ``uneven``: of sizes and places of letters.
        serif: half of a serif's length; 0 for none. ``joined``: whether one bar runs over the whole numeral above and below.
        boxed: chance that joined bars are closed to a box at an end.
        radius: half of a line's width. ``taper``: by how much of it a stroke ends thinner than it begins.
    """

    small: bool
    middle: float
    dot: float
    spread: float
    gap: float
    slant: float
    turn: float
    bend: float
    round: float
    wobble: float
    uneven: float
    serif: float
    joined: bool
    boxed: float
    radius: float
    taper: float


def written(numeral: str, hand: Hand, draws: Draws) -> list[Stroke]:
    """The strokes of a numeral (letters i, v and x in any order) in this hand; every call draws another."""
    pen = _Pen(hand, draws)
    x = 0.0
    for number, letter in enumerate(numeral):
        if number:
            x += hand.gap * (1 + hand.uneven * draws.normal())
        x += pen.letter(letter, x)
    if hand.serif and hand.joined:
        for y in (0.0, 1.0):
            pen.bar(-hand.serif, x + hand.serif, y)
        for end in (-hand.serif, x + hand.serif):
            if draws.random() < hand.boxed:
                pen.line((end, 0.0), (end, 1.0))
    return [_placed(stroke, hand) for stroke in pen.strokes]


class _Pen:
    def __init__(self, hand: Hand, draws: Draws) -> None:
        self.hand, self.draws = hand, draws
        self.strokes: list[Stroke] = []

    def letter(self, letter: str, x: float) -> float:
        """Draw one from ``x`` on; its width."""
        hand, draws = self.hand, self.draws
        top = (hand.middle if hand.small else 0.0) + 0.5 * hand.uneven * draws.normal()
        bottom = 1.0 + 0.5 * hand.uneven * draws.normal()
        bars = hand.serif > 0 and not hand.joined and not hand.small
        if letter == "i":
            self.line((x, top), (x, bottom))
            if hand.small and draws.random() < hand.dot:
                self.dot(x, top - 0.22 * (1 + hand.uneven * draws.normal()))
            if bars:
                self.bar(x - hand.serif, x + hand.serif, top)
                self.bar(x - hand.serif, x + hand.serif, bottom)
            return 0.0
        width = hand.spread * (1 - 0.25 * hand.small) * (1 + hand.uneven * draws.normal())
        if letter == "v":
            foot = x + width * (0.5 + 0.3 * hand.uneven * draws.normal())
            if hand.round:
                self.curve((x, top), (foot, bottom + hand.round * (bottom - top)), (x + width, top))
            else:
                self.line((x, top), (foot, bottom))
                self.line((foot, bottom), (x + width, top))
        else:
            self.line((x, top), (x + width, bottom))
            self.line((x + width, top), (x, bottom))
        if bars:
            for at in (x, x + width):
                self.bar(at - 0.7 * hand.serif, at + 0.7 * hand.serif, top)
                if letter == "x":
                    self.bar(at - 0.7 * hand.serif, at + 0.7 * hand.serif, bottom)
        return width

    def line(self, start: Point, end: Point) -> None:
        """A stroke that should be straight."""
        across = (start[1] - end[1], end[0] - start[0])
        bend = self.hand.bend * self.draws.normal()
        middle = tuple((a + b) / 2 + bend * c for a, b, c in zip(start, end, across, strict=True))
        self.curve(start, (middle[0], middle[1]), end)

    def bar(self, left: float, right: float, y: float) -> None:
        """A horizontal bar."""
        reach = self.hand.uneven * (right - left) * 0.3
        self.line((left - reach * self.draws.random(), y), (right + reach * self.draws.random(), y))

    def dot(self, x: float, y: float) -> None:
        """The dot of a small i, sometimes rather a dash."""
        dx, dy = (0.03 * self.draws.normal() for _ in range(2))
        thick = self.hand.radius * self.draws.uniform(1.0, 1.5)
        self.strokes.append(Stroke(((x + dx, y), (x - dx, y + dy)), (thick, thick)))

    def curve(self, start: Point, through: Point, end: Point) -> None:
        """A quadratic curve whose control point is ``through``, with a wobble that grows and fades along it."""
        draws, wobble = self.draws, self.hand.wobble
        (x0, y0), (x1, y1), (x2, y2) = (self._off(point, wobble) for point in (start, through, end))
        shake = 0.35 * wobble
        points = []
        for number in range(SAMPLES):
            t = number / (SAMPLES - 1)
            s = 1 - t
            x, y = s * s * x0 + 2 * s * t * x1 + t * t * x2, s * s * y0 + 2 * s * t * y1 + t * t * y2
            points.append((x + shake * draws.normal(), y + shake * draws.normal()))
        radius = self.hand.radius * draws.uniform(0.85, 1.15)
        self.strokes.append(Stroke(tuple(points), (radius, radius * (1 - self.hand.taper * draws.random()))))

    def _off(self, point: Point, wobble: float) -> Point:
        return point[0] + wobble * self.draws.normal(), point[1] + wobble * self.draws.normal()


def _placed(stroke: Stroke, hand: Hand) -> Stroke:
    """Slanted, then turned."""
    cosine, sine = direction(hand.turn)
    slanted = [(x + hand.slant * (1 - y), y) for x, y in stroke.points]
    return Stroke(tuple((cosine * x - sine * y, sine * x + cosine * y) for x, y in slanted), stroke.radius)
