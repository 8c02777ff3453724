"""Module names that submissions of 2022 import, as far as the kit of that year is publicly known.

``from evaluator.dataset import ...`` and ``from evaluator.exceptions import ...`` find the classes of today under both spellings.
"""

from __future__ import annotations

import sys
from types import ModuleType

from evaluator.worker import datasets, errors


def install() -> None:
    """Make the old module names importable in this process."""
    dataset = ModuleType("evaluator.dataset", "Names of the 2022 kit.")
    dataset.ZEWDPCBaseDataset = datasets.ImageDataset
    dataset.ZEWDPCProtectedDataset = datasets.PoolDataset
    dataset.ZEWDPCRuntimeDataset = datasets.ImageDataset
    exceptions = ModuleType("evaluator.exceptions", "Names of the 2022 kit.")
    # Both the word and the slip of the pen that submissions of that year caught.
    exceptions.OutOfBudgetException = exceptions.OutOfBudetException = exceptions.OutOfBudgetError = errors.OutOfBudgetError
    sys.modules["evaluator.dataset"] = dataset
    sys.modules["evaluator.exceptions"] = exceptions
