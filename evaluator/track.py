"""What a track is: the protocol ``Track``, and the types that its methods take and give.

A track is one kind of competition. A cell of it (one submission, task, seed and pipeline) is run in two halves:

1. ``Track.plan`` checks what a person asked for (``Choices``) and names every cell: a ``Plan`` of ``CellSpec``.
2. ``Track.obtain`` is the untrusted half. It runs a submission in a sandbox and gives an ``Answer``, which is stored. Another tool
   could also write such an answer.
3. ``Track.judge`` is the trusted half. It turns an answer into a ``CellResult`` and never sees the submission.
4. ``Track.figures`` and the other methods under "tables" tell the shared code what of a result to show.

Everything else (finding the missing cells, parallel workers, storage, tables, comparisons) is shared and knows no track by name.
To write a track, subclass ``Track``, ``CellSpec``, ``Answer`` and ``CellResult``; only the abstract methods are required.
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
"""Called with a word for the work that is being done, and the share of it that is finished, 0 to 1."""
Step = Callable[[str, int, int], None]
"""Called with a word for the work that is being done, the number of finished units, and the number of all units."""


@dataclass(frozen=True, eq=False)
class CellInputs:
    """The files and objects behind a spec on this machine. A spec names them only by hashes.

    Attributes:
        path: of the submission.
        data: the data sets as the track reads them (``Plan.data``). It is pickled and sent whole to worker processes and nodes, so
            large arrays belong in memory-mapped files.
        sandbox: where the submission runs; ``weights_dir``: folder of pretrained weights that it may read.
        busy: other load on the machine, in words; empty without other load.
    """

    path: Path
    data: Any
    sandbox: Sandbox
    weights_dir: Path | None = None
    busy: str = ""


@dataclass(frozen=True, eq=False)
class Judged:
    """A result, and the predictions to store beside it: probabilities, float (images, classes); None without predictions."""

    result: CellResult
    predictions: np.ndarray | None = None


@dataclass(frozen=True)
class Option:
    """An option on the command line and in the TOML file of a sweep.

    Attributes:
        kind: type of a value: ``str``, ``int``, ``float``, ``bool`` or ``Path``.
        help: text for ``--help``.
        many: whether the option takes several values; the value is then a tuple.
        default: value if the option is not given.
        metavar: name of the value in ``--help``; ``choices``: the allowed values, None for any.
    """

    kind: type
    help: str
    many: bool = False
    default: Any = None
    metavar: str | None = None
    choices: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class Choices:
    """What a person asked for, not yet checked by the track. ``Track.plan`` makes a ``Plan`` of it.

    Attributes:
        submissions: the submissions, read.
        profile: name of the profile; ``pipelines``: names or files, empty for the profile's pipeline.
        seeds: indices of the repetitions; ``root_seed``: the seed that every random draw is split from.
        starting_weights: ``imagenet``, ``procedural`` or ``none`` for all pipelines; None for the profile's.
        score_splits: the splits to score, each in cells of its own; empty for the round's.
        tier: isolation tier; ``device``, ``threads``: where pipelines are trained, and with how many CPU threads.
        data: folder of the splits; None for the profile's folder below ``folder``.
        folder: folder of the data sets and of the cache of decoded images.
        weights_dir: folder of pretrained weights that the submission may read.
        options: values of ``Track.options``, by name, defaults filled in.
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
    """One task of a plan.

    Attributes:
        name: as ``CellSpec.task``.
        kind: how it came into the plan. Tables know ``public`` (of the round), ``hidden`` (drawn) and ``grid`` (shown in maps).
        figures: numbers to show beside the name, e.g. limits, by key of the summary.
    """

    name: str
    kind: str
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be run: the data are read and every cell has a spec, but nothing was run yet.

    Attributes:
        rules: the profile; ``tasks``: each once, in order of the tables; ``pipelines``: adapted to the profile.
        fitted_from: for every adapted pipeline, by its name, the name of the pipeline that was asked for.
        cells: one spec per submission, condition, seed, task and pipeline, in this order.
        data: the data of cells (``CellInputs.data``), by the scored split.
        digests: content hash per split, by the scored split.
        items: by task, the largest number of items that a training can have; for a forecast.
        conditions: the values of ``Track.conditions`` that are run, by name.
        warnings: sentences to print before the run.
        shown: lines that describe the plan before the run: label and text.
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
    """A column that a track adds to the table of a run.

    Attributes:
        title: heading of the column.
        text: gives the text of a cell of the table, from a task's row of ``result.json`` (it holds ``run_figures``).
    """

    title: str
    text: Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True)
