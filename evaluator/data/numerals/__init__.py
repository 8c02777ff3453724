"""Handwritten Roman numerals from a seed: strokes of a pen in the hands of many writers, scanned.

They stand in for the images of the Data-Centric AI Competition 2021, which nobody may hand on. ``collection`` is the module to
call; ``strokes`` writes, ``writers`` has the tables of styles, ``page`` draws, ``junk`` is what no label fits.
"""

from evaluator.data.numerals.collection import Collection, Drawn
from evaluator.data.numerals.strokes import NUMERALS

__all__ = ["NUMERALS", "Collection", "Drawn"]
