"""What a track is: a small protocol. A track is one kind of competition; its cells are run in two halves.

``obtain`` is the untrusted half: it runs a submission in a sandbox and gives an ``Answer``, which is stored and which another tool
could have written. ``judge`` is the trusted half: it turns an answer into a ``CellResult`` and never sees the submission.
Everything between the two (which cells are missing, workers side by side, storage, tables, comparisons) is shared and knows no
track by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from evaluator.records import Answer, CellResult, CellSpec, Recipe, Rules, digest_of

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from evaluator.report.format import Block
    from evaluator.sandbox.tier import Sandbox
    from evaluator.submission.source import Source

Progress = Callable[[str, float], None]
"""Called with what is done and the share of it, 0 to 1."""
Step = Callable[[str, int, int], None]
"""Called with what is done, how far, and of how much."""


@dataclass(frozen=True, eq=False)
class CellInputs:
    """What a spec's hashes stand for, on this machine.

    Attributes:
        path: of the submission.
        data: what the track reads once and judges on; it travels to workers and nodes whole.
        sandbox: where the submission runs; ``weights_dir``: what it is given as pretrained weights.
        busy: other load on the machine, in words; empty where there is none.
    """

    path: Path
    data: Any
    sandbox: Sandbox
    weights_dir: Path | None = None
    busy: str = ""


@dataclass(frozen=True, eq=False)
class Judged:
    """A result, and the predictions that are stored beside it: float (images, classes), None where there are none."""

    result: CellResult
    predictions: np.ndarray | None = None


@dataclass(frozen=True)
class Option:
    """An option of a track's own on the command line and in the file of a sweep.

    Attributes:
        kind: type of a value; ``many``: several may be given.
        help: for ``--help``; ``metavar``, ``choices``: likewise.
    """

    kind: type
    help: str
    many: bool = False
    default: Any = None
    metavar: str | None = None
    choices: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class Choices:
    """What a person asked for, as far as no track is needed to understand it.

    Attributes:
        profile: its name; ``pipelines``: names or files, empty for the profile's own.
        seeds: numbers of the repetitions.
        starting_weights: those that pipelines have here; None for the profile's.
        score_splits: splits that are scored, each; empty for the round's.
        data: folder of the splits; None for the profile's, below ``folder``, where the cache of decoded images lies, too.
        weights_dir: pretrained weights for the submission.
        options: the track's own, by name.
    """

    submissions: tuple[Source, ...]
    profile: str
    pipelines: tuple[str, ...]
    seeds: range
    root_seed: int
    starting_weights: str | None
    score_splits: tuple[str, ...]
    tier: str
    device: str
    threads: int
    data: Path | None
    folder: Path
    weights_dir: Path | None
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """One task of a plan. ``kind``: how it came into the plan (``public``, ``hidden``, ...); ``figures``: what it allows."""

    name: str
    kind: str
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Plan:
    """What a track makes of a person's choices: data read, every cell named, nothing run.

    Attributes:
        rules: the profile; ``tasks``: each once, in order; ``pipelines``: what judges, adapted to the profile.
        fitted_from: by the name of a pipeline the name that was asked for, where it was adapted.
        cells: one spec per submission, condition, seed, task and pipeline, in this order.
        data: by the split that is scored, what cells are run on.
        items: by task, how many items a training has at most, beside those that it always has; for a forecast.
        conditions: names and values of the choices that make tables of their own.
        warnings: what a person should know before work starts; ``shown``: label and text of lines that describe the plan.
    """

    rules: Rules
    tasks: tuple[Task, ...]
    pipelines: tuple[Recipe, ...]
    fitted_from: Mapping[str, str]
    cells: tuple[CellSpec, ...]
    data: Mapping[str, Any]
    digests: Mapping[str, dict[str, str]]
    items: Mapping[str, int]
    conditions: Mapping[str, tuple[Any, ...]]
    warnings: tuple[str, ...] = ()
    shown: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Column:
    """A column of a track's own in the table of a run: title, and the text for a task's row of the summary."""

    title: str
    text: Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True)
class Run:
    """One cell, as far as a track's maps show it.

    Attributes:
        submission: what it is called in the table; ``score``: higher is better, None where the cell failed.
        figures: of ``Track.figures``.
    """

    submission: str
    task: str
    seed: int
    verdict: str
    score: float | None
    figures: Mapping[str, Any]


class Track(ABC):
    """One kind of competition. ``docs/architecture.md`` names the files of the first one in the order of a cell.

    Attributes:
        name: of the track, as specs store it.
        version: of its judging code; raised by hand when figures change.
        task_word: what a person calls a task.
        spec_rules: fields of a spec, beside the common ones, that must be equal in one table.
        conditions: those whose values make tables of their own.
        circumstances: fields that may differ within a table; the table says so.
        options: on the command line, by name.
        columns: its own in the table of a run.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    task_word: ClassVar[str] = "task"
    spec_rules: ClassVar[tuple[str, ...]] = ()
    conditions: ClassVar[tuple[str, ...]] = ()
    circumstances: ClassVar[tuple[str, ...]] = ()
    options: ClassVar[Mapping[str, Option]] = {}
    columns: ClassVar[tuple[Column, ...]] = ()
    figure_members: ClassVar[frozenset[str]] = frozenset()
    """Members of a stored cell that ``figures`` and ``whole`` need, beside those that every row needs."""
    old_members: ClassVar[frozenset[str]] = frozenset()
    """Members of a stored cell of an older schema that ``upgraded`` needs."""
    old_folders: ClassVar[frozenset[str]] = frozenset()
    """Folders of results in which older kits kept answers; nothing reads them any more."""

    # -- records

    @abstractmethod
    def spec(self, stored: Mapping[str, Any]) -> CellSpec:
        """The spec that ``CellSpec.as_dict`` gave, with the profile, round and pipeline that are stored.

        Raises:
            ConfigurationError: it is none of this track.
        """

    @abstractmethod
    def answer(self, stored: Mapping[str, Any]) -> Answer:
        """The answer that ``Answer.as_dict`` gave. Raises as ``spec``."""

    @abstractmethod
    def result(self, stored: Mapping[str, Any]) -> CellResult:
        """The result that ``CellResult.as_dict`` gave. Raises as ``spec``."""

    def upgraded(self, stored: dict[str, Any]) -> dict[str, Any]:
        """A stored cell of an older schema in the form of today, whole or some of its members."""
        return stored

    # -- a cell

    @abstractmethod
    def plan(self, choices: Choices, step: Step) -> Plan:
        """Check every choice, read (and where it is generated: make) the data, and name every cell.

        Raises:
            KitError: a choice, data or weights that are not there or make no sense.
        """

    def tasks(self, options: Mapping[str, Any], profile: str) -> tuple[Task, ...]:
        """The tasks that options name, without reading any data; none where that cannot be told."""
        return ()

    @abstractmethod
    def obtain(self, spec: Any, inputs: CellInputs, progress: Progress) -> Answer:
        """The untrusted half: run the submission. What its code does never raises."""

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
        """The trusted half. It sees neither the submission nor a sandbox.

        Args:
            data: ``CellInputs.data``.
            checkpoint: where a training keeps its state and goes on from.
            cache: what the cell before left for this one, in the same process.

        Raises:
            DeviceError: the device failed; another process may still do it.
        """

    @abstractmethod
    def broken(self, spec: Any, reason: str, trace: str) -> CellResult:
        """The result of a cell that the evaluator itself failed at."""

    def places(self, data: Any) -> list[Path]:
        """Files that a node of a cluster must see to work on ``data``."""
        return []

    # -- tables

    def figures(self, cell: Mapping[str, Any]) -> dict[str, Any]:
        """What of a stored result stands in the index and in tables, beside the common fields."""
        return {}

    def spec_trains(self, spec: Mapping[str, Any]) -> bool:
        """Whether a pipeline judges the cell of that stored spec."""
        return True

    def whole(self, cell: Mapping[str, Any]) -> bool:
        """Whether a stored result is that of everything there is to have, whatever its task: the end of the gap."""
        return False

    def shared_profile(self, profile: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a stored profile that must be equal in one table."""
        return dict(profile)

    def task_name(self, text: str) -> str:
        """The name of a task that a person wrote.

        Raises:
            ConfigurationError: no task has such a name.
        """
        return text

    def task_order(self, name: str) -> Any:
        """What tasks are sorted by, from a task's name."""
        return name

    def task_figures(self, profile: Mapping[str, Any], name: str) -> dict[str, Any]:
        """What a task allows under a stored profile."""
        return {}

    def task_title(self, figures: Mapping[str, Any]) -> str:
        """The figures of ``task_figures`` in words, for the title of a table; empty where there are none."""
        return ""

    def public_tasks(self, profile: Mapping[str, Any]) -> set[str]:
        """Names of the tasks that a round makes public."""
        return set()

    def curves(self, tasks: Sequence[str]) -> list[tuple[str, tuple[str, ...], list[float]]]:
        """Curves that tasks form along what they cost: label, tasks, and their places on that axis."""
        return []

    def heading(self, condition: Mapping[str, Any]) -> str:
        """The track's own part of a condition in words, for the heading of a table; empty where it has none."""
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in condition.items())

    def maps(
        self, profile: Mapping[str, Any], runs: Sequence[Run], tasks: Sequence[Task] | None, names: Sequence[str], **how: Any
    ) -> list[dict[str, Any]]:
        """Further tables of a set of cells that this track shows, JSON-able.

        Args:
            profile: as stored; ``tasks``: those that were asked for, None where cells were found stored.
            names: of the submissions, in order.
            how: ``metric``, ``seeds`` (None: as many as a place has), ``reference`` and ``level`` of intervals.
        """
        return []

    def map_blocks(self, found: Mapping[str, Any]) -> Iterable[Block]:
        """A map as plain tables."""
        return ()

    def show_map(self, console: Console, found: Mapping[str, Any], title: str = "") -> None:
        """A map in the terminal: its plain tables, where the track shows nothing better."""
        console.print(title, *self.map_blocks(found))

    def run_figures(self, results: Sequence[CellResult]) -> dict[str, Any]:
        """What a task's row of a run's summary holds beside the common figures. ``results``: one per seed."""
        return {}

    def notes(self, cells: Sequence[Mapping[str, Any]]) -> list[str]:
        """How the answers of a run came about, a sentence each. ``cells``: as a run's summary holds them."""
        return []

    def tables(self, results: Sequence[CellResult], data: Any) -> Mapping[str, tuple[Sequence[str], Iterable[Sequence[Any]]]]:
        """Tables of a run as CSV files, by the file's name: header and rows."""
        return {}


