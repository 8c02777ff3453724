"""The painted-sheet generator: labelled images of painted metal with production damages, from a seed.

It replaces the data of the original challenge, which are not freely available and were rendered images, too. ``generator`` is the
module to call; ``shift`` has the tables of the distributions; ``sheet``, ``light``, ``damage`` and ``sensor`` make an image.
"""

from evaluator.data.painted.contact import class_sheet, contact_sheet
from evaluator.data.painted.generator import Generator
from evaluator.data.painted.shift import CLASSES, SHIFTS, Shift, size_pairs

__all__ = [
    "CLASSES",
    "SHIFTS",
    "Generator",
    "Shift",
    "class_sheet",
    "contact_sheet",
    "size_pairs",
]
