"""From what a person asks for to the cells that are run: options, choices, tasks, and the plan that a track makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluator.secret import Secret, root_of
from evaluator.specs import CellSpec, Recipe, Rules
from evaluator.submission.source import GIVEN

if TYPE_CHECKING:
    from evaluator.submission.source import Source

Step = Callable[[str, int, int], None]
"""Called with a word for the work that is being done, the number of finished units, and the number of all units."""


@dataclass(frozen=True)
class Option:
    """An option on the command line and in the TOML file of a sweep.

    Attributes:
        kind: type of a value: ``str``, ``int``, ``float``, ``bool`` or ``Path``.
        help: text for ``--help``.
        many: whether the option takes several values; the value is then a tuple.
        default: value if the option is not given.
        group: its heading in ``--help``: ``the grid`` (what is multiplied into cells), ``rules`` or ``work and files``.
        file: a value that ends in ``.toml`` is the path of a file; in a file of options it is seen from that file's folder.
        metavar: name of the value in ``--help``; ``choices``: the allowed values, None for any.
    """

    kind: type
    help: str
    many: bool = False
    default: Any = None
    metavar: str | None = None
    choices: tuple[str, ...] | None = None
    group: str = "rules"
    file: bool = False


@dataclass(frozen=True, eq=False)
class Choices:
    """What a person asked for, not yet checked by the track. ``Track.plan`` makes a ``Plan`` of it.

    Attributes:
        submissions: the submissions, read.
        profile: name of the profile; ``pipelines``: names or files, empty for the profile's pipeline.
        data_sets: numbers of the data sets that are made of the profile, each with cells of its own; ``(0,)`` is the profile's own.
            ``make_data``: whether missing data sets are made; else the cells on them have no digests of data, and cannot run.
        seeds: indices of the repetitions; ``root_seed``: the seed that every random draw follows from.
        secret: what every draw follows from, too; None for public seeds.
        starting_weights: ``imagenet``, ``procedural`` or ``none`` for all pipelines; None for the profile's.
        score_splits: the splits to score, each in cells of its own; empty for the round's.
        tier: isolation tier; ``device``, ``threads``: where pipelines are trained, and with how many CPU threads.
        data: folder of the splits; None for the profile's folder below ``folder``.
        folder: folder of the data sets and of the cache of decoded images. ``also``: where a data set may lie as well, e.g. in a
            checkout that cannot be written.
        weights_dir: folder of pretrained weights that the submission may read.
        options: values of ``Track.options``, by name, defaults filled in.
        trains: whether anything will be trained; if not, nobody needs the weights that a training starts from.
    """

    submissions: tuple[Source, ...]
    profile: str
    pipelines: tuple[str, ...]
    seeds: range
    root_seed: int
    secret: Secret | None
    starting_weights: str | None
    score_splits: tuple[str, ...]
    tier: str
    device: str
    threads: int
    data: Path | None
    folder: Path
    weights_dir: Path | None
    options: Mapping[str, Any]
    also: tuple[Path, ...] = ()
    data_sets: tuple[int, ...] = (0,)
    make_data: bool = True
    trains: bool = True

    @property
    def fingerprint(self) -> str:
        """Of the secret; empty for public seeds."""
        return "" if self.secret is None else self.secret.fingerprint

    @property
    def root(self) -> int:
        """The number that every draw is split from. It may reach the data of cells, and nothing that is stored or shown."""
        return root_of(self.secret, self.root_seed, self.fingerprint)

    def data_set(self, name: str) -> Path:
        """Where the data set of a name lies, or is to be made."""
        places = [folder / name for folder in (self.folder, *self.also)]
        return next((place for place in places if place.is_dir()), places[0])

    def common(self, source: Source) -> dict[str, Any]:
        """The fields of ``CellSpec`` that are the same for all cells of a submission."""
        own = {name: getattr(self, name) for name in ("root_seed", "tier", "device", "threads")}
        own["secret"] = self.fingerprint
        own |= {"tier": GIVEN} if source.answer else {}  # no clock and no sandbox had a part in it
        return own | {"submission": source.name, "submission_digest": source.digest}


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


@dataclass(frozen=True)
class Making:
    """What several data sets cost.

    Attributes:
        sets: how many are asked for; ``missing``: how many of them were not there yet.
        seconds, size: about how long making one takes, and its size in bytes.
    """

    sets: int
    missing: int
    seconds: float
    size: float

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; seconds and bytes are those of the missing data sets together."""
        cost = {"seconds": round(self.missing * self.seconds, 1), "bytes": round(self.missing * self.size)}
        return {"sets": self.sets, "missing": self.missing, **cost}


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be run: the data are read and every cell has a spec, but nothing was run yet.

    Attributes:
        rules: the profile; ``tasks``: each once, in order of the tables; ``pipelines``: adapted to the profile.
        cells: one spec per submission, condition, seed, task and pipeline, in this order.
        data: the data of cells (``CellInputs.data``), by the scored split.
        data_sets: the same by number of the data set, where the cells are not on the profile's own; else empty.
        making: what these data sets cost; None without them.
        digests: content hash per split, by the scored split; of several data sets those of the first.
        items: by task, the largest number of items that a training can have; for a forecast.
        fitted_from: for every adapted pipeline, by its name, the name of the pipeline that was asked for.
        no_pipeline: why no pipeline judges, in words; empty if the plan's pipelines do.
        warnings: sentences to print before the run.
        shown: lines that describe the plan before the run: label and text.
    """

    rules: Rules
    tasks: tuple[Task, ...]
    pipelines: tuple[Recipe, ...]
    cells: tuple[CellSpec, ...]
    data: Mapping[str, Any]
    digests: Mapping[str, dict[str, str]] = field(default_factory=dict)
    items: Mapping[str, int] = field(default_factory=dict)
    fitted_from: Mapping[str, str] = field(default_factory=dict)
    no_pipeline: str = ""
    warnings: tuple[str, ...] = ()
    shown: tuple[tuple[str, str], ...] = ()
    data_sets: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    making: Making | None = None

    def data_of(self, spec: CellSpec) -> Any:
        """The data of a cell.

        Raises:
            KeyError: its data set was not made.
        """
        return self.data_sets.get(spec.data_set, self.data)[spec.score_split]

    @property
    def conditions(self) -> dict[str, tuple[Any, ...]]:
        """The values of ``Track.conditions`` that are run, by name, in the order of the cells."""
        names = tuple(self.cells[0].condition) if self.cells else ()
        return {name: tuple(dict.fromkeys(spec.condition[name] for spec in self.cells)) for name in names}


def in_order(cells: Iterable[CellSpec], pipelines: Sequence[str]) -> tuple[CellSpec, ...]:
    """Cells in the order in which a runner takes them: by seed, then by answer, then by pipeline. ``pipelines``: names in order."""
    listed = list(cells)
    place: dict[str, int] = {}
    for spec in listed:
        place.setdefault(spec.answer_digest(), len(place))
    return tuple(sorted(listed, key=lambda s: (s.seed, place[s.answer_digest()], pipelines.index(s.pipeline.name))))
