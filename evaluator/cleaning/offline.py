"""The open division: tasks and baselines' rankings as files, for the first two of the four steps of DataPerf's own programs.

``write_tasks`` stands in for the original's download, ``create_baselines`` for its program of that name. What they read and write
has the original's names and forms (https://github.com/DS3Lab/dataperf-vision-debugging). ``open_division`` judges.
"""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluator.cleaning.folder import REMOVED, UNKNOWN, read_task, task_names
from evaluator.cleaning.rankings import TIME, Refused
from evaluator.cleaning.sets import CleaningSets, parsed
from evaluator.cleaning.tasks import CleaningTask, Part
from evaluator.errors import ConfigurationError
from evaluator.files import replaced, write_text
from evaluator.seeds import derive
from evaluator.strategies.valuation.methods import METHODS
from evaluator.words import meant

EVALUATION = "_evaluation.json"
LISTED = 12
"""Tasks that an error names."""
Said = Callable[[str], None]


@dataclass(frozen=True)
class Folders:
    """The four folders of the original.

    Attributes:
        embeddings: tables of rows; ``groundtruth``: tables of true labels.
        submissions: rankings; ``results``: what evaluations write.
    """

    embeddings: Path
    groundtruth: Path
    submissions: Path
    results: Path

    @classmethod
    def below(cls, folder: Path) -> Folders:
        """With the original's names in one folder."""
        return cls(folder / "embeddings", folder / "data", folder / "submissions", folder / "results")


def write_tasks(sets: CleaningSets, names: Sequence[str], folders: Folders, said: Said = lambda text: None) -> None:
    """Write tasks in DataPerf's layout, as ``.npz`` tables: those of seed 0.

    Args:
        sets: where the tasks come from; ``names``: empty for all of them.

    Raises:
        KitError: there is no such task, or it cannot be made.
        OSError: a file cannot be written.
    """
    tasks = [sets.task(name, 0) for name in names or sets.names()]
    for task in tasks:
        _require_no_other(folders.embeddings, task)
    for folder in (folders.embeddings, folders.groundtruth):
        folder.mkdir(parents=True, exist_ok=True)
    for task in tasks:
        rate = "real" if sets.folder is not None else f"{parsed(task.name).rate:g}"
        start = len(task.train)
        # Nobody looks at the test rows of a task whose judge trains no model.
        for split, part, first in (("val", task.validation, start), ("test", task.test, start + len(task.validation))):
            ids = [f"{task.name}-{number:06d}" for number in range(first, first + len(part))]
            _write_table(folders.embeddings / f"{task.name}_{split}_{len(part)}.npz", ids, part)
        ids = [f"{task.name}-{number:06d}" for number in range(start)]
        with io.StringIO(newline="") as text:
            table = csv.writer(text, lineterminator="\n")
            table.writerow(["ImageID", "hv_label"])
            table.writerows(zip(ids, _said(task), strict=True))
            write_text(folders.groundtruth / f"dataset_{task.name}_train.csv", text.getvalue())
        # Last, because a task is there when its training table is.
        _write_table(folders.embeddings / f"{task.name}_train_{rate}_{start}.npz", ids, task.train)
        said(f"{task.name}: {start} rows to clean, {int(task.wrong.sum())} of them wrong")


def _require_no_other(embeddings: Path, task: CleaningTask) -> None:
    """Check that the tables of a task replace those that are there, for beside others nobody can tell which are meant."""
    parts = {"train": len(task.train), "val": len(task.validation), "test": len(task.test)}
    wanted = re.compile(rf"{re.escape(task.name)}_(train_[^_]+|val|test)_([0-9]+)\.(parquet|npz)")
    for path in sorted(embeddings.iterdir()) if embeddings.is_dir() else ():
        found = wanted.fullmatch(path.name)
        if found and (int(found[2]) != parts[found[1].split("_")[0]] or found[3] != "npz"):
            raise ConfigurationError(
                f"{path}: another table of the task {task.name}; expected none beside the new ones. Remove it, or name another "
                "folder"
            )


def _said(task: CleaningTask) -> list[str]:
    """What an expert says of every training row, as the table of true labels writes it."""
    said = [" ".join(map(str, row)) for row in task.true.reshape(len(task.train), -1).tolist()]
    for word, rows in ((REMOVED, task.removed), (UNKNOWN, None if task.known is None else ~task.known)):
        for row in np.flatnonzero(rows) if rows is not None else ():
            said[row] = word
    return said


def create_baselines(
    folders: Folders, tasks: Sequence[str], methods: Sequence[str], seed: int, seconds: float, said: Said = lambda text: None
) -> tuple[int, list[Refused]]:
    """Rank every task by every method, and write the rankings and their times. What fails does not stop the others.

    Args:
        tasks: names; empty for all of the folder.
        methods: names in ``METHODS``; empty for all that can run here.
        seed: that every method's draws follow from; ``seconds``: that a method may take, for those that look at it.

    Returns:
        The number of rankings that were written, and what failed: tables that are not good, methods that raised something.

    Raises:
        ConfigurationError: a named task or method is not there.
        OSError: a file cannot be written.
    """
    if not seconds > 0:
        raise ConfigurationError(f"--seconds is {seconds:g}; expected a number above 0")
    for name in methods:
        if name not in METHODS:
            raise ConfigurationError(f"--methods: there is no method {name!r}{meant(name, METHODS)}; known: {', '.join(METHODS)}")
    known = task_names(folders.embeddings)
    require_tasks(tasks, known)
    folders.submissions.mkdir(parents=True, exist_ok=True)
    written, failed = 0, []
    for name in tasks or known:
        try:
            task = read_task(name, folders.embeddings, folders.groundtruth)
        except ConfigurationError as error:
            failed.append(Refused("", str(error)))
            continue
        given = task.train.rows, task.train.labels, task.validation.rows, task.validation.labels
        for method in methods or METHODS:
            own = derive(seed, "cleaning", name, method) % 2**31
            began = time.perf_counter()
            try:
                ranking = METHODS[method](*given, own, seconds)
            except ImportError as error:
                said(f"{name}: {method} is left out: {error}")
                continue
            except Exception as error:  # one method, on data that it was not made for, must not cost the others
                failed.append(Refused(method, f"{name}: {method} failed: {type(error).__name__}: {error}"))
                continue
            used = time.perf_counter() - began
            write_text(folders.submissions / f"{name}_{method}.txt", "".join(f"{row}\n" for row in ranking.tolist()))
            write_text(folders.submissions / f"{TIME}{name}_{method}.txt", f"{used}\n")
            said(f"{name}: {method} in {used:.2f} s")
            written += 1
    return written, failed


def require_tasks(names: Sequence[str], known: Sequence[str]) -> None:
    """Check that every named task is there.

    Raises:
        ConfigurationError: one is not.
    """
    for name in names:
        if name not in known:
            listed = ", ".join(known[:LISTED]) + (f" and {len(known) - LISTED} more" if len(known) > LISTED else "")
            raise ConfigurationError(f"--tasks: there is no task {name!r}{meant(name, known)}; there are {listed}")


def _write_table(path: Path, ids: Sequence[str], part: Part) -> None:
    with replaced(path, "wb") as file:
        np.savez_compressed(file, filename=np.array(ids), encoding=part.rows, label=part.labels)
