"""The records that every track has: what a cell is, what the untrusted half leaves, what comes of it.

Types go to and from JSON by ``as_dict`` and ``from_dict``. ``docs/results-format.md`` and ``docs/schemas/`` are generated from
them. A track adds its own fields in subclasses.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Annotated, Any, ClassVar, Protocol, Self, get_type_hints

import msgspec

from evaluator.errors import Verdict

SCHEMA = 2
"""Version of the files of cells and answers; raised when a key changes its meaning. Version 1 was that of kit 0.1 and 0.2."""


def doc(text: str) -> msgspec.Meta:
    """What a field is, for the JSON Schema and the page that is generated from it."""
    return msgspec.Meta(description=text)


class Recipe(Protocol):
    """A fixed recipe that judges answers: a pipeline of ``training``, or what a track has in its place."""

    @property
    def name(self) -> str: ...

    def as_dict(self) -> dict[str, Any]:
        """Its identity, JSON-able."""
        ...


class Rules(Protocol):
    """A round at one size: what a track's profiles offer to the rooms that know no track."""

    @property
    def name(self) -> str: ...

    @property
    def round_name(self) -> str: ...

    @property
    def primary_metric(self) -> str: ...

    @property
    def plain(self) -> dict[str, Any]:
        """Every field, JSON-able. Not to be changed."""
        ...


@dataclass(frozen=True, kw_only=True)
class CellSpec(ABC):
    """What is run: one submission, task, seed and pipeline. Two equal specs describe the same cell.

    The hash of a spec names its result. The kit's version is no part of it; the version of the track's judging code is. Tracks add
    their own fields in a subclass.

    Attributes:
        submission: name of the submission; ``submission_digest``: hash over its files.
        profile: the rules at the size that is run.
        seed: index of the repetition, 0, 1, ...; ``root_seed``: the seed that everything is split from.
        pipeline: what judges the answer; ``weights``: identity of its starting weights.
        data: content hash per split; ``score_split``: the split that is scored.
        tier: isolation tier; ``worker_threads``: threads that the worker is told to use.
        device, threads: of the training.
    """

    track: ClassVar[str]
    version: ClassVar[int]

    submission: Annotated[str, doc("plain name of the submission")]
    submission_digest: Annotated[str, doc("hash over the names and bytes of its files")]
    profile: Annotated[Rules, doc("the profile, complete, with its round")]
    seed: Annotated[int, doc("index of the repetition: 0, 1, ...")]
    root_seed: Annotated[int, doc("the seed that every draw is split from")]
    pipeline: Annotated[Recipe, doc("the pipeline, complete (`evaluator/training/pipeline.py`)")]
    weights: Annotated[str, doc("identity of the starting weights")]
    data: Annotated[dict[str, str], doc("per split its digest: classes, names, labels and image bytes")]
    score_split: Annotated[str, doc("the split that is scored")]
    tier: Annotated[str, doc("isolation tier")]
    device: Annotated[str, doc("device of the training")]
    threads: Annotated[int, doc("CPU threads of the training; the last bit depends on it")]
    worker_threads: Annotated[int, doc("threads that the worker was told to use")] = 1

    @property
    @abstractmethod
    def task(self) -> str:
        """Name of what the cell is asked to do."""

    @property
    def trains(self) -> bool:
        """Whether judging is work that is worth a process of its own, on an answer that is stored apart."""
        return True

    @property
    def seconds_allowed(self) -> float:
        """Limit of the submission's clock, in seconds; 0 where it has none."""
        return 0.0

    @property
    def condition(self) -> dict[str, Any]:
        """The track's own choices that make a table of their own, by name."""
        return {}

    def takes(self, verdict: str, phases: int) -> bool:
        """Whether an answer with that verdict, after so many phases that were started, may be judged under this cell's rules."""
        return verdict == Verdict.OK

    @abstractmethod
    def own(self) -> dict[str, Any]:
        """The track's own fields, JSON-able."""

    @abstractmethod
    def answer_dict(self) -> dict[str, Any]:
        """What decides the answer, JSON-able: everything that the worker is given or held to, nothing of the judging."""

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, complete. A track's ``spec`` reads it back."""
        common = {f.name: getattr(self, f.name) for f in fields(CellSpec)}
        common |= {"task": self.task, "pipeline": self.pipeline.as_dict(), "profile": self.profile.plain}
        return {"schema": SCHEMA, "track": self.track, "version": self.version, **common, **self.own()}

    def digest(self) -> str:
        """Hash over the spec; names the result's file."""
        return self._digests[0]

    def answer_digest(self) -> str:
        """Hash over what decides the answer; names its file. Cells of equal ones are judged on one and the same answer."""
        return self._digests[1]

    def model_digest(self) -> str:
        """Hash over what decides the trained model beside the answer: cells that agree in it may share one training."""
        return self.digest()

    @cached_property
    def _digests(self) -> tuple[str, str]:
        # A runner asks for them many times over.
        return digest_of(self.as_dict()), digest_of(self.answer_dict())


