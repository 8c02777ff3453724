"""The painted-sheet generator: labelled images of painted metal with production damages, from a seed.

Stands in for the data of the original challenge, which cannot be had freely and was rendered itself. ``shift`` holds the tables,
``generator`` the front door, ``sheet``, ``light``, ``damage`` and ``sensor`` the picture in the order in which it comes about.
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
