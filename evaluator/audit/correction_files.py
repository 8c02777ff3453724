"""Corrections from files: a table of corrections, reassessed label sets, or raters' raw answers; the header says which.

| file | columns or form |
|---|---|
| corrections (CSV, Parquet) | ``id,originalLabel,correction``: -1 no label fits, a number the right label, a list several are
right |
| label sets (CSV, Parquet) | ``id,labels``: the labels that are right, -1 for none |
| label sets (JSON) | an object from id to a list; or a list of lists in the order of ``--ids`` |
| raw answers (CSV, Parquet) | ``id,rater,label,answer``: whether the rater said that the label is right: 1 or yes, 0 or no |

A table of corrections speaks of the whole benchmark: an image that it does not name keeps its label. If it has a row with an empty
correction it says itself what was looked at, and speaks only of the images that it names. Label sets and answers always do so.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from evaluator.audit.answers import MAJORITY, Answers
from evaluator.audit.benchmark import IdsError, doubles, ids_message
from evaluator.audit.corrections import Corrections, said
from evaluator.audit.reading import LISTS, MOST_CLASSES, Reading
from evaluator.audit.sets import LabelSets
from evaluator.audit.tables import TextTable, read_file, shown, text_table
from evaluator.bounded import BoundsError, parse_json
from evaluator.errors import ConfigurationError
from evaluator.text import one_line

CORRECTED, SETS, ANSWERS = ("originalLabel", "correction"), ("labels",), ("rater", "label", "answer")
YES = {"1": True, "yes": True, "true": True, "0": False, "no": False, "false": False}


def read_corrections(path: Path, how: Reading, name: str = "", threshold: float = MAJORITY) -> Corrections:
    """What a source says, from its file.

    Args:
        name: of the source; by default the file's, without its ending.
        threshold: of raw answers, see ``Answers``.

    Raises:
        ConfigurationError: the file is not what it should be; the message names the file, the line and the value.
    """
    source = name or path.stem
    if path.suffix.lower() == ".json":
        return _label_sets_of_json(path, how, source)
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise ConfigurationError(f"{path}: expected corrections as .csv, .parquet or .json. Name another file")
    table = text_table(path)
    table.column("id")
    if set(CORRECTED) <= set(table.header):
        return _corrected(table, how, source)
    if set(ANSWERS) <= set(table.header):
        return _answers(table, how, source, threshold)
    if set(SETS) <= set(table.header):
        return _label_sets(table, how, source)
    raise BoundsError(
        f"{path}: the columns are {shown(table.header)}; expected 'id' with 'originalLabel' and 'correction', or with 'labels', or "
        "with 'rater', 'label' and 'answer'. Name them so"
    )


def _corrected(table: TextTable, how: Reading, source: str) -> Corrections:
    at, original_at, correction_at = (table.header.index(name) for name in ("id", *CORRECTED))
    texts, original, sets, lines, explicit = [], [], [], [], False
    for number, (where, cells) in enumerate(table.rows):
        given = how.label_set(cells[original_at], where) if how.multi else (how.label(cells[original_at], where),)
        if not cells[correction_at]:
            explicit, found = True, given
        else:
            found = how.label_set(cells[correction_at], where)
            if found == given:
                raise BoundsError(
                    f"{where}: the correction {said(found)} is the original label; expected another. Remove the line, or leave the "
                    "correction empty to say that the label is right"
                )
        texts.append(cells[at])
        original.append(given)
        sets.append(found)
        lines.append(_line(where, number))
    ids = _ids(table.path, texts, how)
    return Corrections(
        source, ids, LabelSets.of(sets), not explicit, LabelSets.of(original), file=str(table.path), lines=tuple(lines)
    )


def _line(where: str, number: int) -> int:
    """The line that a row ends in, from what messages call it; 0 in Parquet."""
    word, _, last = where.rpartition(" ")
    return int(last) if word.endswith("line") else 0


def _ids(path: Path, texts: list[str], how: Reading) -> tuple[str, ...]:
    ids = how.keys(texts, str(path))
    if repeated := doubles(ids):
        raise IdsError(ids_message(str(path), doubled=repeated))
    return ids


def _label_sets(table: TextTable, how: Reading, source: str) -> Corrections:
    at, labels_at = table.column("id"), table.column("labels")
    texts, sets, lines = [], [], []
    for number, (where, cells) in enumerate(table.rows):
        texts.append(cells[at])
        sets.append(how.label_set(cells[labels_at], where))
        lines.append(_line(where, number))
    ids = _ids(table.path, texts, how)
    return Corrections(source, ids, LabelSets.of(sets), whole=False, file=str(table.path), lines=tuple(lines))


def _label_sets_of_json(path: Path, how: Reading, source: str) -> Corrections:
    value = parse_json(read_file(path, LISTS.size), str(path), LISTS, once=True)
    if isinstance(value, Mapping):
        texts, members = list(value), list(value.values())
    elif isinstance(value, list):
        texts, members = list(how.ids_of(len(value), str(path))), value
    else:
        raise BoundsError(f"{path}: it holds no list and no object; expected a list of labels for each id. Correct it")
    sets = []
    for number, (text, found) in enumerate(zip(texts, members, strict=True)):
        where = f"{path}, set {number} ({one_line(text, 60)})"
        if not isinstance(found, list):
            raise BoundsError(f"{where}: {one_line(repr(found), 60)}; expected a list of classes. Correct it")
        for label in found:
            if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < MOST_CLASSES:
                raise BoundsError(f"{where}: {one_line(repr(label), 60)}; expected the number of a class, 0 or more. Correct it")
        if len(set(found)) < len(found):
            raise BoundsError(f"{where}: {one_line(repr(found), 60)} holds a label twice; expected each label once. Remove one")
        sets.append(found)
    ids = _ids(path, texts, how) if isinstance(value, Mapping) else tuple(texts)
    return Corrections(source, ids, LabelSets.of(sets), whole=False, file=str(path))


def _answers(table: TextTable, how: Reading, source: str, threshold: float) -> Corrections:
    at, rater_at, label_at, answer_at = (table.header.index(name) for name in ("id", *ANSWERS))
    ids: dict[str, int] = {}
    raters: dict[str, int] = {}
    image, label, rater, yes = [], [], [], []
    seen: set[int] = set()  # of numbers: a million tuples take 200 MB
    for where, cells in table.rows:
        answer = YES.get(cells[answer_at].lower())
        if answer is None:
            raise BoundsError(
                f"{where}: the answer is {one_line(repr(cells[answer_at]), 60)}; expected 1, 0, yes or no. Correct it"
            )
        if not cells[rater_at]:
            raise BoundsError(f"{where}: the rater is empty; expected a name or a number. Add it")
        key = how.key(cells[at])
        row = ids.setdefault(key, len(ids)), how.label(cells[label_at], where), raters.setdefault(cells[rater_at], len(raters))
        number = (row[0] << 60) | (row[1] << 30) | row[2]
        if number in seen:
            raise BoundsError(
                f"{where}: rater {one_line(cells[rater_at], 40)!r} answered about label {row[1]} of {one_line(key, 60)} before; "
                "expected one answer. Remove a line"
            )
        seen.add(number)
        image.append(row[0])
        label.append(row[1])
        rater.append(row[2])
        yes.append(answer)
    if not ids:
        raise BoundsError(f"{table.path}: it has no row; expected an answer in each. Write them into it")
    names = how.keys(tuple(ids), str(table.path)) if "" in ids else tuple(ids)
    answers = Answers(names, np.array(image), np.array(label), np.array(rater), np.array(yes, bool), tuple(raters), threshold)
    return Corrections(source, names, answers.sets(), whole=False, answers=answers, file=str(table.path))
