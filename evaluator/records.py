"""The records that every track stores, in the order of a cell: ``CellSpec`` -> ``Answer`` -> ``CellResult``.

A spec says what is to be run; an answer is what the submission (untrusted) produced; a result is what judging the answer
gave. The other classes are parts of a result. Records go to and from JSON by ``as_dict`` and ``from_dict``. A track adds its own
fields in subclasses. ``docs/results-format.md`` and ``docs/schemas/`` are generated from the types and from the texts in ``doc()``.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cached_property
from typing import Annotated, Any, ClassVar, Protocol, Self, get_args, get_origin, get_type_hints

import msgspec

from evaluator.errors import ConfigurationError, Verdict
from evaluator.machine import computed_by, versions

SCHEMA = 3
"""Version of every file of results: cells, answers, runs, sweeps, comparisons. It is raised when a key of one of them changes its
meaning. Kit 0.1 and 0.2 wrote cells of version 1, and other files of versions 1 and 2."""


def doc(text: str) -> msgspec.Meta:
    """Describes a field, as ``Annotated[type, doc(...)]``: the text for the JSON Schema and for ``docs/results-format.md``."""
    return msgspec.Meta(description=text)


def count(text: str) -> msgspec.Meta:
    """Describes a whole number, 0 or more; a stored value that not every reader of JSON holds to the bit is not read."""
    return msgspec.Meta(description=text, ge=0, le=2**53)


def share(text: str) -> msgspec.Meta:
    """Describes a number from 0 to 1; a stored value beyond them is not read."""
    return msgspec.Meta(description=text, ge=0, le=1)


def duration(text: str) -> msgspec.Meta:
    """Describes a number of seconds, 0 or more; more than three thousand years are not read."""
    return msgspec.Meta(description=text, ge=0, le=1e11)


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


DATA_SET = "data_set"
"""The field of a spec that every track's cells may differ in beside the track's own conditions."""
JUDGING_ONLY = frozenset({"submission", "version", "pipeline", "weights", "score_split", "device", "threads"})
"""Members of a spec that a submission neither gets nor is limited by: only the judging uses them, or the tables."""


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
            types = _types(cls)
            given = {f.name: _read(stored[f.name], types[f.name]) for f in fields(cls) if f.name in stored and f.name not in read}
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
        types = _types(cls)
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
        types = _types(cls)
        known = {f.name for f in fields(cls)} - {"spec"}
        return cls(spec=spec, **{name: msgspec.convert(content[name], types[name]) for name in known & content.keys()})


def _read(value: Any, kind: Any) -> Any:
    """A stored value as the type of its field; types of the kit read themselves with ``from_dict``.

    Raises:
        msgspec.ValidationError: the value is of another type. Whatever ``from_dict`` raises.
    """
    kind = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    return kind.from_dict(value) if hasattr(kind, "from_dict") else msgspec.convert(value, kind)


_TYPES: dict[type, dict[str, Any]] = {}


def _types(cls: type) -> dict[str, Any]:
    """The resolved annotations of a class; computed once per class."""
    if cls not in _TYPES:
        _TYPES[cls] = get_type_hints(cls, include_extras=True)
    return _TYPES[cls]
