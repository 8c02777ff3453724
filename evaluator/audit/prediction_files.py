"""Predictions from files: a class, the likeliest classes, or a score for every class of each image.

| file | a class | likeliest classes | scores |
|---|---|---|---|
| CSV | ``id,class`` | ``id,top`` (``"3,5,7"``) or ``id,top1,top2,...`` | ``id,score0,score1,...`` |
| Parquet | the same | the same, or ``top`` a list | the same, or ``scores`` a list |
| ``.npz``, with ``ids`` | ``class`` int (n,) | ``top`` int (n, k) | ``scores`` float (n, classes) |
| ``.npy``, with ``--ids`` | int (n,) | int (n, k) | float (n, classes) |

Where an image may have any number of labels, ``top`` (or ``labels``) is the predicted set, ``-1`` for none, an integer or bool
array (n, classes) has 0 and 1, and of scores those from the threshold on are predicted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.audit.benchmark import Benchmark
from evaluator.audit.predictions import Predictions
from evaluator.audit.reading import Reading, ids_of_arrays
from evaluator.audit.tables import ENDINGS, arrays, parquet, shown, text_table
from evaluator.bounded import BoundsError
from evaluator.errors import ConfigurationError
from evaluator.text import one_line

CLASS, TOP = ("class", "prediction"), ("top", "labels")
MOST_TOP = 1_000
"""Columns ``top1``, ``top2``, ... of a table, and labels of a list."""


def read_predictions(path: Path, benchmark: Benchmark, how: Reading, name: str = "") -> Predictions:
    """The predictions of a file in the order of a benchmark.

    Args:
        name: of the model; by default the file's, without its ending.

    Raises:
        ConfigurationError: the file is not what it should be, or does not name each image once; the message names file, line,
            value.
    """
    ending = path.suffix.lower()
    if ending not in (".csv", ".parquet", ".npz", ".npy"):
        raise ConfigurationError(f"{path}: expected predictions as {', '.join(ENDINGS[:4])}. Name another file")
    if ending in (".npy", ".npz"):
        found = _from_arrays(path, benchmark, how)
    elif ending == ".parquet" and (lists := _lists(path)) is not None:
        found = _made(path, *lists, benchmark, how)
    else:
        found = _from_table(path, benchmark, how)
    return Predictions(name or path.stem, found.ids, found.top, str(path)).aligned(benchmark)


def _from_arrays(path: Path, benchmark: Benchmark, how: Reading) -> Predictions:
    found = arrays(path)
    names = [name for name in (*CLASS, *TOP, "scores", "") if name in found]
    if len(names) != 1:
        raise BoundsError(f"{path}: the arrays are {shown(list(found))}; expected one of 'class', 'top' and 'scores'. Name it so")
    array = found[names[0]]
    ids = ids_of_arrays(path, found, len(array) if array.ndim else 0, how)
    return _made(path, ids, array, names[0], benchmark, how)


def _made(path: Path, ids: Sequence[str], array: np.ndarray, name: str, benchmark: Benchmark, how: Reading) -> Predictions:
    """Predictions from an array, by its type and shape."""
    kind, classes = array.dtype.kind, len(benchmark.classes)
    if kind == "f" and array.ndim == 2 and name in ("scores", ""):
        if array.shape[1] != classes:
            raise BoundsError(
                f"{path}: scores of {array.shape[1]} classes; the benchmark has {classes}. Give a column for each class, or "
                f"say with "
                "--classes how many there are"
            )
        return Predictions.of_scores("", ids, array, multi=benchmark.multi, threshold=how.threshold, source=str(path))
    if kind == "f" and array.ndim == 1:
        if (odd := np.flatnonzero(~np.isfinite(array) | (array != np.floor(array)))).size:
            raise BoundsError(
                f"{path}, {one_line(ids[int(odd[0])], 60)}: the class is {array[odd[0]]}; expected a whole number. Correct it"
            )
        array, kind = array.astype(np.int64), "i"
    if benchmark.multi and kind in "biu" and array.ndim == 2 and name != "scores":
        if (bad := np.argwhere((array != 0) & (array != 1))).size:
            row, column = bad[0]
            raise BoundsError(
                f"{path}, {one_line(ids[row], 60)}: label {column} is {array[row, column]}; expected 0 or 1. Correct it"
            )
        return Predictions("", tuple(ids), array.astype(bool), str(path))
    if not benchmark.multi and kind in "iu" and array.ndim in (1, 2) and name != "scores":
        return Predictions("", tuple(ids), _checked(path, ids, array if array.ndim == 2 else array[:, None]), str(path))
    wanted = "0 and 1 or scores, images by classes" if benchmark.multi else "classes (n,), likeliest classes (n, k) or scores"
    raise BoundsError(f"{path}: the array is {array.dtype} of shape {array.shape}; expected {wanted}. Correct it")


def _checked(path: Path, ids: Sequence[str], top: np.ndarray) -> np.ndarray:
    """Likeliest classes, of which each stands once in a row."""
    if top.shape[1] > MOST_TOP:
        raise BoundsError(
            f"{path}: {top.shape[1]:,} likeliest classes of an image; at most {MOST_TOP:,} are read. Give scores as floats"
        )
    if (top[:, 0] < 0).any():
        row = int(np.flatnonzero(top[:, 0] < 0)[0])
        raise BoundsError(f"{path}, {one_line(ids[row], 60)}: the likeliest class is {top[row, 0]}; expected 0 or more. Correct it")
    ordered = np.sort(top, axis=1)
    if (twice := np.argwhere((np.diff(ordered, axis=1) == 0) & (ordered[:, 1:] >= 0))).size:
        row, column = twice[0]
        raise BoundsError(
            f"{path}, {one_line(ids[row], 60)}: class {ordered[row, column]} is predicted twice; expected each class once. "
            f"Correct it"
        )
    return top.astype(np.int64)


def _from_table(path: Path, benchmark: Benchmark, how: Reading) -> Predictions:
    table = text_table(path)
    at = table.column("id")
    one = [name for name in CLASS if name in table.header]
    many = [name for name in TOP if name in table.header]
    numbered = _numbered(table.header, "top", 1)
    scores = _numbered(table.header, "score", 0)
    if sum(map(bool, (one, many, numbered, scores))) != 1 or len(one) > 1 or len(many) > 1:
        raise BoundsError(
            f"{path}: the columns are {shown(table.header)}; expected 'id', and one of 'class', 'top', 'top1' and further, "
            f"'score0' "
            "and further. Name them so"
        )
    if (one or numbered) and benchmark.multi:
        raise BoundsError(
            f"{path}: it holds a class for each image; the labels are a set of labels for each image. Name the column of predicted "
            "sets 'top' or give scores"
        )
    if scores and len(scores) != len(benchmark.classes):
        raise BoundsError(
            f"{path}: scores of {len(scores)} classes; the benchmark has {len(benchmark.classes)}. Give a column for each "
            f"class, or say "
            "with --classes how many there are"
        )
    value = _value_of(table.header, one, many, numbered, scores, how)
    texts, values = [], []
    for where, cells in table.rows:
        texts.append(cells[at])
        values.append(value(cells, where))
    ids = how.keys(texts, str(path))
    if not ids:
        raise BoundsError(f"{path}: it has no row; expected a row for each image. Write them into it")
    if scores:
        return _made(path, ids, np.array(values, np.float64), "scores", benchmark, how)
    if benchmark.multi:
        chosen = np.zeros((len(ids), len(benchmark.classes)), bool)
        for row, members in enumerate(values):
            if members and max(members) >= len(benchmark.classes):
                raise BoundsError(
                    f"{path}, {one_line(ids[row], 60)}: class {max(members)}; expected 0 to {len(benchmark.classes) - 1}. "
                    f"Correct it"
                )
            chosen[row, list(members)] = True
        return Predictions("", ids, chosen, str(path))
    k = max(map(len, values))
    return _made(path, ids, np.array([[*members, *[-1] * (k - len(members))] for members in values]), "top", benchmark, how)


def _value_of(
    header: Sequence[str], one: Sequence[str], many: Sequence[str], numbered: Sequence[int], scores: Sequence[int], how: Reading
) -> Callable[[Sequence[str], str], Any]:
    """What gives the value of a row: a list of classes, likeliest first, or of scores."""
    if one:
        at = header.index(one[0])
        return lambda cells, where: [how.label(cells[at], where)]
    if many:
        at = header.index(many[0])
        return lambda cells, where: _listed(cells[at], where, how)
    if numbered:
        return lambda cells, where: [how.label(cells[place], where) for place in numbered]
    first, last = scores[0], scores[-1] + 1
    if list(scores) == list(range(first, last)):
        return lambda cells, where: _floats(cells[first:last], where)
    return lambda cells, where: _floats([cells[place] for place in scores], where)


def _listed(text: str, where: str, how: Reading) -> list[int]:
    """Classes with commas between them, in their order."""
    if how.multi:
        return list(how.label_set(text, where))
    words = [word.strip() for word in text.removeprefix("[").removesuffix("]").replace(";", ",").split(",")]
    if len(words) > MOST_TOP:
        raise BoundsError(f"{where}: {len(words):,} classes; at most {MOST_TOP:,} are read. Name fewer")
    return [how.label(word, where) for word in words]


def _floats(cells: Sequence[str], where: str) -> np.ndarray:
    try:
        return np.array([float(cell) for cell in cells])
    except ValueError:
        for place, cell in enumerate(cells):
            try:
                float(cell)
            except ValueError:
                raise BoundsError(f"{where}: score {place} is {one_line(repr(cell), 60)}; expected a number. Correct it") from None
        raise


def _numbered(header: Sequence[str], stem: str, first: int) -> list[int]:
    """The places of the columns ``stem1``, ``stem2``, ... (or ``stem_1``), in the order of their numbers; empty if one is
    missing."""
    found = {int(match[1]): place for place, name in enumerate(header) if (match := re.fullmatch(rf"{stem}_?([0-9]{{1,6}})", name))}
    return [found[number] for number in sorted(found)] if sorted(found) == list(range(first, first + len(found))) else []


def _lists(path: Path) -> tuple[list[str], np.ndarray, str] | None:
    """The ids, and the lists of numbers of equal length that a table of Parquet holds; None if it has no such column."""
    table = parquet(path)
    import pyarrow
    import pyarrow.compute

    for name in ("scores", "top"):
        if name not in table.column_names or "id" not in table.column_names:
            continue
        column = table.column(name)
        types = pyarrow.types
        if not (types.is_list(column.type) or types.is_large_list(column.type) or types.is_fixed_size_list(column.type)):
            continue
        lengths = pyarrow.compute.list_value_length(column).to_numpy(zero_copy_only=False)
        if column.null_count or len(set(lengths.tolist())) != 1:
            if name == "top":
                return None
            raise BoundsError(f"{path}: the lists of scores differ in length; expected a score for each class. Correct them")
        flat = pyarrow.compute.list_flatten(column)
        if flat.null_count:
            raise BoundsError(f"{path}: {flat.null_count:,} numbers of {name} are missing; expected all of them. Add them")
        ids = [str(text) for text in table.column("id").to_pylist()]
        return ids, np.array(flat.to_numpy(zero_copy_only=False)).reshape(len(ids), -1), name
    return None