@dataclass(frozen=True)
class Tracks:
    """The tracks that a reader of stored results knows, by name."""

    known: Mapping[str, Track]

    def of(self, spec: Mapping[str, Any]) -> Track | None:
        """The track of a stored spec; None where nobody here knows it."""
        return self.known.get(str(spec.get("track")))

    def __iter__(self) -> Iterator[Track]:
        return iter(self.known.values())


def row_of(track: Track, cell: Mapping[str, Any]) -> dict[str, Any]:
    """What of a stored cell (of today's schema) stands in the index and in tables; JSON-able."""
    spec, training = cell["spec"], cell["training"] or {}
    kept = ("track", "submission", "submission_digest", "task", "seed", "score_split", "device", "threads", "tier")
    return {name: spec[name] for name in kept} | {
        "cell": cell["cell"],
        "profile": spec["profile"]["name"],
        "pipeline": spec["pipeline"]["name"],
        "pipeline_digest": digest_of(spec["pipeline"])[:16],
        "verdict": cell["verdict"],
        "reason": cell["reason"],
        "scored": cell["scored"],
        "metrics": _numbers(cell["metrics"]),
        "answer": cell["answer"]["file"],
        "answer_checksum": cell["answer"]["checksum"],
        "session_seconds": sum(phase["seconds"] for phase in cell["phases"]),
        "training_seconds": training.get("seconds"),
        "items": training.get("n_items"),
        "versions": computed_by(cell["versions"]),
        "figures": track.figures(cell),
    }


