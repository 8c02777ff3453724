"""The answers of one run. Each is obtained once, or read from the store, however many cells are judged on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evaluator.errors import ConfigurationError
from evaluator.fields import SCHEMA
from evaluator.history.store import Store
from evaluator.machine import computed_by, versions
from evaluator.records import Answer
from evaluator.specs import CellSpec, digest_of
from evaluator.track import Track


class Answers:
    """Answers, by the hash over what decides them.

    A stored answer is used only if it may be judged under the rules of the cell. A failed answer is obtained again in the next run,
    because the fault may have been mended. Within one run each answer is obtained once, even if it failed.

    Args:
        fresh: obtain stored answers again, each once.
        mixed_versions: also use stored answers that other versions of Python or of the libraries made.
    """

    def __init__(self, track: Track, store: Store, *, fresh: bool = False, mixed_versions: bool = False) -> None:
        self._track, self._store, self._fresh, self._mixed = track, store, fresh, mixed_versions
        self._made: dict[str, Answer] = {}

    def find(self, spec: CellSpec) -> Answer | None:
        """The answer of a cell: the answer of this run, or a stored answer that may be judged; else None."""
        digest = spec.answer_digest()
        if digest in self._made:
            return self._made[digest]
        return self._stored(spec)

    def _stored(self, spec: CellSpec) -> Answer | None:
        if self._fresh or not spec.trains:
            return None
        digest = spec.answer_digest()
        content = self._store.read_answer(digest)
        if content is None:
            return None
        try:
            if not (self._mixed or computed_by(content["versions"]) == computed_by(versions())):
                return None
            found = self._track.answer(content)
            why = self._foreign(content, digest) or found.fault(spec)
        except (ConfigurationError, KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            why = str(error) if isinstance(error, ConfigurationError) else f"was not understood: {error!r}"[:300]
        if why:
            self._store.set_damaged(self._store.answer_path(digest), why)
            return None
        return found if found.scorable(spec) else None

    @staticmethod
    def _foreign(content: dict[str, Any], digest: str) -> str:
        """Whether a stored answer says itself that it belongs to another cell, or to a later kit; in words."""
        if not isinstance(content["schema"], int) or content["schema"] > SCHEMA:
            return f"has the schema {str(content['schema'])[:20]}; this kit reads up to {SCHEMA}"
        if digest_of(content["spec"]) != digest:
            return "holds the spec of another answer than its name says"
        return ""

    def made(self, spec: CellSpec) -> bool:
        """Whether the answer of the cell was obtained in this run."""
        return spec.answer_digest() in self._made

    def put(self, spec: CellSpec, made: Answer) -> Answer:
        """Keep the answer of a cell that was obtained in this run, and store it if it may be judged.

        If another evaluator has stored an answer of the same hash in the meantime, that answer is returned and used instead: if it
        were replaced, the cells that were judged on it would no longer be valid.
        """
        if spec.trains and made.scorable(spec):
            with self._store.answers_held():
                other = self._stored(spec)
                if other is None:
                    self._store.write_answer(made)
            made = other or made
        self._made[spec.answer_digest()] = made
        return made

    def provide(self, spec: CellSpec, obtain: Callable[[], Answer]) -> Answer:
        """The answer of a cell. If none is known, ``obtain`` is called, and the answer is stored before anything is judged on it.

        The answer of a cell that trains nothing is not stored in a file of its own: its cell has all of it.
        """
        return self.find(spec) or self.put(spec, obtain())
