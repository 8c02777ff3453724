"""Tables of edits as submissions of the open division: what a person or a tool would change in the training rows, in order.

A file ``{data_id}_{method}.csv`` has the columns ``id, action, label, split`` of ``evaluator.data.edits``. Here ``id`` is the file
name of a training row, ``action`` is ``relabel`` or ``drop``, ``label`` is written as in the table of true labels, and ``split`` is
``train`` or empty. Every row stands in one edit at most; the order of the edits counts, for it is the order of the curve.
"""

from __future__ import annotations

from pathlib import Path

from evaluator.bounded import BoundsError
from evaluator.cleaning.tasks import CleaningTask
from evaluator.data.edits import Edit, EditTable
from evaluator.errors import DataError
from evaluator.text import name as shown
from evaluator.words import meant

SPLITS = ("train",)
Label = int | list[int]
"""A class, or 0 and 1 for every class: a row of ``tasks.Part.labels``."""


def read_edits(path: Path, task: CleaningTask) -> tuple[tuple[int, Label | None], ...]:
    """The edits of a table in its order: rows of the training set with their new label, None for a row that is dropped.

    Raises:
        ConfigurationError: it is no table of edits of these rows; the message names the file, the line and the value.
        OSError: it cannot be read.
    """
    try:
        table = EditTable.read(path, splits=SPLITS)
    except DataError as error:
        raise BoundsError(str(error)) from None
    if not len(table):
        raise BoundsError(f"{path}: it holds no edit; expected a line for every row that is to change. Write them, or remove it")
    rows = {name: row for row, name in enumerate(task.ids)}
    edits = tuple(_edit(edit, f"{path}, line {edit.line}", rows, task) for edit in table)
    dropped = sum(label is None for _, label in edits)
    if dropped == len(task.train):
        raise BoundsError(f"{path}: all {dropped:,} training rows are dropped; expected one that is left. Keep some")
    return edits


def label_of(text: str, task: CleaningTask) -> Label:
    """A label as ``hv_label`` writes it: a whole number, or for several labels a row 0 and 1 for every class (``0 0 1``).

    Raises:
        ValueError: it is no label of the task; the message says what was expected.
    """
    if task.kind != "multilabel":
        if not (text.isascii() and text.isdigit()) or len(text) > 6 or int(text) >= task.classes:
            raise ValueError(f"expected a whole number, 0 to {task.classes - 1}")
        return int(text)
    words = text.split()
    if len(words) != task.classes or not set(words) <= {"0", "1"}:
        raise ValueError(f"expected 0 or 1 for each of {task.classes} classes, with blanks between")
    return [int(word) for word in words]


def _edit(edit: Edit, where: str, rows: dict[str, int], task: CleaningTask) -> tuple[int, Label | None]:
    if edit.action not in ("relabel", "drop"):
        raise BoundsError(f"{where}: action is {edit.action!r}; expected relabel or drop. Rows are neither added nor moved here")
    if edit.id not in rows:
        near = meant(edit.id, rows) if len(rows) < 20_000 else ""
        raise BoundsError(f"{where}: there is no training row {shown(edit.id)!r}{near}; expected its file name. Correct it")
    if edit.action == "drop":
        return rows[edit.id], None
    try:
        return rows[edit.id], label_of(edit.label, task)
    except ValueError as error:
        raise BoundsError(f"{where}: label is {shown(edit.label)!r}; {error}. Correct it") from None
