"""The worker's side of the market: it asks, the evaluator answers.

What is counted here serves the participant's convenience alone. The budget, the ledger and the clock are the evaluator's.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from evaluator.worker.channel import WorkerChannel
from evaluator.worker.errors import MarketClosedError, OutOfBudgetError
from evaluator.worker.indices import as_index, as_indices

_REFUSALS = {
    "OutOfBudgetError": OutOfBudgetError,
    "IndexError": IndexError,
    "TypeError": TypeError,
    "MarketClosedError": MarketClosedError,
}


class MarketClient:
    """Buys labels over the channel. Threads may share it.

    Args:
        channel: the worker's channel; None makes a market that is closed for good.
        size: images in the pool.
        n_classes: length of a label vector.
        budget: labels that may be bought.
        seconds: seconds that the clock has left now.
    """

    def __init__(self, channel: WorkerChannel | None, size: int, n_classes: int, budget: int, seconds: float) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._size = size
        self._n_classes = n_classes
        self._deadline = time.monotonic() + seconds
        self.budget = budget
        self.remaining = budget
        self.purchased: dict[int, np.ndarray] = {}
        self.clock_was_read = False

    def purchase_label(self, index: Any) -> np.ndarray:
        """See ``PoolDataset.purchase_label``."""
        number = as_index(index, self._size)
        return self._buy(np.array([number], np.int64))[0]

    def purchase_labels(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """See ``PoolDataset.purchase_labels``."""
        numbers = as_indices(indices, self._size)
        if numbers.size == 0:
            return np.zeros((0, self._n_classes), np.int64)
        # Repeats cost nothing, so each image is asked for once: a request is never longer than the pool.
        unique, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
        order = np.argsort(first)
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        return self._buy(unique[order])[place[inverse]]

    def remaining_time(self) -> float:
        """Seconds left on the phase's clock, at least 0."""
        self.clock_was_read = True
        return max(0.0, self._deadline - time.monotonic())

    def close(self) -> None:
        """The purchase phase is over: later purchases raise ``MarketClosedError``.

        Waits for an answer that is under way, or a participant's thread would take the evaluator's next order for it.
        """
        with self._lock:
            self._channel = None

    def closed_copy(self) -> MarketClient:
        """A market for a copy of the data set in another process; it sells nothing."""
        copy = MarketClient(None, self._size, self._n_classes, self.budget, self._deadline - time.monotonic())
        copy.remaining = self.remaining
        copy.purchased = dict(self.purchased)
        return copy

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def _buy(self, numbers: np.ndarray) -> np.ndarray:
        if os.getpid() != self._pid:
            # Before the lock: a child may have been forked while another thread held it.
            raise MarketClosedError("labels are bought in the process that the phase was started in; this is a forked child of it")
        with self._lock:
            if self._channel is None:
                raise MarketClosedError("labels are sold during the purchase phase only, and the market is closed")
            answer, blob = self._channel.request({"t": "buy"}, numbers.tobytes())
        if answer["t"] != "sold":
            raise _REFUSALS.get(answer.get("error"), RuntimeError)(answer.get("message", "refused"))
        labels = np.frombuffer(blob, np.uint8).reshape(len(numbers), self._n_classes).astype(np.int64)
        self.remaining = min(self.remaining, answer["remaining"])  # answers of other threads may overtake this one
        self.purchased.update(zip(numbers.tolist(), labels, strict=True))
        return labels.copy()
