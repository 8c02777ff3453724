"""The distributions that sheets are drawn from, as frozen tables: one *shift* per named production line.

Only this module says in what production lines differ (colours, finishes, lamps, frequency and contrast of the damages, camera), so
that a private distribution needs another row of the table and no code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from statistics import NormalDist

import numpy as np

from evaluator.data.painted.exact import Draws
from evaluator.errors import ConfigurationError

CLASSES: tuple[str, ...] = ("scratch_small", "scratch_large", "dent_small", "dent_large", "stray_particle", "discoloration")
"""The damages, in the order of the label vector."""

LABEL_STEP = 2.0**-20
"""Step of the numbers that labels are drawn with. A test holds that no library can round them to another step."""

Span = tuple[float, float]
"""A closed interval for a uniform draw."""
RGB = tuple[float, float, float]
"""Linear-light reflectance of red, green and blue, 0..1."""

_PLAIN_CORRELATION = (
    (1.00, 0.35, 0.10, 0.05, 0.05, -0.10),
    (0.35, 1.00, 0.05, 0.25, -0.15, -0.05),
    (0.10, 0.05, 1.00, 0.35, 0.00, -0.10),
    (0.05, 0.25, 0.35, 1.00, -0.10, -0.15),
    (0.05, -0.15, 0.00, -0.10, 1.00, 0.30),
    (-0.10, -0.05, -0.10, -0.15, 0.30, 1.00),
)


@dataclass(frozen=True)
class Shift:
    """One distribution of painted sheets.

    Attributes:
        rates: how often each of ``CLASSES`` occurs (marginal probability).
        correlation: correlation matrix of the latent Gaussian behind the labels, in the order of ``CLASSES``.
        contrast_floor, contrast_shape: the contrast factor of one damage is ``floor + (1 - floor) * Beta(*shape)``; a damage is
            clearly visible at 1 and barely visible near the floor.
        stain_hue: mean and deviation in degrees of the hue of discoloration: 0 red, 90 blue, 180 green, -90 yellow.
        palette: paints, as linear RGB; each sheet has one of these paints, with a random variation.
        finishes: probabilities of a solid, a metallic (flakes) and a brushed finish.
        orange_peel: root-mean-square slope of the fine waves in the paint, along one axis.
        elevation: degrees of the lamp over the sheet.
        ambient: share of the light that has no direction.
        lamp_tint: standard deviation of the lamp's colour temperature (log ratio of red to blue).
        gloss: strength of the lamp's highlight.
        strip: probability of a strip light's reflection; ``seam`` of a panel edge; ``crease`` of a pressed body line.
        dust: mean number of specks on the lens, out of focus.
        vignette: share of the light that is lost in the corners; ``blur``: standard deviation of the lens blur, in sides.
        read_noise, shot_noise: standard deviations of the sensor's noise in the dark and at full white, as shares of full scale.
        white_balance: standard deviation of the camera's white balance (log ratio); ``exposure``: mean grey of the image, linear.

    Raises:
        ConfigurationError: rates outside 0..1, a matrix that is no correlation matrix, finishes that do not sum to 1.
    """

    name: str
    rates: tuple[float, ...]
    correlation: tuple[tuple[float, ...], ...]
    contrast_floor: float
    contrast_shape: tuple[float, float]
    stain_hue: tuple[float, float]
    palette: tuple[RGB, ...]
    finishes: tuple[float, float, float]
    orange_peel: Span
    elevation: Span
    ambient: Span
    lamp_tint: float
    gloss: Span
    strip: float
    seam: float
    crease: float
    dust: float
    vignette: Span
    blur: Span
    read_noise: Span
    shot_noise: Span
    white_balance: float
    exposure: Span

    def __post_init__(self) -> None:
        k = len(CLASSES)
        if len(self.rates) != k or not all(0 < rate < 1 for rate in self.rates):
            raise ConfigurationError(f"shift {self.name!r}: rates are {self.rates}; expected {k} numbers between 0 and 1")
        matrix = np.array(self.correlation)
        if matrix.shape != (k, k) or not np.allclose(matrix, matrix.T) or not np.allclose(np.diag(matrix), 1):
            raise ConfigurationError(
                f"shift {self.name!r}: the correlation is not a symmetric {k} x {k} matrix with 1 on the diagonal; correct it"
            )
        if np.linalg.eigvalsh(matrix).min() <= 0:
            raise ConfigurationError(
                f"shift {self.name!r}: the correlation matrix is not positive definite; make its entries smaller"
            )
        if abs(sum(self.finishes) - 1) > 1e-9:
            raise ConfigurationError(f"shift {self.name!r}: finishes sum to {sum(self.finishes)}; expected 1")

    @cached_property
    def factor(self) -> np.ndarray:
        """Cholesky factor of ``correlation``, float64 (k, k), in multiples of ``LABEL_STEP``: its products with draws are exact."""
        return np.rint(np.linalg.cholesky(np.array(self.correlation)) / LABEL_STEP) * LABEL_STEP

    @cached_property
    def thresholds(self) -> np.ndarray:
        """Thresholds of the latent values, float64 (k,), multiples of ``LABEL_STEP``: a class is there if its value is below."""
        return np.rint(np.array([NormalDist().inv_cdf(rate) for rate in self.rates]) / LABEL_STEP) * LABEL_STEP

    def labels(self, rng: Draws) -> np.ndarray:
        """Draw one label vector from the Gaussian copula: uint8 (k,), in the order of ``CLASSES``."""
        return (self.factor @ rng.normals(len(CLASSES)).astype(np.float64) < self.thresholds).astype(np.uint8)

    def contrast(self, rng: Draws) -> float:
        """Draw the contrast of one damage, ``contrast_floor``..1."""
        return self.contrast_floor + (1 - self.contrast_floor) * rng.beta(*self.contrast_shape)


_PUBLIC = Shift(
    name="public",
    rates=(0.40, 0.20, 0.36, 0.18, 0.26, 0.18),
    correlation=_PLAIN_CORRELATION,
    contrast_floor=0.10,
    contrast_shape=(1.2, 1.4),
    stain_hue=(-60, 30),
    palette=(
        (0.72, 0.72, 0.70),  # white
        (0.42, 0.43, 0.44),  # silver
        (0.17, 0.18, 0.19),  # graphite
        (0.05, 0.05, 0.06),  # black
        (0.06, 0.14, 0.38),  # blue
        (0.42, 0.05, 0.05),  # red
        (0.10, 0.26, 0.14),  # green
        (0.55, 0.46, 0.28),  # sand
    ),
    finishes=(0.45, 0.35, 0.20),
    orange_peel=(0.0075, 0.041),
    elevation=(32, 62),
    ambient=(0.25, 0.45),
    lamp_tint=0.05,
    gloss=(0.05, 0.30),
    strip=0.55,
    seam=0.15,
    crease=0.18,
    dust=2.5,
    vignette=(0.05, 0.30),
    blur=(0.003, 0.008),
    read_noise=(0.005, 0.012),
    shot_noise=(0.010, 0.024),
    white_balance=0.04,
    exposure=(0.20, 0.34),
)

_PRIVATE = Shift(
    name="private",
    rates=(0.30, 0.26, 0.26, 0.26, 0.20, 0.28),
    correlation=_PLAIN_CORRELATION,
    contrast_floor=0.10,
    contrast_shape=(1.1, 1.5),
    stain_hue=(-40, 60),
    palette=(
        (0.66, 0.62, 0.50),  # cream
        (0.30, 0.33, 0.36),  # steel
        (0.10, 0.11, 0.14),  # anthracite
        (0.02, 0.07, 0.17),  # navy
        (0.05, 0.28, 0.33),  # teal
        (0.50, 0.17, 0.03),  # orange
        (0.60, 0.45, 0.05),  # yellow
        (0.20, 0.05, 0.12),  # burgundy
    ),
    finishes=(0.30, 0.45, 0.25),
    orange_peel=(0.011, 0.052),
    elevation=(24, 50),
    ambient=(0.15, 0.35),
    lamp_tint=0.12,
    gloss=(0.10, 0.40),
    strip=0.70,
    seam=0.25,
    crease=0.25,
    dust=4.0,
    vignette=(0.15, 0.45),
    blur=(0.004, 0.011),
    read_noise=(0.008, 0.018),
    shot_noise=(0.016, 0.034),
    white_balance=0.12,
    exposure=(0.15, 0.30),
)

_RARE = replace(_PUBLIC, name="rare", rates=(0.10, 0.05, 0.09, 0.045, 0.065, 0.045))
_RARE_PRIVATE = replace(_PRIVATE, name="rare-private", rates=(0.075, 0.065, 0.065, 0.065, 0.05, 0.07))

SHIFTS: dict[str, Shift] = {shift.name: shift for shift in (_PUBLIC, _PRIVATE, _RARE, _RARE_PRIVATE)}
"""The named distributions. Participants see ``public``; ``private`` is another production line with another camera. ``rare`` and
``rare-private`` are the same two lines with fewer damages: two thirds of the sheets have none, so that most labels that are bought
at random have no positive entry."""


def size_pairs(classes: int = len(CLASSES)) -> list[tuple[int, int]]:
    """Pairs of columns, among the first ``classes`` columns, of the small and the large form of a damage.

    Annotators confuse the two forms.
    """
    names = CLASSES[:classes]
    stems = [name.removesuffix("_small") for name in names if name.endswith("_small")]
    return [(names.index(f"{stem}_small"), names.index(f"{stem}_large")) for stem in stems if f"{stem}_large" in names]