def digest_of(content: Mapping[str, Any]) -> str:
    """The first 32 hex digits of SHA-256 over a content as canonical JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:32]


class Answer(ABC):
    """What the untrusted half leaves behind: stored, typed, a file that another tool could write.

    Attributes:
        digest: hash over what decided it, ``CellSpec.answer_digest``; its file's name.
        log: what the submission printed.
    """

    digest: str

    @property
    @abstractmethod
    def log(self) -> str: ...

    @property
    @abstractmethod
    def checksum(self) -> str:
        """SHA-256 over its content: two answers of one spec may differ, if only by a microsecond of the clock."""

    @abstractmethod
    def scorable(self, spec: CellSpec) -> bool:
        """Whether it may be judged under the rules of that cell."""

    @abstractmethod
    def as_dict(self) -> dict[str, Any]:
        """JSON-able content of its file. A track's ``answer`` reads it back."""


@dataclass(frozen=True, kw_only=True)
class PhaseRow:
    """How one phase of a session went."""

    name: Annotated[str, doc("the hook that was called; phases that were not started are absent")]
    verdict: Annotated[str, doc("of this phase")]
    reason: Annotated[str, doc("what happened, in words")]
    seconds: Annotated[float, doc("used by the phase and its checkpoint hooks")]
    allowed: Annotated[float, doc("limit of its clock, in seconds")]


