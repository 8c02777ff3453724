"""One root, split by name.

Every random draw of the kit comes from ``derive(root, *names)``: the same root and names give the same stream on every machine, and
streams of different names are independent. A stream says nothing of its root or of other streams. The root of a run's draws is made
of a secret and the root seed (``evaluator.secret``); with public seeds it is the root seed. Nothing reads the global generators of
``random``, NumPy or torch.
"""

from __future__ import annotations

import hashlib

import numpy as np


def derive(root: int, *names: str | int) -> int:
    """Return a 128-bit seed for the purpose ``names`` under ``root``.

    The names are length-prefixed before hashing, so that ``("ab", "c")`` and ``("a", "bc")`` differ.

    Raises:
        ValueError: ``root`` is negative, or no name was given (a nameless split is a seed used twice).
    """
    if root < 0:
        raise ValueError(f"the root seed is {root}; it must be 0 or more")
    if not names:
        raise ValueError("no name was given; a seed is split by at least 1 name")
    digest = hashlib.sha256(str(root).encode())
    for name in names:
        text = f"{type(name).__name__}:{name}".encode()
        digest.update(len(text).to_bytes(4, "big") + text)
    return int.from_bytes(digest.digest()[:16], "big")


def generator(root: int, *names: str | int) -> np.random.Generator:
    """A NumPy generator on the stream ``derive(root, *names)``."""
    return np.random.default_rng(derive(root, *names))


def short(root: int, *names: str | int) -> int:
    """The same stream's seed cut to 63 bits, for libraries that take a signed 64-bit integer (torch)."""
    return derive(root, *names) >> 65