class Run:
    """One cell, with the values that ``Track.maps`` shows.

    Attributes:
        submission: its name in the table.
        score: higher is better; None if the cell failed.
        figures: as ``Track.figures`` gives them.
    """

    submission: str
    task: str
    seed: int
    verdict: str
    score: float | None
    figures: Mapping[str, Any]


class Track(ABC):
    """One kind of competition. ``docs/architecture.md`` names the files of the first track in the order of a cell.

    Attributes:
        name: of the track, as specs store it.
        version: of its judging code. Raise it by hand when the figures of a cell change; stored cells of the old version are then
            run again.
        task_word: what a person calls a task; the key of a task in tables and summaries.
        spec_rules: the track's fields of a spec that must be equal in one table.
        conditions: those of ``spec_rules`` whose values are run side by side, each in a table of its own. They are options, too.
        circumstances: the track's fields of a spec that may differ within a table; the table then says so.
        options: the track's options on the command line, by name.
        columns: the columns that the track adds to the table of a run.
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
    """Members of a stored cell that ``figures`` and ``whole`` read, in addition to ``ROW_READS``."""
    old_members: ClassVar[frozenset[str]] = frozenset()
    """Members of a stored cell of an older schema that ``upgraded`` reads, in addition to ``schema`` and ``spec``."""
    old_folders: ClassVar[frozenset[str]] = frozenset()
    """Names of folders below ``results/`` in which older kits kept answers. They are listed and can be removed, but not read."""

    # -- records: from JSON to types

    @abstractmethod
    def spec(self, stored: Mapping[str, Any]) -> CellSpec:
        """Read what ``CellSpec.as_dict`` wrote. Profile, round and pipeline are the stored ones, not today's tables.

        Raises:
            ConfigurationError: ``stored`` is not a spec of this track.
        """

    @abstractmethod
    def answer(self, stored: Mapping[str, Any]) -> Answer:
        """Read what ``Answer.as_dict`` wrote.

        Raises:
            ConfigurationError: ``stored`` is not an answer of this track.
        """

    @abstractmethod
    def result(self, stored: Mapping[str, Any]) -> CellResult:
        """Read what ``CellResult.as_dict`` wrote.

        Raises:
            ConfigurationError: ``stored`` is not a result of this track.
        """

    def upgraded(self, stored: dict[str, Any]) -> dict[str, Any]:
        """A stored cell of an older schema, converted to the current schema. ``stored`` may hold only some of its members."""
        return stored

    # -- running a cell

    @abstractmethod
    def plan(self, choices: Choices, step: Step) -> Plan:
        """Check every choice, read the data (generated data are made if they are missing), and make the spec of every cell.

        Raises:
            KitError: a choice makes no sense, or data or weights are missing or wrong.
        """

    def tasks(self, options: Mapping[str, Any], profile: str) -> tuple[Task, ...]:
        """The tasks that ``options`` (of ``Track.options``) name, without reading data; empty if the data must be known for it."""
        return ()

    @abstractmethod
    def obtain(self, spec: Any, inputs: CellInputs, progress: Progress) -> Answer:
        """The untrusted half: run the submission of ``inputs`` and return its answer.

        A failure of the submission is an answer with a verdict; it never raises.
        """

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
        """The trusted half: turn an answer into a result. It gets neither the submission nor a sandbox.

        Args:
            data: ``CellInputs.data``.
            answer: of ``obtain``, or read from the store. It may not be ``scorable``; the result then has no metrics.
            checkpoint: file in which a training keeps its state, and from which it resumes.
            cache: a dict that stays the same for all cells of this process, e.g. to keep the last trained model. None: no cache.

        Raises:
            DeviceError: the device failed. The caller tries again in a new process.
        """

    @abstractmethod
    def broken(self, spec: Any, reason: str, trace: str) -> CellResult:
        """The result (``INFRASTRUCTURE``) of a cell that failed by a fault of the evaluator.

        Args:
            reason: what happened, in words; ``trace``: the evaluator's traceback.
        """

    def places(self, data: Any) -> list[Path]:
        """The files that ``data`` (``CellInputs.data``) refers to. Every node of a cluster must be able to read them."""
        return []

    # -- tables. ``cell``, ``spec`` and ``profile`` are JSON as stored (current schema), so that ten thousand cells are read quickly

    def figures(self, cell: Mapping[str, Any]) -> dict[str, Any]:
        """The track's values of a stored cell for the index and for tables, JSON-able, by name."""
        return {}

    def spec_trains(self, spec: Mapping[str, Any]) -> bool:
        """``CellSpec.trains`` of a stored spec. Only cells that train are compared across pipelines and submissions."""
        return True

    def whole(self, cell: Mapping[str, Any]) -> bool:
        """Whether the submission of a stored cell got everything that it could get, whatever its task.

        Such cells mark the upper end of the gap between the reference and the best possible score.
        """
        return False

    def shared_profile(self, profile: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a profile that must be equal in one table."""
        return dict(profile)

    def task_name(self, text: str) -> str:
        """The name of a task in its usual spelling, from what a person wrote.

        Raises:
            ConfigurationError: ``text`` cannot be the name of a task.
        """
        return text

    def task_order(self, name: str) -> Any:
        """The sort key of a task."""
        return name

    def task_figures(self, profile: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Numbers of a task under a profile, e.g. its limits, by key of a report."""
        return {}

    def task_title(self, figures: Mapping[str, Any]) -> str:
        """The numbers of ``task_figures`` in words, for the title of a table; may be empty."""
        return ""

    def public_tasks(self, profile: Mapping[str, Any]) -> set[str]:
        """Names of the public tasks of the round."""
        return set()

    def curves(self, tasks: Sequence[str]) -> list[tuple[str, tuple[str, ...], list[float]]]:
        """Groups of tasks along one axis of cost; a report gives the area under the score along each.

        Returns:
            (label, tasks, cost of each task), one per curve.
        """
        return []

    def heading(self, condition: Mapping[str, Any]) -> str:
        """The values of ``Track.conditions`` in words, for the heading of a table; may be empty."""
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in condition.items())

    def maps(
        self, profile: Mapping[str, Any], runs: Sequence[Run], tasks: Sequence[Task] | None, names: Sequence[str], **how: Any
    ) -> list[dict[str, Any]]:
        """Further tables of a set of cells, each a JSON-able dict (a "map", e.g. scores over a grid of tasks).

        ``map_blocks`` and ``show_map`` show a map.

        Args:
            runs: the cells.
            tasks: the tasks that were asked for; None if the cells are whatever was stored.
            names: of the submissions, in order.
            how: keywords ``metric`` (of the scores), ``seeds`` (how many a task should have; None: as many as any has),
                ``reference`` (a submission that the others are compared with, or None) and ``level`` (of intervals).
        """
        return []

    def map_blocks(self, found: Mapping[str, Any]) -> Iterable[Block]:
        """A map of ``maps`` as plain tables."""
        return ()

    def show_map(self, console: Console, found: Mapping[str, Any], title: str = "") -> None:
        """Print a map of ``maps``; by default as its plain tables."""
        console.print(title, *self.map_blocks(found))

    def run_figures(self, results: Sequence[CellResult]) -> dict[str, Any]:
        """The track's values in a task's row of ``result.json``, by name. ``results``: of the task, one per seed."""
        return {}

    def notes(self, cells: Sequence[Mapping[str, Any]]) -> list[str]:
        """Sentences below the table of a run, on how its answers were obtained. ``cells``: those of ``result.json``."""
        return []

    def tables(self, results: Sequence[CellResult], data: Any) -> Mapping[str, tuple[Sequence[str], Iterable[Sequence[Any]]]]:
        """Tables to write as CSV files into the folder of a run: by file name, the header and the rows."""
        return {}


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
"""Members of a stored cell that ``row_of`` reads, in addition to those of ``Track.figure_members``."""

DECIDING_VERSIONS = ("python", "numpy", "scipy", "scikit-learn", "pillow", "torch", "torchvision", "timm")


def computed_by(versions: Mapping[str, str]) -> dict[str, str]:
    """The stored versions that may change a figure: libraries, and Python by its minor version (``3.13``).

    Cells that differ in them are not reused and not shown in one table. The processor is not among them: a table only says that its
    cells were computed on several.
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
    """``names`` made distinct: a name that occurs more than once gets the start of its digest."""
    return tuple(f"{n} ({d[:8]})" if list(names).count(n) > 1 else n for n, d in zip(names, digests, strict=True))


def in_order(cells: Iterable[CellSpec], pipelines: Sequence[str]) -> tuple[CellSpec, ...]:
    """Cells in the order in which a runner takes them: by seed, then by answer, then by pipeline. ``pipelines``: names in order."""
    listed = list(cells)
    place: dict[str, int] = {}
    for spec in listed:
        place.setdefault(spec.answer_digest(), len(place))
    return tuple(sorted(listed, key=lambda s: (s.seed, place[s.answer_digest()], pipelines.index(s.pipeline.name))))
