"""Arithmetic and random draws that give the same bits on every machine.

IEEE 754 defines the results of ``+ - * /`` and of the square root to the last bit, and neither Python nor NumPy fuses two of
them. So these have one result, whatever the processor. ``exp``, ``log``, ``sin`` and powers have several: that of the C library,
and those of NumPy's loops for each kind of SIMD instructions. So have sums in an order that a library chooses (matrix products),
and draws that need such functions (normal, beta, Poisson). With them, one value in some thousands of images differs by one step
on another machine, the data set has another digest, and results of the two machines cannot stand in one table.

The generator therefore uses only what is here, the operations above, comparisons, and matrix products whose sums are exact (see
``canvas``).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np

_LEVELS = 2**16
NORMAL_STEP = 2.0**-12
"""Normal draws are multiples of this number."""
_LN2, _QUARTER = 0.6931471805599453, 1.5707963267948966  # ln 2, pi / 2
_HALVINGS, _FAR = 6, 20.0


def exp(x: float) -> float:
    """e to the power of ``x``, -20..20, within 1e-12 of its value."""
    small = x / 1024
    term = total = 1.0
    for n in range(1, 9):
        term *= small / n
        total += term
    for _ in range(10):
        total *= total
    return total


def exps(values: Iterable[float]) -> np.ndarray:
    """``exp`` of every value, float64 (n,)."""
    return np.array([exp(float(value)) for value in values])


def log(x: float) -> float:
    """Natural logarithm of ``x`` > 0, within 1e-14."""
    fraction, exponent = math.frexp(x)  # 0.5 <= fraction < 1, and no rounding
    if fraction < 0.7:
        fraction, exponent = 2 * fraction, exponent - 1
    ratio = (fraction - 1) / (fraction + 1)
    square, term, total = ratio * ratio, ratio, 0.0
    for n in range(1, 26, 2):
        total += term / n
        term *= square
    return 2 * total + exponent * _LN2


def power(x: float, exponent: float) -> float:
    """``x`` > 0 to the power of ``exponent``."""
    return exp(exponent * log(x))


def direction(angle: float) -> tuple[float, float]:
    """Cosine and sine of ``angle`` in radians, within 1e-14 for a few turns."""
    quarters = round(angle / _QUARTER)
    rest = angle - quarters * _QUARTER
    square = rest * rest
    cosine = sine = 0.0
    for n in range(16, -1, -2):  # the Taylor series, from the last term inwards
        cosine = 1 - cosine * square / ((n + 1) * (n + 2))
        sine = 1 - sine * square / ((n + 2) * (n + 3))
    sine *= rest
    return ((cosine, sine), (-sine, cosine), (-cosine, -sine), (sine, -cosine))[quarters % 4]


def decay(x: np.ndarray) -> np.ndarray:
    """e to the power of ``-x`` for ``x`` >= 0, float32 of any shape; from 20 on, that of 20. Relative error below 0.003.

    The power of 1/64 is a short polynomial; squaring it six times gives the rest.
    """
    y = np.minimum(x, np.float32(_FAR))
    y *= np.float32(2.0**-_HALVINGS)
    total = y * np.float32(1 / 24)
    for coefficient in (-1 / 6, 1 / 2, -1.0):
        total += np.float32(coefficient)
        total *= y
    total += np.float32(1)
    for _ in range(_HALVINGS):
        total *= total
    return total


def bell(x: np.ndarray) -> np.ndarray:
    """e to the power of ``-x * x``, float32."""
    return decay(x * x)


def wave(turns: np.ndarray) -> np.ndarray:
    """A wave of period 1, between -1 and 1, 0 at 0 and rising there: two parabolas, within 0.06 of the sine. float32."""
    part = turns - np.rint(turns)
    return part * (np.float32(8) - np.float32(16) * np.abs(part))


def multiple(dx: np.ndarray, dy: np.ndarray, times: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (dx, dy) turned to ``times`` (1 or more) their angle."""
    x, y = dx, dy
    for _ in range(times - 1):
        x, y = x * dx - y * dy, x * dy + y * dx
    return x, y


@lru_cache(maxsize=1)
def normal_table() -> np.ndarray:
    """The quantiles of the normal distribution at (i + 1/2) / 65536, rounded to ``NORMAL_STEP``: float32 (65536,), read-only.

    No quantile lies so near to the middle between two steps that a library's last bits could round it the other way; a test holds
    that. The rounded table is thus the same everywhere.
    """
    upper = np.array([NormalDist().inv_cdf((i + 0.5) / _LEVELS) for i in range(_LEVELS // 2, _LEVELS)])
    rounded = np.rint(upper / NORMAL_STEP) * NORMAL_STEP
    table = np.concatenate([-rounded[::-1], rounded]).astype(np.float32)
    table.flags.writeable = False
    return table


class Draws:
    """Random draws from integers of one stream.

    Args:
        seed: of the stream, 0 or more.
    """

    def __init__(self, seed: int) -> None:
        self._bits = np.random.Generator(np.random.SFC64(seed))

    def random(self) -> float:
        """Uniform on [0, 1), a multiple of 2**-53."""
        return float(self._bits.random())

    def uniform(self, low: float, high: float) -> float:
        """Uniform between two numbers."""
        return low + (high - low) * self.random()

    def integer(self, below: int) -> int:
        """Uniform among 0 .. ``below`` - 1."""
        return int(self._bits.integers(operator.index(below)))

    def choice(self, probabilities: Sequence[float]) -> int:
        """A number from 0 on, by the probability of each; they sum to 1."""
        left, last = self.random(), len(probabilities) - 1
        for number, probability in enumerate(probabilities[:last]):
            if left < probability:
                return number
            left -= probability
        return last

    def normal(self, mean: float = 0.0, deviation: float = 1.0) -> float:
        """Normal, in steps of ``NORMAL_STEP`` deviations and within 4.4 deviations of the mean."""
        return mean + deviation * float(normal_table()[self.integer(_LEVELS)])

    def normals(self, *shape: int) -> np.ndarray:
        """Standard normal, float32 of this shape, as of ``normal``."""
        return normal_table()[self._bits.integers(0, _LEVELS, shape, dtype=np.uint16)]

    def poisson(self, mean: float) -> int:
        """Poisson; for small means."""
        least, product, count = exp(-mean), self.random(), 0
        while product > least:
            product *= self.random()
            count += 1
        return count

    def beta(self, a: float, b: float) -> float:
        """Beta; ``a`` and ``b`` more than 1. A uniform draw is accepted as often as the density says."""
        mode = (a - 1) / (a + b - 2)

        def density(x: float) -> float:
            return (a - 1) * log(x / mode) + (b - 1) * log((1 - x) / (1 - mode))

        while True:
            x, share = self.random(), self.random()
            if 0 < x < 1 and share < exp(max(-20.0, density(x))):
                return x
