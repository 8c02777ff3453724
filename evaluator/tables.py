"""What a track adds to tables: the part of ``Track`` that shows results.

A track declares its metrics. Everything else has a default.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from evaluator.errors import ConfigurationError
from evaluator.plans import Task
from evaluator.records import CellResult
from evaluator.sections import Cells, Material, Section
from evaluator.text import one_line

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console


@dataclass(frozen=True)
class Metric:
    """A figure that every scored cell of a track has, and how tables write it.

    Tables of single runs and of sweeps show the value as it is. Comparisons and rankings use the *score*: higher is always better.

    Attributes:
        name: its key in ``CellResult.metrics``, and its name on the command line.
        label: its name in tables.
        higher_is_better: False for a loss, an error, a duration.
        low, high: the smallest and the largest possible value; None without a bound.
        decimals: digits after the decimal point in tables.
        note: how special cases are counted, as half a sentence below the table of a run; may be empty.

    Raises:
        ConfigurationError: a field makes no sense.
    """

    name: str
    label: str
    higher_is_better: bool = True
    low: float | None = None
    high: float | None = None
    decimals: int = 3
    note: str = ""

    def __post_init__(self) -> None:
        bounds = [bound for bound in (self.low, self.high) if bound is not None]
        if not all(map(math.isfinite, bounds)) or bounds != sorted(set(bounds)):
            raise ConfigurationError(f"metric {self.name!r}: its range is {self.low} to {self.high}; expected low < high")
        if self.decimals < 0:
            raise ConfigurationError(f"metric {self.name!r}: decimals is {self.decimals}; expected 0 or more")

    @property
    def explanation(self) -> str:
        """The note behind the label, which is not said twice; empty where there is no note."""
        return self.note if not self.note or self.note.startswith(self.label) else f"{self.label}: {self.note}"

    @property
    def span(self) -> float | None:
        """The largest possible difference of two values; None without both bounds."""
        return None if self.low is None or self.high is None else self.high - self.low

    def score(self, value: float) -> float:
        """A value as a score, higher is better. Of a loss it is ``high - value``, or the negative value if there is no ``high``."""
        return value if self.higher_is_better else (self.high or 0.0) - value

    @property
    def score_label(self) -> str:
        """What tables call the score: ``accuracy``, ``1 - log loss``, ``negative error``."""
        if self.higher_is_better:
            return self.label
        return f"negative {self.label}" if self.high is None else f"{self.high:g} - {self.label}"

    @property
    def turned(self) -> str:
        """What a comparison says of a score that is not the value itself, a sentence; empty if it is."""
        if self.higher_is_better:
            return ""
        return f"{self.score_label}: {self.label} turned round, because in comparisons higher is better"

    def text(self, value: float) -> str:
        """A value, or a score, as tables write it."""
        return f"{value:.{self.decimals}f}"

    def fault(self, metrics: Mapping[str, Any]) -> str:
        """What is wrong with this metric in the metrics of a cell, in words; empty if nothing is."""
        if self.name not in metrics:
            return f"the metric {self.name} is missing"
        value = metrics[self.name]
        if not _is_finite(value):
            return f"the metric {self.name} is {str(value)[:40]!r}; expected a finite number"
        if (self.low is not None and value < self.low) or (self.high is not None and value > self.high):
            least, most = ("any" if bound is None else f"{bound:g}" for bound in (self.low, self.high))
            return f"the metric {self.name} is {value:g}; expected {least} to {most}"
        return ""


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


@dataclass(frozen=True)
class Remark:
    """A warning about what a submission did in one cell.

    Attributes:
        what: equal in all cells that it is said of; they are told in one line.
        detail: of this cell; ``advice``: what to do, a sentence.
        of_task: whether it is said of the task, whatever the submission: one line for all of them.
    """

    what: str
    detail: str
    advice: str
    of_task: bool = False


@dataclass(frozen=True)
class Block:
    """One table: the first column is on the left, all others on the right."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


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
        collapsed: as ``Track.collapsed`` says.
        observation: as ``Track.observation`` gives it: runs of one submission and task with an equal one count once.
    """

    submission: str
    task: str
    seed: int
    verdict: str
    score: float | None
    figures: Mapping[str, Any]
    collapsed: bool = False
    observation: str | None = None


def either(names: Sequence[str]) -> str:
    """``a``, ``a or b``, ``a, b or c``: each name once."""
    *rest, last = dict.fromkeys(names)
    return f"{', '.join(rest)} or {last}" if rest else last


class Tables:
    """What of a track's results stands in the index, in tables and in comparisons.

    Attributes:
        metrics: what its cells are scored by, in the order of the tables. The first is the primary metric, which ranks, unless the
            round of a profile names another of them (``primary``).
        score_splits: the splits that a person can choose to score; empty if there is nothing to choose.
        task_word: what a person calls a task; the key of a task in tables and summaries. ``item_word``: what an item of its data is
            called.
        columns: the columns that the track adds to the table of a run.
        collapsed_text: what ``collapsed`` finds, the rest of a sentence that begins with "the score is".
        unscored: what a ranking says of failed cells that it leaves out: "12 cells" and these words.
        map_help: text for ``--heat-map FILE``, if the track draws its maps (``draw_maps``); else empty.
    """

    metrics: ClassVar[tuple[Metric, ...]]
    score_splits: ClassVar[tuple[str, ...]] = ()
    task_word: ClassVar[str] = "task"
    item_word: ClassVar[str] = "item"
    unscored: ClassVar[str] = "without a score"
    collapsed_text: ClassVar[str] = "no better than without any learning"
    map_help: ClassVar[str] = ""
    columns: ClassVar[tuple[Column, ...]] = ()
    figure_members: ClassVar[frozenset[str]] = frozenset()
    """Members of a stored cell that ``figures`` and ``whole`` read, in addition to ``ROW_READS``."""
    public_members: ClassVar[frozenset[str]] = frozenset()
    """Members of a stored cell that ``public_sections`` reads, beside ``figure_members`` and those that every table needs."""

    # -- metrics

    @property
    def one_seed_text(self) -> str:
        """Why there is no interval beside a mean of one seed, and what to do about it."""
        return "an interval needs 2 seeds or more: use --seeds 6"

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The names of its metrics, in order."""
        return tuple(metric.name for metric in self.metrics)

    def metric(self, name: str) -> Metric:
        """A metric by its name.

        Raises:
            ConfigurationError: the track has no metric of this name.
        """
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise ConfigurationError(f"the metric {name!r} is not known; it must be {either(self.metric_names)}")

    def primary(self, profile: Mapping[str, Any]) -> Metric:
        """The metric that ranks under a profile (as stored): ``round.primary_metric``, or else the first of ``metrics``.

        Raises:
            ConfigurationError: the round names a metric that the track does not have.
        """
        return self.metric(profile["round"].get("primary_metric", self.metrics[0].name))

    def metrics_fault(self, metrics: Mapping[str, Any]) -> str:
        """What is wrong with the metrics that a judge gave, in words; empty if nothing is."""
        return next((why for metric in self.metrics if (why := metric.fault(metrics))), "")

    def given_metrics_fault(self, metrics: Mapping[str, Any]) -> str:
        """The same of those metrics that are there: a file of an older kit may lack some."""
        return next((why for metric in self.metrics if metric.name in metrics and (why := metric.fault(metrics))), "")

    # ``cell``, ``spec`` and ``profile`` are JSON as stored (current schema), so that ten thousand cells are read quickly.

    def stored_metrics_fault(self, cell: Mapping[str, Any]) -> str:
        """What is wrong with the metrics of a stored cell, or with the name of that which ranks, in words; empty if nothing is.

        A scored cell must have the metric that ranks. It may lack others: the track may have got them later.
        """
        metrics = cell.get("metrics")
        try:
            primary = self.primary(cell["spec"]["profile"])
        except ConfigurationError as error:
            return f"holds no usable spec.profile.round.primary_metric ({str(error)[:200]})"
        if not metrics:
            return ""
        there = [metric for metric in self.metrics if metric == primary or metric.name in metrics]
        return next((f"holds no usable metrics ({why})" for metric in there if (why := metric.fault(metrics))), "")

    def collapsed(self, metrics: Mapping[str, Any]) -> bool:
        """Whether the model behind a score learnt nothing: the score is no better than that of an answer that needs no data.

        Tables mark such cells and count them, and give a mean that holds some of them together with the mean of the others.

        Args:
            metrics: of a scored cell, or the numbers among them, as an older kit may have stored them.
        """
        return False

    def figures(self, cell: Mapping[str, Any]) -> dict[str, Any]:
        """The track's values of a stored cell for the index and for tables, JSON-able, by name."""
        return {}

    def observation(self, cell: Mapping[str, Any]) -> str | None:
        """What a stored cell is an observation of: equal for cells of one submission and task that differ in nothing but the chance
        of their training, because answer and inputs are the same. Such cells count as one observation, whatever their number.

        A track that can tell equal answers overrides it. By default only cells whose predictions are equal to the bit are the same.

        Returns:
            A key of cells that are one observation; None if it is not known whether another cell is the same.
        """
        found = cell.get("fingerprint")
        return None if found is None else str(found)

    def not_compared(self, spec: Mapping[str, Any]) -> str:
        """Why cells of a stored spec are in no comparison and no ranking; the rest of a sentence that begins with "it" (the cell).

        Empty if they are compared, which is the default.
        """
        return ""

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

    def drawn_scores(self, cell: Mapping[str, Any], predictions: Any, metric: str, draws: int, places: Path) -> np.ndarray | None:
        """Values of a metric (draws,) of a stored cell on scored items drawn anew with replacement, from its kept predictions.

        The draws are the same for all cells of one data set. None if the track cannot say.

        Args:
            places: folder of data sets and of the cache.

        Raises:
            DataError: the data are not there, or are not those of the cell.
        """
        return None

    def condition_text(self, name: str, value: Any) -> str:
        """A value of ``Track.conditions`` as text, without its name."""
        return f"{value:g}" if isinstance(value, float) else str(value)

    def heading(self, condition: Mapping[str, Any]) -> str:
        """The values of ``Track.conditions`` in words, for the heading of a table; may be empty."""
        return ", ".join(f"{name.replace('_', ' ')} {self.condition_text(name, value)}" for name, value in condition.items())

    def unusual(self, condition: Mapping[str, Any]) -> str:
        """What a title must say of a condition even where no other stands beside it, in words; empty for the usual condition.

        Args:
            condition: the values of ``Track.conditions``, as far as they are stored, among other members.
        """
        return ""

    def repeat_command(self, specs: Sequence[Mapping[str, Any]], tasks: Sequence[str], seeds: int) -> list[list[str]] | None:
        """The command that runs these cells again, as lines of words, where it is one of the track's own; None for the usual ones.

        Args:
            specs: of the stored cells, one or more.
        """
        return None

    def pipeline_text(self, pipeline: Mapping[str, Any]) -> str:
        """What a line before a run says of a pipeline (``Recipe.as_dict``), after its name; may be empty."""
        return ""

    def adapted_text(self, pipeline: Mapping[str, Any]) -> str:
        """How a pipeline was adapted to the profile, for a note; may be empty."""
        return ""

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
        console.print(one_line(title), *self.map_blocks(found))

    def map_tasks(self, found: Mapping[str, Any]) -> set[str]:
        """Names of the tasks that a map of ``maps`` covers."""
        return set()

    def check_drawing(self, path: Path, tasks: Sequence[Task] | None = None) -> None:
        """Check that maps can be drawn into a file, before anything is run for them. Needs ``map_help``.

        Args:
            tasks: the tasks that were asked for; None if the cells are whatever was stored.

        Raises:
            ConfigurationError: they cannot.
        """
        raise ConfigurationError(f"{path}: the track draws no maps into a file; leave --heat-map out")

    def draw_maps(self, path: Path, maps: Sequence[tuple[str, Mapping[str, Any]]], source: str) -> None:
        """Draw maps of ``maps``. A track that sets ``map_help`` overrides this and ``check_drawing``.

        Args:
            maps: (heading, map) of each; ``source``: what they were made of, for the file's metadata.

        Raises:
            ConfigurationError: there is no map, or the file cannot be written.
        """
        raise ConfigurationError(f"{path}: the track draws no maps into a file; leave --heat-map out")

    def run_figures(self, results: Sequence[CellResult]) -> dict[str, Any]:
        """The track's values in a task's row of ``result.json``, by name. ``results``: of the task, one per seed."""
        return {}

    def score_notes(self, cells: Sequence[Mapping[str, Any]]) -> list[str]:
        """Sentences below the table of a run that help to read its scores. ``cells``: those of ``result.json``."""
        return []

    def remarks(self, cell: Mapping[str, Any]) -> Iterable[Remark]:
        """Warnings about what the submission did in a cell (as stored)."""
        return ()

    def notes(self, cells: Sequence[Mapping[str, Any]]) -> list[str]:
        """Sentences below the table of a run, on how its answers were obtained. ``cells``: those of ``result.json``."""
        return []

    def tables(self, results: Sequence[CellResult], data: Any) -> Mapping[str, tuple[Sequence[str], Iterable[Sequence[Any]]]]:
        """Tables to write as CSV files into the folder of a run: by file name, the header and the rows."""
        return {}

    # -- reports (HTML)

    def report_sections(self, cells: Cells, material: Material) -> Iterable[Section]:
        """The sections that the track adds to a report of these cells.

        Cells of a comparison have the members of ``figure_members`` and those that every table needs, no others.
        """
        return ()

    def public_sections(self, cells: Cells) -> Iterable[Section]:
        """The sections that a leaderboard's page of a submission shows to everybody: by default those of a report of these cells.

        They hold figures of whole cells, and nothing of single items: whoever sends many submissions could put single labels
        together from them. Bars, dots and curves are shown, everything else is left out.

        Args:
            cells: of tasks that are not hidden, with the members of ``figure_members`` and ``public_members``, and no others.
        """
        return self.report_sections(cells, Material(lambda cell: None, False, Path(), Path()))

    def repeat_options(self, specs: Sequence[Mapping[str, Any]], tasks: Sequence[str], one: bool) -> list[str]:
        """The options of a command line that runs the same tasks under the same rules, as words; for a report's last section.

        Args:
            specs: of the stored cells, one or more; ``one``: for ``local_evaluation.py``, else for ``sweep``.
        """
        options = getattr(self, "options", {})
        found: list[str] = []
        for name in getattr(self, "spec_rules", ()):
            values = list(dict.fromkeys(str(spec[name]) for spec in specs))
            if name in options and options[name].kind is bool:
                found += [f"--{name.replace('_', '-')}"] if values == ["True"] else []
            elif name in options:
                found += [f"--{name.replace('_', '-')}", *values]
        return found

    def repeat_rules(self, profile: Mapping[str, Any], private: bool) -> tuple[list[str], dict[str, str]]:
        """The options that name a stored profile, as words, and the files that they need: content by name.

        Args:
            private: leave out of a file what people who take part must not know.
        """
        return ["--profile", str(profile["name"])], {}

    def repeat_pipeline(self, pipeline: Mapping[str, Any], asked: str) -> tuple[str, dict[str, str]]:
        """What names a stored pipeline in a command, and the file that it needs: content by name. ``asked``: its name there."""
        return asked, {}
