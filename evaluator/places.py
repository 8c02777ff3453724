"""Default folders, the same for every command, whatever folder it is called from."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The folder of the checkout."""
DATA = ROOT / "data"
"""Data sets, and the cache of decoded images."""
RESULTS = ROOT / "results"
"""Results of runs."""
