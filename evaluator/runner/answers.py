"""The answers of one run: each obtained once, however many cells are judged on it, or taken from the store."""

from __future__ import annotations

import sys
from collections.abc import Callable

from evaluator.errors import ConfigurationError
from evaluator.history.store import Store
from evaluator.machine import versions
from evaluator.records import Answer, CellSpec
from evaluator.track import Track, computed_by


class Answers:
    """Answers, by the hash over what decides them.

    A stored one is taken only where it may be judged under the rules of the cell that asks: one that failed is obtained again in
    the next run, since its reason may have been mended. Within a run it is obtained once, failed or not.

    Args:
        fresh: stored ones are obtained again, each once.
        mixed_versions: stored ones that other versions of Python or of the libraries made are taken, too.
    """

    def __init__(self, track: Track, store: Store, *, fresh: bool = False, mixed_versions: bool = False) -> None:
        self._track, self._store, self._fresh, self._mixed = track, store, fresh, mixed_versions
        self._made: dict[str, Answer] = {}

    def find(self, spec: CellSpec) -> Answer | None:
        """The answer of a cell: of this run, or a stored one that may be judged; else None."""
        digest = spec.answer_digest()
        if digest in self._made:
            return self._made[digest]
        return self._stored(spec)

    def _stored(self, spec: CellSpec) -> Answer | None:
        if self._fresh or not spec.trains:
            return None
        content = self._store.read_answer(spec.answer_digest())
        if content is None or not (self._mixed or computed_by(content["versions"]) == computed_by(versions())):
            return None
        try:
            found = self._track.answer(content)
        except ConfigurationError as error:
            print(f"warning: {self._store.answer_path(spec.answer_digest())}: {error}; it does not count", file=sys.stderr)
            return None
        return found if found.scorable(spec) else None

    def made(self, spec: CellSpec) -> bool:
        """Whether this run itself obtained the answer of that cell."""
        return spec.answer_digest() in self._made

    def put(self, spec: CellSpec, made: Answer) -> Answer:
        """Take in the answer of a cell that was obtained in this run, and store it where it may be judged.

        Where another evaluator has stored one of the same hash meanwhile, that one counts and comes back: were it replaced, the
        cells that were judged on it would count no more.
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
        """The answer of a cell, obtained where there is none, and stored before anything is judged on it.

        That of a cell which trains nothing is not stored apart: its cell holds all of it.
        """
        return self.find(spec) or self.put(spec, obtain())
