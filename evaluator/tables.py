"""What a track adds to tables: the part of ``Track`` that shows results. Every method has a default; a track may leave out all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from evaluator.plans import Task
from evaluator.records import CellResult

if TYPE_CHECKING:
    from rich.console import Console


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
    """

    submission: str
    task: str
    seed: int
    verdict: str
    score: float | None
    figures: Mapping[str, Any]


class Tables:
    """What of a track's results stands in the index, in tables and in comparisons.

    Attributes:
        task_word: what a person calls a task; the key of a task in tables and summaries.
        columns: the columns that the track adds to the table of a run.
    """

    task_word: ClassVar[str] = "task"
    columns: ClassVar[tuple[Column, ...]] = ()
    figure_members: ClassVar[frozenset[str]] = frozenset()
    """Members of a stored cell that ``figures`` and ``whole`` read, in addition to ``ROW_READS``."""

    # ``cell``, ``spec`` and ``profile`` are JSON as stored (current schema), so that ten thousand cells are read quickly.

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
