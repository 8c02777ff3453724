"""The market: sells labels of the pool and owns the budget.

A repeated purchase is free and returns the same answer. A batch is bought whole or not at all. A refused request changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from evaluator.errors import ConfigurationError
from evaluator.purchase.ledger import Ledger, Purchase
from evaluator.worker.indices import as_index, as_indices
from evaluator.worker.purchase import MarketClosedError, OutOfBudgetError


class Market:
    """Sells labels once each, for as long as the budget lasts and the market is open.

    Args:
        labels: uint8 (n, classes), the labels to sell, in canonical order of the pool.
        order: int64 (n,); ``order[i]`` is the canonical number of the image with index i in this cell.
        budget: number of labels that may be bought.
        seconds: gives the time on the shared clock, for the ledger.

    Raises:
        ConfigurationError: ``order`` is not a permutation of the labels' rows, or ``budget`` is below 0.
    """

    def __init__(self, labels: np.ndarray, order: np.ndarray, budget: int, seconds: Callable[[], float] = lambda: 0.0) -> None:
        if labels.ndim != 2 or order.shape != (len(labels),) or not _is_permutation(order):
            raise ConfigurationError(
                f"a market of labels {labels.shape} needs an order that is a permutation of its {len(labels)} rows"
            )
        if budget < 0:
            raise ConfigurationError(f"the budget is {budget}; it must be 0 or more")
        self._labels = labels
        self._order = order
        self.seconds = seconds
        self._bought = np.zeros(len(labels), bool)
        self._lock = threading.Lock()
        self._open = True
        self.budget = budget
        self.ledger = Ledger()

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def remaining_budget(self) -> int:
        """Number of labels that can still be bought."""
        return self.budget - len(self.ledger)

    def purchase_label(self, index: Any) -> np.ndarray:
        """One label, uint8 (classes,). Raises as ``purchase_labels`` does."""
        return self.purchase_labels([as_index(index, len(self))])[0]

    def purchase_labels(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Buy the labels of ``indices``: all of them or none. If it raises, nothing was bought.

        A label that was bought before is free, also within one batch.

        Returns:
            The labels, uint8 (m, classes), in the order of ``indices``.

        Raises:
            TypeError, IndexError: an index is not an integer, or is not in the pool.
            OutOfBudgetError: the batch has more new labels than the remaining budget.
            MarketClosedError: the purchase phase is over.
        """
        numbers = as_indices(indices, len(self))
        with self._lock:
            if not self._open:
                raise MarketClosedError("labels are sold during the purchase phase only, and the market is closed")
            _, first = np.unique(numbers, return_index=True)
            fresh = [int(number) for number in numbers[np.sort(first)] if not self._bought[number]]
            if len(fresh) > self.remaining_budget:
                raise OutOfBudgetError(
                    f"{len(fresh)} new labels asked for, {self.remaining_budget} of {self.budget} left; nothing was bought"
                )
            now = self.seconds()
            images = self._order[numbers]
            for number in fresh:
                image = int(self._order[number])
                label = tuple(self._labels[image].tolist())
                self.ledger.purchases.append(Purchase(len(self.ledger), number, image, now, label))
            self._bought[fresh] = True
            return self._labels[images]

    def close(self) -> None:
        """Close the market: no label is sold any more, and the ledger does not change."""
        with self._lock:
            self._open = False


def _is_permutation(order: np.ndarray) -> bool:
    """Whether ``order`` (n,) has every number from 0 to n - 1 once. It does not sort: sorting would slow down every cell."""
    if order.dtype.kind not in "iu" or (order.size and not 0 <= order.min() <= order.max() < order.size):
        return False
    named = np.zeros(order.size, bool)
    named[order] = True
    return bool(named.all())
