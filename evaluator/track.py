"""What a track is: the protocol ``Track``, and the types that its methods take and give.

A track is one kind of competition. A cell of it (one submission, task, seed and pipeline) is run in two halves:

1. ``Track.plan`` checks what a person asked for (``Choices``) and names every cell: a ``Plan`` of ``CellSpec``.
2. ``Track.obtain`` is the first half. It runs a submission in a sandbox and gives an ``Answer``, which is stored. Another tool
   could also write such an answer.
3. ``Track.judge`` is the second half. It turns an answer into a ``CellResult`` and never sees the submission.
4. The methods of ``Tables``, which ``Track`` inherits, tell the shared code what of a result to show.

Everything else (finding the missing cells, parallel workers, storage, tables, comparisons) is shared and knows no track by name.
To write a track, subclass ``Track``, ``CellSpec``, ``Answer`` and ``CellResult``; required are ``spec_type``, ``metrics`` and the
abstract methods.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from evaluator.errors import ConfigurationError, KitError, SubmissionError, Verdict
from evaluator.machine import computed_by
from evaluator.plans import Choices, Option, Plan, Step, Task
from evaluator.records import Answer, CellResult, PlainAnswer
from evaluator.specs import DATA_SET, CellSpec, digest_of
from evaluator.submission.findings import Finding, Findings, in_order
from evaluator.submission.source import Source, looked_at, read_source
from evaluator.tables import Tables

if TYPE_CHECKING:
    import numpy as np

    from evaluator.sandbox.tier import Sandbox
    from evaluator.submission.answers import AnswerFiles

Progress = Callable[[str, float], None]
"""Called with a word for the work that is being done, and the share of it that is finished, 0 to 1."""
SECONDS = 2.0
"""Largest duration of looking at sources where a run waits for it."""


@dataclass(frozen=True, eq=False)
class CellInputs:
    """The files and objects behind a spec on this machine. A spec names them only by hashes.

    Attributes:
        path: of the submission.
        data: the data sets as the track reads them (``Plan.data``). It is pickled and sent whole to worker processes and nodes, so
            large arrays belong in memory-mapped files.
        sandbox: where the submission runs; ``weights_dir``: folder of pretrained weights that it may read.
        busy: other load on the machine, in words; empty without other load.
        printed: called with what the submission prints, as it comes.
    """

    path: Path
    data: Any
    sandbox: Sandbox
    weights_dir: Path | None = None
    busy: str = ""
    printed: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class Debugged:
    """How a submission ran for its author to look at (``Track.debug``). It holds no figure that could be taken for a score.

    Attributes:
        rows: what it did, as label and text.
        faults: what would make a run fail or unfit to submit, in sentences; empty if nothing would.
        class_name: of the submission; None where none was loaded.
        remarks: what a run would warn of, in sentences.
    """

    rows: tuple[tuple[str, str], ...]
    faults: tuple[str, ...]
    class_name: str | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Judged:
    """A result, and the predictions to store beside it: probabilities, float (images, classes); None without predictions."""

    result: CellResult
    predictions: np.ndarray | None = None


NOTHING_ASKED: Mapping[str, Any] = MappingProxyType({})
"""What a small run is given where no round is named."""


@dataclass(frozen=True)
class Trial:
    """What a small run of a submission gave (``Track.trial``).

    Attributes:
        found: what is wrong; ``said``: how it went, in words.
        trace: the submission's traceback, or empty; ``full_trace``: with the frames of the worker, where ``trace`` leaves some out.
    """

    found: tuple[Finding, ...]
    said: str
    trace: str = ""
    full_trace: str = ""


class Track(Tables, ABC):
    """One kind of competition. ``docs/architecture.md`` names the files of the first track in the order of a cell.

    Attributes:
        spec_type: its specs. They hold the track's name, the version of its judging code (raise it by hand when the figures of a
            cell change; stored cells of the old version are then run again) and the conditions.
        result_type: its results.
        spec_rules: the track's fields of a spec that must be equal in one table.
        circumstances: the track's fields of a spec that may differ within a table; the table then says so.
        several_data_sets: whether it makes several data sets of a profile (``Choices.data_sets``).
        trains_on_device: whether its trainings run on the device that is chosen; those of other tracks run on the CPU.
        options: the track's options on the command line, by name; ``examples``: command lines for the help of ``sweep``.
        trial_options: options of ``validate`` that give the small run of code (``trial``) the form of a round, beside ``file``.
        front_help: what ``local_evaluation.py --help`` says first: what it does, and command lines. ``data_help``: of ``--data``.
    """

    spec_type: ClassVar[type[CellSpec]]
    result_type: ClassVar[type[CellResult]] = CellResult
    spec_rules: ClassVar[tuple[str, ...]] = ()
    circumstances: ClassVar[tuple[str, ...]] = ()
    several_data_sets: ClassVar[bool] = False
    trains_on_device: ClassVar[bool] = True
    options: ClassVar[Mapping[str, Option]] = {}
    trial_options: ClassVar[tuple[str, ...]] = ()
    examples: ClassVar[tuple[str, ...]] = ()
    front_help: ClassVar[str] = "Evaluate a submission here, the way the round does."
    data_help: ClassVar[str] = "folder of the splits (default: the profile's, below data/)"
    old_members: ClassVar[frozenset[str]] = frozenset()
    """Members of a stored cell of an older schema that ``upgraded`` reads, in addition to ``schema`` and ``spec``."""
    old_folders: ClassVar[frozenset[str]] = frozenset()
    """Names of folders below ``results/`` in which older kits kept answers. They are listed and can be removed, but not read."""

    def __init_subclass__(cls, **rest: Any) -> None:
        """Check what a track declares, when its class is made.

        Raises:
            TypeError: there are no metrics, or two of one name.
        """
        super().__init_subclass__(**rest)
        names = [metric.name for metric in getattr(cls, "metrics", ())]
        if not names or len(set(names)) != len(names):
            raise TypeError(f"{cls.__name__}.metrics names {names}; expected one metric or more, each of another name")

    @property
    def name(self) -> str:
        """Name of the track, as specs store it."""
        return self.spec_type.track

    @property
    def conditions(self) -> tuple[str, ...]:
        """Fields of a spec whose values are run side by side, each in a table of its own.

        Those of ``spec_rules`` that the track chose, which are options, too; and the number of the data set.
        """
        return (*self.spec_type.conditions, DATA_SET)

    @property
    def panel_command(self) -> str:
        """The command that judges the answers of a submission by several pipelines, for messages."""
        return f"python -m evaluator sweep --track {self.name} --pipelines NAME NAME"

    # -- records: from JSON to types

    def spec(self, stored: Mapping[str, Any]) -> CellSpec:
        """Read what ``CellSpec.as_dict`` wrote. Profile, round and pipeline are the stored ones, not today's tables.

        Raises:
            ConfigurationError: ``stored`` is not a spec of this track.
        """
        return self.spec_type.from_dict(stored)

    def answer(self, stored: Mapping[str, Any]) -> Answer:
        """Read what ``Answer.as_dict`` wrote; a ``PlainAnswer`` unless the track has a type of its own.

        Raises:
            ConfigurationError: ``stored`` is not an answer of this track.
        """
        try:
            return PlainAnswer.from_dict(stored)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ConfigurationError(f"a stored answer was not understood: {error!r}") from error

    def result(self, stored: Mapping[str, Any]) -> CellResult:
        """Read what ``CellResult.as_dict`` wrote.

        Raises:
            ConfigurationError: ``stored`` is not a result of this track; the message names the place.
        """
        try:
            return self.result_type.from_dict(stored, self.spec(stored["spec"]))
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise ConfigurationError(f"a stored cell was not understood: {error}") from error

    def fault(self, stored: Mapping[str, Any], only: Collection[str] | None = None) -> str:
        """What is wrong with a stored cell (current schema; ``spec`` and any other members), with the name of the field.

        Empty if nothing is: every member is of its type and within its bounds, none contradicts another, and the metric that
        ranks is there.

        Args:
            only: the members that are wanted; those of them that have no default must be there. None: all.
        """
        try:
            spec = self.spec(stored["spec"])
        except (KitError, KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            return f"holds no usable spec ({str(error)[:200]})"
        if spec.task != stored["spec"].get("task", spec.task):
            return f"holds the task {str(stored['spec']['task'])[:40]!r} in spec; expected the spelling {spec.task!r}"
        if spec.seed < 0:
            return f"holds the seed {spec.seed} in spec; expected 0 or more"
        if absent := [name for name in ("version", *self.spec_rules) if name not in stored["spec"]]:
            return f"holds no spec.{absent[0]}"  # it has a default when a spec is made, and tables are sorted by what is stored
        needed = self.result_type.needed() if only is None else self.result_type.needed() & set(only)
        if missing := sorted(needed - stored.keys()):
            return f"holds no {missing[0]}"
        return self.result_type.fault(stored) or self.contradiction(spec, stored) or self.stored_metrics_fault(stored)

    def contradiction(self, spec: CellSpec, stored: Mapping[str, Any]) -> str:
        """Which members of a stored cell contradict each other, in words; empty if none do. A track adds its own."""
        metrics = stored.get("metrics")
        if "scored" in stored and "metrics" in stored and stored["scored"] != (metrics is not None):
            return f"is contradictory: scored is {stored['scored']}, and metrics is {'present' if metrics is not None else 'null'}"
        if metrics is not None and stored.get("verdict", "OK") not in ("OK", "TIME_LIMIT"):
            return f"is contradictory: it has metrics, and the verdict {stored['verdict']}"
        if stored.get("fit_to_submit") and stored.get("verdict", "OK") != "OK":
            return f"is contradictory: fit_to_submit is true, and the verdict {stored['verdict']}"
        return ""

    def upgraded(self, stored: dict[str, Any]) -> dict[str, Any]:
        """A stored cell of an older schema, converted to the current schema. ``stored`` may hold only some of its members."""
        return stored

    # -- running a cell

    def default_profile(self, options: Mapping[str, Any]) -> str:
        """The profile of a run that names none. ``options``: values of ``Track.options``."""
        return "quick"

    def other_file(self, content: Mapping[str, Any]) -> str:
        """What a TOML file of this content is, where it is no file of options but one that another option takes, in words that end
        with that option; empty where it is nothing that the track knows.
        """
        return ""

    @abstractmethod
    def plan(self, choices: Choices, step: Step) -> Plan:
        """Check every choice, read the data (generated data are made if they are missing), and make the spec of every cell.

        Every random draw of a cell is split from ``choices.root``. A spec holds only the fingerprint of the secret, so what
        ``obtain`` and ``judge`` need of the root goes into ``Plan.data``, which reaches worker processes and nodes in memory.

        Raises:
            KitError: a choice makes no sense, or data or weights are missing or wrong.
        """

    def tasks(self, options: Mapping[str, Any], profile: str) -> tuple[Task, ...]:
        """The tasks that ``options`` (of ``Track.options``) name with public seeds, without reading data.

        It is empty if the data must be known for it.
        """
        return ()

    def given(self, path: Path) -> AnswerFiles | None:
        """The answer that lies at ``path`` as files, in the place of code; None where code or nothing of the track's lies there.

        What is wrong with the files by themselves stands in ``AnswerFiles.found``. Cells of an answer have the tier ``GIVEN``, and
        ``obtain`` reads the files; what does not fit a task there is an answer with the verdict ``INVALID_OUTPUT``.

        Raises:
            SubmissionError: a file may not travel, or there are too many.
        """
        return None

    def examined(self, path: Path, seconds: float = SECONDS, *, image: bool = False, home: bool = False) -> Findings:
        """What is found in the code or the answer at ``path`` before it runs. Never raises for what lies there.

        Args:
            seconds: largest duration of all that is done with sources; ``image``, ``home``: as of ``examine``.
        """
        from evaluator.submission.validate import examine, manifest_findings, unreadable

        try:
            given = self.given(path)
        except SubmissionError as error:
            return unreadable(path, error)
        if given is None:
            return examine(path, self.name, seconds, image=image, home=home)
        return replace(given.findings, found=in_order((*given.found, *manifest_findings(path))))

    def source(self, path: Path) -> Source:
        """The code or the answer at ``path`` as a competitor of a run; where it cannot be read, with its ``fault``."""

        def read(path: Path) -> Source:
            given = self.given(path)
            return read_source(path) if given is None else given.source

        return looked_at(path, read)

    @abstractmethod
    def obtain(self, spec: Any, inputs: CellInputs, progress: Progress) -> Answer:
        """The first half: run the submission of ``inputs`` and return its answer.

        A failure of the submission is an answer with a verdict; it never raises.
        """

    def debug(self, spec: Any, inputs: CellInputs, progress: Progress) -> Debugged:
        """Run the submission as ``obtain`` does, for its author to look at: its own files, and no clock that ends anything.

        Args:
            inputs: with a sandbox whose workers have the terminal (``AttachedSandbox``).

        Raises:
            ConfigurationError: the track cannot do that.
        """
        raise ConfigurationError(f"--debug: the track {self.name} has no such run; evaluate without --debug")

    @abstractmethod
    def judge(
        self,
        spec: Any,
        data: Any,
        answer: Any,
        progress: Progress,
        *,
        checkpoint: Path | None = None,
        cache: dict[str, Any] | None = None,
    ) -> Judged:
        """The second half: turn an answer into a result. It gets neither the submission nor a sandbox.

        Args:
            data: ``CellInputs.data``.
            answer: of ``obtain``, or read from the store. It may not be ``scorable``; the result then has no metrics.
            checkpoint: file in which a training keeps its state, and from which it resumes.
            cache: a dict that stays the same for all cells of this process, e.g. to keep the last trained model. None: no cache.

        Raises:
            DeviceError: the device failed. The caller tries again in a new process.
        """

    def rescored(self, spec: Any, data: Any, stored: Mapping[str, Any], predictions: np.ndarray) -> CellResult | None:
        """The result of a cell, from what an earlier version of the judging code predicted (``CellSpec.predictions_since``).

        Args:
            data: ``CellInputs.data``. stored: the cell of the earlier version, with ``spec`` and ``cell`` of this one.
            predictions: that are kept with it, float16 (images, classes).

        Returns:
            None if the track has no such way; then the answer is judged.
        """
        return None

    def broken(self, spec: Any, reason: str, trace: str, verdict: Verdict = Verdict.INFRASTRUCTURE) -> CellResult:
        """The result of a cell that has no answer: it failed by a fault of the evaluator, or its submission cannot be read.

        Args:
            reason: what happened, in words; ``trace``: the evaluator's traceback.
        """
        return self.result_type.of(spec, None, verdict, reason=reason)

    def trial(
        self, submission: Path, sandbox: Sandbox, weights: Path | None = None, asked: Mapping[str, Any] = NOTHING_ASKED
    ) -> Trial | None:
        """Run a submission on a handful of made-up data, within seconds, for ``validate``. None: the track has no such run.

        Args:
            weights: folder of pretrained weights that it may read.
            asked: options of a sweep by name (``options_of``), which give the run the form of that round: its classes, its kinds of
                labels. Others of them mean nothing here. Empty: no round is named.

        Raises:
            KitError: what ``asked`` names is not there, or not good.
        """
        return None

    def hold(self, data: Any, cells: Sequence[CellSpec]) -> None:
        """Read whatever ``data`` (``CellInputs.data``) still has in files, so that this process can obtain and judge ``cells`` when
        the files are gone. A track whose plan reads everything has nothing to do.

        Raises:
            KitError: a file is not what was expected, or there is too much to hold.
        """

    def places(self, data: Any) -> list[Path]:
        """The files that ``data`` (``CellInputs.data``) refers to. Every node of a cluster must be able to read them."""
        return []


@dataclass(frozen=True)
class Tracks:
    """The tracks that a reader of stored results knows. ``known``: by name."""

    known: Mapping[str, Track]

    def of(self, spec: Mapping[str, Any]) -> Track | None:
        """The track of a stored spec; None if it is unknown."""
        return self.known.get(str(spec.get("track")))

    def __iter__(self) -> Iterator[Track]:
        return iter(self.known.values())


def row_of(track: Track, cell: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a stored cell (current schema) in the index and in tables; JSON-able."""
    spec, training = cell["spec"], cell["training"] or {}
    kept = ("track", "submission", "submission_digest", "task", "seed", "score_split", "device", "threads", "tier")
    return {name: spec[name] for name in kept} | {
        "secret": spec.get("secret", ""),
        "cell": cell["cell"],
        "profile": spec["profile"]["name"],
        "pipeline": spec["pipeline"]["name"],
        "pipeline_digest": digest_of(spec["pipeline"])[:16],
        "verdict": cell["verdict"],
        "reason": cell["reason"],
        "scored": cell["scored"],
        "fit": cell["fit_to_submit"],
        "metrics": _numbers(cell["metrics"]),
        "collapsed": bool(cell["scored"]) and track.collapsed(cell["metrics"]),
        "predictions": (cell.get("predictions") or {}).get("shape"),
        "answer": cell["answer"]["file"],
        "answer_checksum": cell["answer"]["checksum"],
        "session_seconds": sum(phase["seconds"] for phase in cell["phases"]),
        "training_seconds": training.get("seconds"),
        "items": training.get("n_items"),
        # Others make a training longer, and on a device only one that was alone has the memory that it took.
        "beside_others": bool(training) and spec["device"] != "cpu" and training.get("peak_memory_bytes") is None,
        "versions": computed_by(cell["versions"]),
        "figures": track.figures(cell),
        "condition": track.unusual(spec),
        "observation": track.observation(cell) if cell["scored"] else None,
        "attempts": sum(row["count"] for row in cell.get("attempts") or ()),
    }


ROW_READS = frozenset(
    {
        *("cell", "spec", "verdict", "reason", "scored", "fit_to_submit", "metrics", "answer", "phases", "training", "versions"),
        *("predictions", "fingerprint", "attempts"),
    }
)
"""Members of a stored cell that ``row_of`` reads, in addition to those of ``Track.figure_members``."""


def _numbers(metrics: Mapping[str, Any] | None) -> dict[str, float] | None:
    if metrics is None:
        return None
    return {name: value for name, value in metrics.items() if isinstance(value, (int, float)) and not isinstance(value, bool)}