ROW_READS = frozenset({"cell", "spec", "verdict", "reason", "scored", "metrics", "answer", "phases", "training", "versions"})
"""Members of a stored cell that ``row_of`` needs, beside those of the track's ``figures``."""

DECIDING_VERSIONS = ("python", "numpy", "scipy", "scikit-learn", "pillow", "torch", "torchvision", "timm")


def computed_by(versions: Mapping[str, str]) -> dict[str, str]:
    """Of the stored versions those that may change a figure: libraries, and Python by its minor version.

    The processor is not among them: it is stored, and a table says where several computed it.
    """
    found = {name: versions[name] for name in DECIDING_VERSIONS if versions.get(name)}
    if "python" in found:
        found["python"] = ".".join(found["python"].split(".")[:2])
    return found


def _numbers(metrics: Mapping[str, Any] | None) -> dict[str, float] | None:
    if metrics is None:
        return None
    return {name: value for name, value in metrics.items() if isinstance(value, (int, float)) and not isinstance(value, bool)}


def unlike(names: Sequence[str], digests: Sequence[str]) -> tuple[str, ...]:
    """Names that tell things apart: where two are alike, with the start of their digest."""
    return tuple(f"{n} ({d[:8]})" if list(names).count(n) > 1 else n for n, d in zip(names, digests, strict=True))


def in_order(cells: Iterable[CellSpec], pipelines: Sequence[str]) -> tuple[CellSpec, ...]:
    """Cells as a runner wants them: seed by seed, those of one answer one after the other, then by pipeline."""
    listed = list(cells)
    place: dict[str, int] = {}
    for spec in listed:
        place.setdefault(spec.answer_digest(), len(place))
    return tuple(sorted(listed, key=lambda s: (s.seed, place[s.answer_digest()], pipelines.index(s.pipeline.name))))
