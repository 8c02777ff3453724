"""Colours of heat maps: ramps whose colours differ in lightness, and the colour of a text on them."""

from __future__ import annotations

from collections.abc import Sequence

SCORE = ("#eef4f8", "#b3d0e2", "#6aa5ca", "#2d72a3", "#0c3c61")
"""Ramp for scores, low to high. Every ramp grows darker from end to end, so that its order stays visible to colour-blind readers
and in a grey print."""
LABELS = ("#f1f5ec", "#c9dbb4", "#94b873", "#5d8a3a", "#2f5416")
TIME = ("#faf2e6", "#efd2a4", "#d9a35a", "#a86f22", "#663f0a")
DIFFERENCE = ("#8a3208", "#d98b5f", "#f4f4f2", "#6aa5ca", "#0c4a78")
"""Ramp for differences, worse to better: orange, nearly white for 0, blue. People who confuse red and green see them apart."""


def shade(ramp: Sequence[str], place: float) -> str:
    """The colour of a ramp at ``place``, 0 to 1 (other values are clipped); linear in sRGB between the ramp's colours."""
    at = min(max(place, 0.0), 1.0) * (len(ramp) - 1)
    first = min(int(at), len(ramp) - 2)
    low, high = _channels(ramp[first]), _channels(ramp[first + 1])
    return "#" + "".join(f"{round(a + (b - a) * (at - first)):02x}" for a, b in zip(low, high, strict=True))


def ink(colour: str) -> str:
    """Black or white: the text colour with the higher contrast ratio (WCAG 2) on ``colour``. The ratio is always 4.5 or more."""
    light = luminance(colour)
    return "#000000" if (light + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff"


def luminance(colour: str) -> float:
    """Relative luminance of an sRGB colour (IEC 61966-2-1), 0 to 1."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in _channels(colour))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def span_of(values: Sequence[float]) -> tuple[float, float]:
    """The ends of a scale for all values. If all are equal the scale reaches 0.5 to both sides; without values it is 0 to 1."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _channels(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
