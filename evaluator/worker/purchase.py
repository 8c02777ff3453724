"""The purchase track in the worker: the pool and its market, the three phases, and how their return values are read.

What is counted here is for the participant's convenience only. The budget, the ledger and the clock are the evaluator's.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import KeysView, Mapping, Sequence
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from .channel import WorkerChannel
from .datasets import ImageDataset
from .images import map_rows
from .indices import as_index, as_indices
from .phases import InvalidOutput, NotRun, prediction_array
from .service import Answer, Service, Track
from .standins import active

WITHOUT_LABELS = "this data set has no labels; labels of the pool are bought with purchase_label"


class OutOfBudgetError(Exception):
    """The purchase would need more labels than the budget has left. Nothing was bought and nothing was charged."""


class MarketClosedError(RuntimeError):
    """Labels are sold during the purchase phase only, and only to the process that the phase was started in."""


# The first name is the kit's own; the others are what submissions of 2022 and plain spelling use for the same thing.
ALIASES: dict[str, tuple[str, ...]] = {
    "training_dataset": ("training_dataset", "train_dataset"),
    "unlabelled_dataset": ("unlabelled_dataset", "unlabeled_dataset"),
    "test_dataset": ("test_dataset",),
    "budget": ("budget", "purchase_budget"),
    "time_available": ("time_available", "compute_budget"),
    "register_progress": ("register_progress",),
    "seed": ("seed",),
}

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
            raise _REFUSALS.get(str(answer.get("error")), RuntimeError)(answer.get("message", "refused"))
        labels = np.frombuffer(blob, np.uint8).reshape(len(numbers), self._n_classes).astype(np.int64)
        self.remaining = min(self.remaining, answer["remaining"])  # answers of other threads may overtake this one
        self.purchased.update(zip(numbers.tolist(), labels, strict=True))
        return labels.copy()


class PoolDataset(ImageDataset):
    """The unlabelled pool, and the market that sells its labels. Items carry ``idx``, the number that a label is bought by."""

    def __init__(
        self, path: str, rows: np.ndarray, classes: Sequence[str], market: MarketClient, *, embeddings: str | None = None
    ) -> None:
        super().__init__(path, rows, None, classes, embeddings=embeddings, without_labels=WITHOUT_LABELS)
        self._market = market

    def purchase_label(self, index: int) -> np.ndarray:
        """Buy the label of the image whose ``idx`` is ``index``; int64 (classes,) of 0 and 1.

        A repeated purchase is free and returns the same answer.

        Raises:
            OutOfBudgetError: no label is left to buy; nothing changes.
            TypeError, IndexError: not an integer, or not in the pool; nothing changes.
            MarketClosedError: called outside the purchase phase, or from a forked process.
        """
        return self._market.purchase_label(index)

    def purchase_labels(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Buy many labels in one round trip, whole or not at all; int64 (len(indices), classes) in the order asked for.

        Raises as ``purchase_label`` does; then nothing was bought.
        """
        return self._market.purchase_labels(indices)

    @property
    def budget(self) -> int:
        """Labels that could be bought at the start."""
        return self._market.budget

    @property
    def remaining_budget(self) -> int:
        """Labels that can still be bought."""
        return self._market.remaining

    def remaining_time(self) -> float:
        """Seconds until the purchase phase is ended by force; never below 0."""
        return self._market.remaining_time()

    @property
    def purchased(self) -> dict[int, np.ndarray]:
        """What was bought so far: label vectors by ``idx``, in order of purchase."""
        return self._market.purchased

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_market": self._market.closed_copy()}


def purchase_claim(value: Any, n_classes: int) -> tuple[np.ndarray, np.ndarray | None] | None:
    """What ``purchase_phase`` says it bought, where its return value says so in a form that is understood.

    Understood: a dict from index to label; indices in a list, set, range, array or tensor, or the keys of a dict; a sequence of
    items (dicts with ``idx`` and maybe ``label``).

    Returns:
        (int64 indices (m,), uint8 labels (m, classes) or None), or None where nothing was claimed or understood.
    """
    try:
        if isinstance(value, Mapping):
            indices = np.array([int(key) for key in value], np.int64)
            return indices, _claimed_labels(list(value.values()), len(indices), n_classes)
        if isinstance(value, (list, tuple, set, frozenset, range, KeysView, np.ndarray)) or hasattr(value, "detach"):
            members = value.tolist() if hasattr(value, "detach") else list(value)
            if members and all(isinstance(member, Mapping) and "idx" in member for member in members):
                indices = np.array([int(member["idx"]) for member in members], np.int64)
                return indices, _claimed_labels([member.get("label") for member in members], len(indices), n_classes)
            if all(isinstance(member, (int, np.integer)) and not isinstance(member, bool) for member in members):
                return np.array(members, np.int64), None
    except Exception:  # it is the participant's own object, whose methods may raise anything
        # The return value is optional and never used for the score, so a form that is not understood is no claim, not an error.
        return None
    return None


