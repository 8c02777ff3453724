"""Colours of heat maps: ramps that a reader tells apart by lightness alone, and the ink that can be read on them."""

from __future__ import annotations

from collections.abc import Sequence

SCORE = ("#eef4f8", "#b3d0e2", "#6aa5ca", "#2d72a3", "#0c3c61")
"""Of scores, low to high. Every ramp grows darker from end to end, so that the colour-blind, and a grey print, keep its order."""
LABELS = ("#f1f5ec", "#c9dbb4", "#94b873", "#5d8a3a", "#2f5416")
TIME = ("#faf2e6", "#efd2a4", "#d9a35a", "#a86f22", "#663f0a")
DIFFERENCE = ("#8a3208", "#d98b5f", "#f4f4f2", "#6aa5ca", "#0c4a78")
"""Of differences, worse to better: orange, nothing, blue, which red-green blindness does not confuse. It is light in the middle."""


def shade(ramp: Sequence[str], place: float) -> str:
    """The colour at a place from 0 to 1 of a ramp, straight lines in sRGB between its members; places beyond are its ends."""
    at = min(max(place, 0.0), 1.0) * (len(ramp) - 1)
    first = min(int(at), len(ramp) - 2)
    low, high = _channels(ramp[first]), _channels(ramp[first + 1])
    return "#" + "".join(f"{round(a + (b - a) * (at - first)):02x}" for a, b in zip(low, high, strict=True))


def ink(colour: str) -> str:
    """Black or white, whichever stands out more from a colour by the contrast ratio of WCAG 2; it is 4.5 or more on any."""
    light = luminance(colour)
    return "#000000" if (light + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff"


def luminance(colour: str) -> float:
    """Relative luminance of an sRGB colour (IEC 61966-2-1), 0 to 1."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in _channels(colour))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def span_of(values: Sequence[float]) -> tuple[float, float]:
    """The ends of a scale that holds all values; where they are all one, or none is known, a span around it."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _channels(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
