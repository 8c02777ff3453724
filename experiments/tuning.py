"""Seeds that are for tuning: whatever is chosen after a look at scores is chosen on these, and the page of results shows none.

A strategy, a recipe, a profile or a noise level that was changed because of a score has seen the data and seeds of that score: it
fits them a little, and would be reported too good on them. So there are numbers for trying things; all others are for reporting.

    python -m evaluator sweep --file experiments/studies/tuning.toml --submissions baselines/random baselines/mine.py

tries a strategy on three data sets of the numbers below. ``python -m experiments`` refuses grids and cells of these numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from evaluator.errors import ConfigurationError

DATA_SETS = range(9_001, 10_000)
"""Numbers of data sets (``sweep --first-data-set``) that are for tuning."""
SEEDS = range(9_000, 10_000)
"""Numbers of repetitions (``sweep --first-seed``) that are for tuning."""
ROOT_SEED = 20221
"""Root seed of studies that paint images of their own, e.g. that of recipes."""


def is_tuning(spec: Mapping[str, Any]) -> bool:
    """Whether a cell of this spec, as stored, was made for tuning."""
    return spec.get("data_set", 0) in DATA_SETS or spec["seed"] in SEEDS or spec["root_seed"] == ROOT_SEED


def refuse(specs: Iterable[Mapping[str, Any]], where: str) -> None:
    """Refuse cells that were made for tuning.

    Raises:
        ConfigurationError: there are any.
    """
    found = sum(map(is_tuning, specs))
    if found:
        raise ConfigurationError(
            f"{where}: {found} cells of seeds for tuning (data sets {DATA_SETS.start} to {DATA_SETS.stop - 1}, seeds {SEEDS.start} "
            f"to {SEEDS.stop - 1}, root seed {ROOT_SEED}); the page of results shows what nobody tuned on. Run the grid with others"
        )