def _claimed_labels(values: list[Any], n: int, n_classes: int) -> np.ndarray | None:
    labels = np.asarray([np.asarray(v).reshape(-1) for v in values]) if n else np.zeros((0, n_classes))
    if labels.dtype == object or labels.shape != (n, n_classes) or not np.isin(labels, (0, 1)).all():
        return None
    return labels.astype(np.uint8)


class PurchaseTrack(Track):
    """Three phases: pre-training, purchase, prediction."""

    hooks = ("pre_training_phase", "purchase_phase", "prediction_phase")
    marker = "purchase_phase"
    interface = "run"
    base = "ZEWDPCBaseRun"
    aliases = ALIASES
    offers: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "pre_training_phase": ("training_dataset",),
        "purchase_phase": ("unlabelled_dataset", "training_dataset", "budget"),
        "prediction_phase": ("test_dataset",),
    }

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._training: ImageDataset | None = None
        if not active():
            install_old_names()

    def pre_training_phase(self, order: dict[str, Any], arrays: dict[str, np.ndarray]) -> Answer:
        """Call the hook with the training set."""
        self.service.call("pre_training_phase", order, training_dataset=self.training_set(order, arrays))
        return {"t": "done"}, b""

    def purchase_phase(self, order: dict[str, Any], arrays: dict[str, np.ndarray]) -> Answer:
        """Call the hook with the pool, whose market is open meanwhile; the answer says what the hook returned."""
        classes = order["classes"]
        pool, market = self.pool(order)
        training = self.training_set(order, arrays)
        try:
            returned = self.service.call(
                "purchase_phase", order, unlabelled_dataset=pool, training_dataset=training, budget=order["budget"]
            )
        finally:
            market.close()
        clock = self.service.clock_was_read or market.clock_was_read
        claim = purchase_claim(returned, len(classes))
        if claim is None or len(claim[0]) > len(pool):
            return {"t": "done", "claim": "none", "clock": clock}, b""
        indices, labels = claim
        payload = indices.tobytes() + (b"" if labels is None else labels.tobytes())
        kind = "indices" if labels is None else "labels"
        return {"t": "done", "claim": kind, "n": len(indices), "clock": clock}, payload

    def prediction_phase(self, order: dict[str, Any], arrays: dict[str, np.ndarray]) -> Answer:
        """Call the hook with the images to predict; the answer holds its predictions."""
        dataset = self.test_set(order, arrays)
        try:
            returned = self.service.call("prediction_phase", order, test_dataset=dataset)
        except NotRun as error:
            raise InvalidOutput(str(error)) from None
        values = prediction_array(returned, dataset)
        # A wrong shape is named by the evaluator; its values are not worth sending.
        right = values.shape == (len(dataset), len(dataset.classes))
        return {"t": "done", "shape": list(values.shape)[:8]}, values.tobytes() if right else b""

    def pool(self, order: dict[str, Any]) -> tuple[PoolDataset, MarketClient]:
        """The pool of an order to start the purchase phase, and its market, which is open until it is closed."""
        rows, classes = map_rows(order["pool_rows"]), order["classes"]
        market = MarketClient(self.service.channel, len(rows), len(classes), order["budget"], order["seconds"])
        return PoolDataset(order["pool"], rows, classes, market, embeddings=order.get("pool_embeddings")), market

    def test_set(self, order: dict[str, Any], arrays: dict[str, np.ndarray]) -> ImageDataset:
        """The images of an order to predict."""
        given = order.get("embeddings")
        return ImageDataset(
            order["images"], arrays["rows"], None, order["classes"], embeddings=given, without_labels=WITHOUT_LABELS
        )

    def training_set(self, order: dict[str, Any], arrays: dict[str, np.ndarray]) -> ImageDataset:
        """The training set of an order; made once."""
        if self._training is None:
            classes = order["classes"]
            labels = arrays["training_labels"].reshape(-1, len(classes)).astype(np.int64)
            self._training = ImageDataset(
                order["training"], arrays["training_rows"], labels, classes, embeddings=order.get("training_embeddings")
            )
        return self._training


TRACK = PurchaseTrack

OLD_NAMES: dict[str, dict[str, type]] = {
    "evaluator.dataset": {
        "ZEWDPCBaseDataset": ImageDataset,
        "ZEWDPCProtectedDataset": PoolDataset,
        "ZEWDPCRuntimeDataset": ImageDataset,
    },
    # OutOfBudetException: a misspelling of the kit of that year, which submissions had to repeat.
    "evaluator.exceptions": dict.fromkeys(("OutOfBudgetException", "OutOfBudetException", "OutOfBudgetError"), OutOfBudgetError),
}
"""Names that submissions of 2022 import, as far as the kit of that year is publicly known, and the classes of today."""


def install_old_names() -> None:
    """Make the names of 2022 importable in a process in which the kit's own package has the name ``evaluator``."""
    for name, classes in OLD_NAMES.items():
        sys.modules[name] = ModuleType(name, "Names of the 2022 kit.")
        vars(sys.modules[name]).update(classes)
