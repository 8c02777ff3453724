"""The records that every track stores of a cell, after its spec: ``Answer`` -> ``CellResult``.

A spec (``evaluator.specs``) says what is to be run; an answer is what the submission (untrusted) produced; a result is what judging
the answer gave. The other classes are parts of a result. Records go to and from JSON by ``as_dict`` and ``from_dict``. A track adds
its own fields in subclasses.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Annotated, Any, ClassVar, Self

import msgspec

from evaluator.errors import Verdict
from evaluator.fields import SCHEMA, count, doc, duration, types_of
from evaluator.machine import computed_by, versions
from evaluator.specs import CellSpec, checksum


class Answer(ABC):
    """What the submission produced: a typed record in a file that another tool could also write.

    Attributes:
        digest: hash over what decided the answer, ``CellSpec.answer_digest``; the name of its file.
    """

    digest: str

    @property
    @abstractmethod
    def log(self) -> str:
        """What the submission printed."""

    @property
    @abstractmethod
    def checksum(self) -> str:
        """SHA-256 over the content of the answer.

        A result stores it, so that one knows which answer was judged: two runs of the same spec have the same ``digest``, but their
        content may differ, e.g. in measured times.
        """

    @property
    def size(self) -> int:
        """How many items a training on this answer learns from, compared with other answers. Long trainings are started first."""
        return 0

    @abstractmethod
    def scorable(self, spec: CellSpec) -> bool:
        """Whether the answer may be judged under the rules of that cell. Usually it asks ``CellSpec.takes``."""

    @abstractmethod
    def as_dict(self) -> dict[str, Any]:
        """The content of the answer's file, JSON-able. ``Track.answer`` reads it back."""

    def fault(self, spec: CellSpec) -> str:
        """Why a stored answer cannot be the answer of that cell, in words that follow its name; empty if it can.

        Another tool may have written the file, or a person may have edited it. A track adds what its rules allow an answer to hold.
        """
        return ""


@dataclass(frozen=True, kw_only=True)
class PhaseRow:
    """How one phase of a submission ended."""

    name: Annotated[str, doc("the hook that was called; phases that were not started are absent")]
    verdict: Annotated[str, doc("verdict of this phase")]
    reason: Annotated[str, doc("what happened, in words")]
    seconds: Annotated[float, duration("time used by the phase and its checkpoint hooks")]
    allowed: Annotated[float, duration("limit of its clock, in seconds; phases may share a clock")]


@dataclass(frozen=True, kw_only=True)
class PlainAnswer(Answer):
    """An answer whose content is plain JSON, for tracks that need no type of their own.

    Attributes:
        spec: what decided it, ``CellSpec.answer_dict``.
        content: what the submission answered, JSON-able.
        verdict, reason, phases, text: how the session ended, its phases, and what the submission printed.
        versions: what the submission ran on; ``busy``: other load on the machine when the session began.
    """

    digest: str
    spec: dict[str, Any]
    content: Any
    verdict: str = "OK"
    reason: str = ""
    phases: tuple[PhaseRow, ...] = ()
    text: str = ""
    versions: dict[str, str] = field(default_factory=versions)
    busy: str = ""

    @property
    def log(self) -> str:
        """What the submission printed."""
        return self.text

    @property
    def checksum(self) -> str:
        """SHA-256 over the content of the file."""
        return checksum(self.as_dict())

    def scorable(self, spec: CellSpec) -> bool:
        """See ``CellSpec.takes``."""
        return spec.takes(self.verdict, len(self.phases))

    def as_dict(self) -> dict[str, Any]:
        """The content of the file."""
        plain: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        renamed = {"answer": plain.pop("digest"), "log": plain.pop("text"), "phases": msgspec.to_builtins(list(self.phases))}
        return {"schema": SCHEMA} | plain | renamed

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The inverse of ``as_dict``.

        Raises:
            KeyError: a member is missing.
            msgspec.ValidationError: a phase is wrong.
        """
        own = {f.name: stored[f.name] for f in fields(cls) if f.name not in ("digest", "text", "phases")}
        phases = msgspec.convert(stored["phases"], tuple[PhaseRow, ...])
        return cls(digest=stored["answer"], text=stored["log"], phases=phases, **own)


@dataclass(frozen=True, kw_only=True)
class AnswerRef:
    """The answer that a cell was judged on."""

    file: Annotated[str, doc("hash over what decides the answer: the name of its file in `answers/`")]
    checksum: Annotated[
        str | None,
        doc("checksum of the answer's file: cells with equal checksums were judged on the same answer; `null` without an answer"),
    ]


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One pass of a training."""

    epoch: Annotated[int, count("1, 2, ...")]
    loss: Annotated[float, doc("mean training loss of the epoch")]
    learning_rate: Annotated[float, doc("learning rate at the end of the epoch")]
    gradient_norm: Annotated[float, doc("norm of the gradient before clipping, mean over the steps")]
    validation_loss: Annotated[float | None, doc("mean loss on the items that were kept out; `null` if none were")] = None
    skipped_steps: Annotated[float | None, doc("steps without effect because a scaled loss overflowed; `null` if none")] = None