@dataclass(frozen=True, kw_only=True)
class AnswerRef:
    """Which answer a cell was judged on."""

    file: Annotated[str, doc("hash of what decides the answer, and the name of its file in `answers/`")]
    checksum: Annotated[
        str | None,
        doc("that of the answer's file: cells of equal checksums were judged on the same answer; `null` if there is none"),
    ]


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One pass of a training."""

    epoch: Annotated[int, doc("1, 2, ...")]
    loss: Annotated[float, doc("mean training loss of the epoch")]
    learning_rate: Annotated[float, doc("at the end of the epoch")]
    gradient_norm: Annotated[float, doc("before clipping, mean over the steps")]
    validation_loss: Annotated[float | None, doc("where items were kept out")] = None
    skipped_steps: Annotated[float | None, doc("steps without effect, where a scaled loss left any out")] = None


@dataclass(frozen=True, kw_only=True)
class TrainingRow:
    """How a pipeline was trained."""

    n_items: Annotated[int, doc("items handed to the training")]
    n_train: Annotated[int, doc("items trained on")]
    n_validation: Annotated[int, doc("items kept out, on which thresholds are chosen")]
    thresholds: Annotated[list[float], doc("decision threshold per class")]
    seconds: Annotated[float, doc("duration")]
    weights: Annotated[str, doc("identity of the weights that it started from")]
    device: Annotated[str, doc("device")]
    threads: Annotated[int, doc("CPU threads")]
    precision: Annotated[str, doc("number format of the forward passes: `float32`, `bfloat16` or `float16`")]
    micro_batch: Annotated[int, doc("most images that went through the network at once")]
    peak_memory_bytes: Annotated[int | None, doc("most memory of the device in use; `null` on the CPU")]
    timings: Annotated[dict[str, float], doc("seconds by what they went into (`evaluator/training/trained.py`)")]
    notes: Annotated[list[str], doc("sentences on what did not go the usual way: memory that ran out, an interruption")]
    history: Annotated[list[Epoch], doc("the epochs")]


@dataclass(frozen=True, kw_only=True)
class DataRow:
    """The data of a cell."""

    folder: Annotated[str, doc("name of the data folder")] = ""
    counts: Annotated[dict[str, int], doc("images per split")] = field(default_factory=dict)
    digests: Annotated[dict[str, str], doc("as in `spec.data`")] = field(default_factory=dict)
    notes: Annotated[dict[str, str], doc("per split, which form of labels.csv was read")] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class IsolationRow:
    """What held the submission."""

    tier: Annotated[str, doc("isolation tier")]
    guarded: Annotated[bool, doc("whether the end of every process of the submission can be vouched for")] = False
    limited_by: Annotated[str, doc("what held memory and processes: `cgroup v1`, `cgroup v2` or `watch`")] = ""


@dataclass(frozen=True, kw_only=True)
class PredictionsRow:
    """The predictions of a cell, in a file beside it."""

    file: Annotated[str, doc("name of the `.npy` file in `cells/`: float16, a row per image in the order of file names")]
    sha256: Annotated[str, doc("over the file's bytes")]
    shape: Annotated[list[int], doc("images, classes")]


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """A cell's typed outcome. Tracks add their own fields in a subclass.

    A cell that the evaluator itself failed at is of the same type, made by a track's ``broken``.
    """

    bulk: ClassVar[frozenset[str]] = frozenset({"spec"})
    """Members that stand in the cell's own file, and not in the summary of a run."""

    spec: CellSpec
    verdict: Annotated[
        Verdict, doc("`OK`, `TIME_LIMIT`, `MEMORY_LIMIT`, `RUNTIME_ERROR`, `PROTOCOL_ERROR`, `INVALID_OUTPUT` or `INFRASTRUCTURE`")
    ]
    reason: Annotated[str, doc("what happened, in words; empty for `OK`")] = ""
    fit_to_submit: Annotated[bool, doc("verdict `OK`, and every phase ended well")] = False
    metrics: Annotated[dict[str, Any] | None, doc("figures by name; `null` without a score")] = None
    fingerprint: Annotated[str | None, doc("hash over the probabilities; equal fingerprints are equal to the bit")] = None
    predictions: Annotated[PredictionsRow | None, doc("the probabilities, kept; `null` without a score")] = None
    training: Annotated[TrainingRow | None, doc("`null` where nothing was trained")] = None
    answer: AnswerRef
    phases: Annotated[list[PhaseRow], doc("those that were started")] = field(default_factory=list)
    data: DataRow = field(default_factory=DataRow)
    isolation: IsolationRow
    versions: Annotated[dict[str, str], doc("what computed the figures: kit, Python, processor, libraries")] = field(
        default_factory=dict
    )
    busy: Annotated[str, doc("other load on the machine when the session began, in words; empty where there was none")] = ""

    @property
    def scored(self) -> bool:
        """Whether there are metrics: verdict OK, or a limit that was kept."""
        return self.metrics is not None

    def as_dict(self) -> dict[str, Any]:
        """JSON-able content of the cell's file."""
        rest = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "spec"}
        plain: dict[str, Any] = {name: msgspec.to_builtins(value, str_keys=True) for name, value in rest.items()}
        head = {"schema": SCHEMA, "cell": self.spec.digest(), "spec": self.spec.as_dict(), "scored": self.scored}
        return head | plain

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], spec: CellSpec) -> Self:
        """The inverse of ``as_dict``, of a content of this schema.

        Raises:
            msgspec.ValidationError: a value is missing or of the wrong type; the message names the place.
        """
        types = _types(cls)
        known = {f.name for f in fields(cls)} - {"spec"}
        return cls(spec=spec, **{name: msgspec.convert(content[name], types[name]) for name in known & content.keys()})


_TYPES: dict[type, dict[str, Any]] = {}


def _types(cls: type) -> dict[str, Any]:
    """The annotations of a class, resolved once."""
    if cls not in _TYPES:
        _TYPES[cls] = get_type_hints(cls, include_extras=True)
    return _TYPES[cls]
