"""What is to be run: the spec of a cell, which every track's specs extend, and the hashes that name files.

A spec goes to and from JSON by ``as_dict`` and ``from_dict``. A track adds its own fields in a subclass.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Annotated, Any, ClassVar, Protocol, Self

import msgspec

from evaluator.errors import ConfigurationError, Verdict
from evaluator.fields import SCHEMA, count, doc, read_field, types_of

DATA_SET = "data_set"
"""The field of a spec that every track's cells may differ in beside the track's own conditions."""
JUDGING_ONLY = frozenset({"submission", "version", "pipeline", "weights", "score_split", "device", "threads"})
"""Members of a spec that a submission neither gets nor is limited by: only the judging uses them, or the tables."""


class Recipe(Protocol):
    """A fixed recipe that judges answers. In most tracks it is a ``Pipeline`` of ``evaluator.training``."""

    @property
    def name(self) -> str:
        """Its name on the command line and in tables."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """All its fields, JSON-able. Two recipes of equal content are the same recipe."""
        ...


class Rules(Protocol):
    """The rules that a cell runs under: a round of a track at one size. A track's profiles implement it.

    ``CellSpec.from_dict`` reads one back with the class method ``from_dict`` of the type that a track's spec names.
    """

    @property
    def name(self) -> str:
        """Name of the profile."""
        ...

    @property
    def round_name(self) -> str:
        """Name of the round that the profile scales."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """Every field, JSON-able. Callers must not change the dict: it may be shared.

        The member ``round`` is an object with the ``name`` of the round. It may also hold ``primary_metric``, the name of the
        metric that ranks (``Tables.primary``).
        """
        ...


@dataclass(frozen=True, kw_only=True)
class CellSpec(ABC):
    """What is run: one submission, task, seed and pipeline. Two equal specs describe the same cell.

    The spec's hash (``digest``) names the stored result: everything that can change a figure is a field, and nothing else. The
    version of the track's judging code is a field, the kit's version is not. A track adds its own fields in a subclass, which
    defines ``task``; everything else has a default. If its profiles or recipes are classes of its own, it names their types.

    Attributes:
        track: name of the track; ``version``: of its judging code (both of the class).
        submission: name of the submission; ``submission_digest``: hash over its files.
        profile: the rules, at the size that is run.
        seed: index of the repetition, 0, 1, ...; ``root_seed``: the seed that every random draw follows from; ``secret``: the
            fingerprint of the secret that every draw follows from, too, empty for public seeds.
        pipeline: the recipe that judges the answer; ``weights``: identity of its starting weights.
        data: content hash per split; ``score_split``: the split that is scored; ``data_set``: number of the data set among those
            that are made of the profile, 0 for its own.
        tier: isolation tier of the worker; ``worker_threads``: threads that the worker is told to use.
        device, threads: where the pipeline is trained, and with how many CPU threads.
    """

    track: ClassVar[str]
    version: ClassVar[int] = 1
    predictions_since: ClassVar[int] = 0
    """The earliest version of the judging code whose predictions are those of today's version, if only what is computed from them
    changed since; 0 if none is. Then a cell of such a version is scored anew from its kept predictions, without a training."""
    conditions: ClassVar[tuple[str, ...]] = ()
    """Fields whose values are run side by side: cells that differ in one of them are shown in different tables."""

    submission: Annotated[str, doc("plain name of the submission")]
    submission_digest: Annotated[str, doc("hash over the names and bytes of its files")]
    profile: Annotated[Rules, doc("the profile, complete, with its round")]
    seed: Annotated[int, count("index of the repetition: 0, 1, ...")]
    root_seed: Annotated[int, doc("the seed that every draw follows from")]
    pipeline: Annotated[Recipe, doc("the pipeline, complete (`evaluator/training/pipeline.py`)")]
    weights: Annotated[str, doc("identity of the starting weights")]
    data: Annotated[dict[str, str], doc("per split its digest: classes, names, labels and image bytes")]
    score_split: Annotated[str, doc("the split that is scored")]
    tier: Annotated[str, doc("isolation tier")]
    device: Annotated[str, doc("device of the training")]
    threads: Annotated[int, doc("CPU threads of the training; the last bit depends on it")]
    worker_threads: Annotated[int, doc("threads that the worker was told to use")] = 1
    secret: Annotated[
        str,
        doc("fingerprint of the secret that every draw follows from, too (`evaluator/secret.py`); absent with public seeds"),
    ] = ""
    data_set: Annotated[
        int, count("number of the data set among those that are made of the profile; absent for the profile's own, which is 0")
    ] = 0

    @property
    @abstractmethod
    def task(self) -> str:
        """Name of the task, e.g. for command lines, tables and the spec's JSON."""

    @property
    def trains(self) -> bool:
        """Whether judging trains something.

        If so, the answer is stored in a file of its own, and judging may run in another process. If not, the answer is judged at
        once in the runner's process, and only the cell is stored.
        """
        return True

    @property
    def seconds_allowed(self) -> float:
        """Time limit of the submission in seconds, for a forecast; 0 without a limit."""
        return 0.0

    @property
    def condition(self) -> dict[str, Any]:
        """Values of the fields that ``conditions`` names, and the number of the data set."""
        return {name: getattr(self, name) for name in (*self.conditions, DATA_SET)}

    def takes(self, verdict: str, phases: int) -> bool:
        """Whether an answer may be judged under the rules of this cell.

        Args:
            verdict: of the answer. By default only ``OK`` may be judged.
            phases: how many phases of the submission were started.
        """
        return verdict == Verdict.OK

    def own(self) -> dict[str, Any]:
        """The fields that the track added, JSON-able. They become part of ``as_dict``."""
        common = {f.name for f in fields(CellSpec)}
        return {f.name: msgspec.to_builtins(getattr(self, f.name)) for f in fields(self) if f.name not in common}

    def answer_dict(self) -> dict[str, Any]:
        """The part of the spec that decides the answer, JSON-able.

        It holds everything that the worker gets or is limited by, and nothing that only the judging uses, so that cells of several
        pipelines share one answer. ``gpu`` is a part of it: the worker can use a GPU if the training does, and its answer may then
        differ.
        """
        seen = {name: value for name, value in self.as_dict().items() if name not in JUDGING_ONLY}
        return seen | {"gpu": self.device.startswith("cuda")}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], **read: Any) -> Self:
        """The inverse of ``as_dict``. Profile and pipeline are the stored ones, even if the kit's tables have changed.

        Args:
            read: fields that are not stored under their own name, already read.

        Raises:
            ConfigurationError: a field is missing or makes no sense.
        """
        try:
            types = types_of(cls)
            given = {
                f.name: read_field(stored[f.name], types[f.name]) for f in fields(cls) if f.name in stored and f.name not in read
            }
            return cls(**given, **read)
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise ConfigurationError(f"the stored spec of a cell was not understood: {error!r}") from error

    def as_dict(self) -> dict[str, Any]:
        """The complete spec, JSON-able. ``Track.spec`` reads it back."""
        common = {f.name: getattr(self, f.name) for f in fields(CellSpec)}
        common |= {"task": self.task, "pipeline": self.pipeline.as_dict(), "profile": self.profile.as_dict()}
        if not self.secret:  # as before there were secrets, so that cells with public seeds keep their names
            del common["secret"]
        if not self.data_set:  # as before there were several data sets
            del common[DATA_SET]
        return {"schema": SCHEMA, "track": self.track, "version": self.version, **common, **self.own()}

    def digest(self) -> str:
        """Hash over the spec, 32 hex digits: the name of the result's file."""
        return self._digests[0]

    def earlier(self) -> list[str]:
        """Hashes of this cell under earlier versions of the judging code that made the same predictions, the newest first."""
        plain, since = self.as_dict(), self.predictions_since
        return [digest_of(plain | {"version": version}) for version in range(self.version - 1, since - 1, -1)] if since else []

    def answer_digest(self) -> str:
        """Hash over ``answer_dict``: the name of the answer's file. Cells with equal hashes are judged on the same answer."""
        return self._digests[1]

    def model_digest(self) -> str:
        """Hash over what decides the trained model, apart from the answer.

        Cells with the same answer and an equal hash may share one training, e.g. if they differ only in the scored split. By
        default no two cells do.
        """
        return self.digest()

    @cached_property
    def _digests(self) -> tuple[str, str]:
        # Computed once, because a runner asks for them often.
        return digest_of(self.as_dict()), digest_of(self.answer_dict())


def canonical(content: Any) -> str:
    """A content as JSON with sorted keys and without spaces.

    Raises:
        ValueError: the content holds a number that JSON does not have (NaN, infinity).
    """
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def checksum(content: Mapping[str, Any]) -> str:
    """SHA-256 over a content as canonical JSON.

    Raises:
        ValueError: as ``canonical``.
    """
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def digest_of(content: Mapping[str, Any]) -> str:
    """The first 32 hex digits of SHA-256 over ``content`` as JSON with sorted keys and without spaces."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:32]