@dataclass(frozen=True, kw_only=True)
class TrainingRow:
    """How a pipeline was trained."""

    n_items: Annotated[int, count("items handed to the training")]
    n_train: Annotated[int, count("items trained on")]
    n_validation: Annotated[int, count("items kept out of the training, on which thresholds are chosen")]
    thresholds: Annotated[list[float], doc("decision threshold per class")]
    seconds: Annotated[float, duration("duration of the training, in seconds")]
    weights: Annotated[str, doc("identity of the weights that the training started from")]
    device: Annotated[str, doc("device of the training")]
    threads: Annotated[int, doc("CPU threads of the training")]
    precision: Annotated[str, doc("number format of the forward passes: `float32`, `bfloat16` or `float16`")]
    micro_batch: Annotated[int, doc("largest number of images that went through the network at once")]
    peak_memory_bytes: Annotated[
        int | None, doc("most bytes of the device's memory in use; `null` on the CPU, and where other trainings shared the device")
    ]
    timings: Annotated[dict[str, float], doc("seconds spent on each part of the training (`evaluator/training/trained.py`)")]
    notes: Annotated[list[str], doc("unusual events in the training, one sentence each: memory ran out, an interruption")]
    history: Annotated[list[Epoch], doc("one member per epoch")]


@dataclass(frozen=True, kw_only=True)
class DataRow:
    """The data that a cell was run on."""

    folder: Annotated[str, doc("name of the data folder")] = ""
    counts: Annotated[dict[str, int], doc("images per split")] = field(default_factory=dict)
    digests: Annotated[dict[str, str], doc("as in `spec.data`")] = field(default_factory=dict)
    notes: Annotated[dict[str, str], doc("per split, which form of labels.csv was read")] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class IsolationRow:
    """How the submission was isolated and limited."""

    tier: Annotated[str, doc("isolation tier")]
    guarded: Annotated[bool, doc("whether it is certain that every process of the submission ended")] = False
    limited_by: Annotated[str, doc("what limited memory and number of processes: `cgroup v1`, `cgroup v2` or `watch`")] = ""


@dataclass(frozen=True, kw_only=True)
class PredictionsRow:
    """Where the predictions of a cell are stored."""

    file: Annotated[str, doc("name of the `.npy` file in `cells/`: float16, a row per image in the order of file names")]
    sha256: Annotated[str, doc("SHA-256 over the file's bytes")]
    shape: Annotated[list[int], doc("numbers of images and classes")]


