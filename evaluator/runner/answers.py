"""The purchases of one run: each made once, however many pipelines are trained on it, or taken from the store."""

from __future__ import annotations

from collections.abc import Callable

from evaluator.history.store import Store
from evaluator.purchase.purchased import Purchased
from evaluator.purchase.spec import CellSpec


class Shelf:
    """Purchases, by the hash over what decides them.

    A stored one is taken only where its session may be scored under the rules of the cell that asks: one that failed is made again
    in the next run, since its reason may have been mended. Within a run it is made once, failed or not.

    Args:
        fresh: stored ones are made again, each once.
    """

    def __init__(self, store: Store, *, fresh: bool = False) -> None:
        self._store, self._fresh = store, fresh
        self._made: dict[str, Purchased] = {}

    def find(self, spec: CellSpec) -> Purchased | None:
        """The purchase of a cell: of this run, or a stored one that may be scored; else None."""
        digest = spec.purchase_digest()
        if digest in self._made:
            return self._made[digest]
        return self._stored(spec)

    def _stored(self, spec: CellSpec) -> Purchased | None:
        if self._fresh or not spec.trains:
            return None
        content = self._store.read_purchase(spec.purchase_digest())
        found = None if content is None else Purchased.from_dict(content)
        return found if found is not None and found.scorable(spec.on_timeout) else None

    def made(self, spec: CellSpec) -> bool:
        """Whether this run itself made the purchase of that cell."""
        return spec.purchase_digest() in self._made

    def put(self, spec: CellSpec, made: Purchased) -> Purchased:
        """Take in the purchase of a cell that was made in this run, and store it where it may be trained on.

        Where another evaluator has stored one of the same hash meanwhile, that one counts and comes back: were it replaced, the
        cells that were trained on it would count no more.
        """
        if spec.trains and made.scorable(spec.on_timeout):
            with self._store.purchases_held():
                other = self._stored(spec)
                if other is None:
                    self._store.write_purchase(made.as_dict())
            made = other or made
        self._made[spec.purchase_digest()] = made
        return made

    def provide(self, spec: CellSpec, make: Callable[[], Purchased]) -> Purchased:
        """The purchase of a cell, made where there is none, and stored before anything is trained on it.

        That of a round without a pipeline is not stored apart: its predictions are its score, and its cell holds the rest.
        """
        return self.find(spec) or self.put(spec, make())