@dataclass(frozen=True, kw_only=True)
class AttemptRow:
    """Earlier results of a cell with one verdict."""

    verdict: Annotated[Verdict, doc("their verdict")]
    scored: Annotated[bool, doc("whether they had a score")]
    count: Annotated[int, count("how many there were")]


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """The result of a cell. A track adds its own fields in a subclass.

    A cell that failed by a fault of the evaluator has a result of the same type, made by ``Track.broken``.

    Attributes:
        spec: what was run.
        verdict, reason: how the cell ended.
        fit_to_submit: whether the verdict is OK and every phase ended well.
        metrics, fingerprint, predictions, training: the judging; None without a score.
        answer: which answer was judged; ``phases``: how the submission ran.
        data, isolation, versions, busy: the circumstances.
        attempts: what was found before; the store fills it in when it replaces a result.
    """

    bulk: ClassVar[frozenset[str]] = frozenset({"spec"})
    """Large members: they are stored in the cell's own file but left out of the summary of a run (``result.json``)."""

    spec: CellSpec
    verdict: Annotated[
        Verdict, doc("`OK`, `TIME_LIMIT`, `MEMORY_LIMIT`, `RUNTIME_ERROR`, `PROTOCOL_ERROR`, `INVALID_OUTPUT` or `INFRASTRUCTURE`")
    ]
    reason: Annotated[str, doc("what happened, in words; empty for `OK`")] = ""
    fit_to_submit: Annotated[bool, doc("verdict `OK`, and every phase ended well")] = False
    metrics: Annotated[dict[str, Any] | None, doc("score of every metric, by name; `null` without a score")] = None
    fingerprint: Annotated[
        str | None,
        doc("hash over the probabilities; equal only for equal probabilities, to the bit; `null` without a score"),
    ] = None
    predictions: Annotated[PredictionsRow | None, doc("where the probabilities are stored; `null` without a score")] = None
    training: Annotated[TrainingRow | None, doc("how the pipeline was trained; `null` if nothing was trained")] = None
    answer: AnswerRef
    phases: Annotated[list[PhaseRow], doc("the phases that were started, in order")] = field(default_factory=list)
    data: DataRow = field(default_factory=DataRow)
    isolation: IsolationRow
    versions: Annotated[dict[str, str], doc("versions that computed the figures: kit, Python, processor, libraries")] = field(
        default_factory=dict
    )
    busy: Annotated[str, doc("other load on the machine when the submission started, in words; empty without other load")] = ""
    attempts: Annotated[
        list[AttemptRow],
        doc("earlier results of this cell that this result replaced, by verdict; a repetition that gave the same score is none"),
        msgspec.Meta(max_length=2 * len(Verdict)),
    ] = field(default_factory=list)

    @classmethod
    def of(cls, spec: CellSpec, answer: Answer | None, verdict: Verdict, **rest: Any) -> Self:
        """A result of today's versions of the kit and of libraries.

        Args:
            answer: that was judged; None if the cell failed before there was an answer.
            rest: further fields; ``isolation`` need not be among them.
        """
        reference = AnswerRef(file=spec.answer_digest(), checksum=None if answer is None else answer.checksum)
        isolation = rest.pop("isolation", IsolationRow(tier=spec.tier))
        return cls(spec=spec, answer=reference, verdict=verdict, isolation=isolation, versions=versions(), **rest)

    def after(self, before: Mapping[str, Any]) -> Self:
        """The same result, with the attempts of a stored result that it replaces, and that result itself, counted.

        A score is no attempt if it was found again, or if other versions of the libraries computed it: then it had to be repeated.

        Args:
            before: of the stored cell ``verdict``, ``scored``, ``metrics``, ``versions`` and, if there are any, ``attempts``.

        Raises:
            msgspec.ValidationError: a member is not what the kit writes.
            KeyError: a member is missing.
        """
        earlier = msgspec.convert(before.get("attempts") or [], list[AttemptRow])
        counts = {(row.verdict, row.scored): row.count for row in earlier}
        now = msgspec.to_builtins(self.metrics, str_keys=True)
        repeated = before["metrics"] == now if self.scored else False
        if not (before["scored"] and (repeated or computed_by(before["versions"]) != computed_by(self.versions))):
            row = msgspec.convert({"verdict": before["verdict"], "scored": before["scored"], "count": 1}, AttemptRow)
            counts[row.verdict, row.scored] = min(counts.get((row.verdict, row.scored), 0) + 1, 2**53)
        rows = [AttemptRow(verdict=verdict, scored=scored, count=n) for (verdict, scored), n in counts.items()]
        return replace(self, attempts=rows)

    @property
    def scored(self) -> bool:
        """Whether the cell has metrics: verdict OK, or a time limit after which the answer was scored all the same."""
        return self.metrics is not None

    def as_dict(self) -> dict[str, Any]:
        """The content of the cell's file, JSON-able."""
        rest = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "spec"}
        plain: dict[str, Any] = {name: msgspec.to_builtins(value, str_keys=True) for name, value in rest.items()}
        head = {"schema": SCHEMA, "cell": self.spec.digest(), "spec": self.spec.as_dict(), "scored": self.scored}
        return head | plain

    @classmethod
    def needed(cls) -> frozenset[str]:
        """Members without a default: a stored cell has them."""
        return frozenset(f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING)

    @classmethod
    def fault(cls, content: Mapping[str, Any]) -> str:
        """Which member of a stored cell (some of its members are enough) is not of its type, or beyond its bounds, in words.

        Empty if none is. The members are those of the current schema, without ``spec``.
        """
        types = types_of(cls)
        for name in (f.name for f in fields(cls) if f.name != "spec" and f.name in content):
            try:
                msgspec.convert(content[name], types[name])
            except msgspec.ValidationError as error:
                what, _, where = str(error).partition(" - at `$")
                return f"holds no usable {name}{where.removesuffix('`')} ({what})"
        return ""

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], spec: CellSpec) -> Self:
        """The inverse of ``as_dict``, for a content of the current schema. ``spec``: the spec that ``content`` holds, read.

        Raises:
            msgspec.ValidationError: a value has the wrong type, or a part of it is missing; the message names the place.
            TypeError: a member without a default is missing.
        """
        types = types_of(cls)
        known = {f.name for f in fields(cls)} - {"spec"}
        return cls(spec=spec, **{name: msgspec.convert(content[name], types[name]) for name in known & content.keys()})
