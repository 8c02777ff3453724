"""A data set in the place of a class: a table of edits with the images that it adds, or a whole folder of images.

Judging reads both as ``submitted`` does. Here is what belongs to such an answer, and what its files alone say is wrong with it.
"""

from __future__ import annotations

import os
from pathlib import Path

from evaluator.curation.curated import MOST_IMAGE_BYTES
from evaluator.curation.sets import TRAIN, VAL
from evaluator.curation.submitted import set_aside
from evaluator.data.edits import ENDINGS, EditTable
from evaluator.data.layout import IMAGE_SUFFIXES
from evaluator.errors import ConfigurationError, DataError, SubmissionError
from evaluator.sandbox.foreign import ForeignFiles
from evaluator.sandbox.tiers import choose
from evaluator.submission.answers import AnswerFiles, Candidate, candidate, strangers
from evaluator.submission.findings import Finding
from evaluator.submission.travel import secret
from evaluator.submission.tree import Tree
from evaluator.text import name as harmless
from evaluator.words import counted

UNUSED = "the table of edits does not name it"


def given(path: Path) -> AnswerFiles | None:
    """The data set at ``path``, if it is one by what lies there; None for code.

    Raises:
        SubmissionError: a file may not travel.
    """
    there = candidate(path, (*ENDINGS, *IMAGE_SUFFIXES))
    if there is None or (there.single and path.suffix not in ENDINGS):
        return None
    names = there.names()
    if any(name.split("/")[0] in (TRAIN, VAL) for name in names):
        return _images(there)
    tables = [name for name in names if name.endswith(ENDINGS) and "/" not in name]
    if len(tables) == 1:
        return _edited(there, tables[0])
    seen = ", ".join(harmless(name) for name in tables[:3]) or f"neither {TRAIN}/ nor {VAL}/ nor a table"
    text = f"{seen}; one table of edits, or images in {TRAIN}/<class>/ and {VAL}/<class>/ were expected. Keep one of them"
    return there.answer(names, "no data set", [Finding("error", "the data set", text)])


def table_or_folder(path: Path) -> Path:
    """What of an answer is read: ``path`` itself, or the table of edits at the top of the folder, where it holds no images.

    Raises:
        DataError: there is more than one table.
    """
    if path.is_file() or (path / TRAIN).is_dir() or (path / VAL).is_dir():
        return path
    tables = sorted(file for file in path.iterdir() if file.suffix in ENDINGS and not file.name.startswith("."))
    if len(tables) != 1:
        raise DataError(f"{path.name}: {counted(len(tables), 'table')} of edits in it; one was expected. Keep one")
    return tables[0]


def _images(there: Candidate) -> AnswerFiles:
    images = [name for name in there.names() if name.split("/")[0] in (TRAIN, VAL)]
    counting = [name for name in there.names() if not set_aside(name)]
    found = list(
        strangers(
            [name for name in counting if name.split("/")[0] not in (TRAIN, VAL) or not _placed(name)],
            f"images {TRAIN}/<class>/*.png and {VAL}/<class>/*.png were expected. Remove it",
        )
    )
    return there.answer(images, counted(len(images), "image"), found, f"it lies neither in {TRAIN}/ nor in {VAL}/")


def _placed(name: str) -> bool:
    return name.count("/") == 2 and name.lower().endswith(IMAGE_SUFFIXES)


def _not_added(there: Candidate, tree: Tree, file: str) -> str:
    """Why a file that a table adds may not travel, and what to do, in words; empty if it may."""
    names = file.split("/")
    if not file.lower().endswith(IMAGE_SUFFIXES) or any(secret(name) or name.startswith(".") for name in names):
        return f"the name of an image was expected ({', '.join(IMAGE_SUFFIXES)}), not hidden and no secret. Rename it"
    if not os.path.lexists(there.root / file):
        return "there is no such file beside the table. Put the image there, or remove the row"
    if not there.single and file not in there.names():
        return "it stays at home by its name or by .submitignore. Rename it, or remove the row"
    try:
        size = tree.file(tuple(names)).size
    except SubmissionError as error:
        return str(error).partition(": ")[2] or str(error)
    return "" if size <= MOST_IMAGE_BYTES else f"{size:,} bytes; an image has at most {MOST_IMAGE_BYTES:,}. Shrink it"


def _edited(there: Candidate, table: str) -> AnswerFiles:
    found: list[Finding] = []
    files = [table]
    said = "no table of edits"
    try:
        # A judge looks at the tables of strangers before they are run: what decodes one does it in a worker (``sandbox.foreign``).
        with ForeignFiles(choose) as foreign:
            edits = EditTable.read(there.root / table, parquet=foreign.table)
        said = f"a table of {counted(len(edits), 'edit')}"
        added = {edit.file: edit.line for edit in edits if edit.file}
        with Tree(there.root) as tree:
            for file, line in added.items():
                if why := _not_added(there, tree, file):
                    found.append(Finding("error", f"{table}, line {line}", f"file is {harmless(file, 200)!r}; {why}"))
                else:
                    files.append(file)
        if added:
            said += f", {counted(len(added), 'image')} added"
    except (ConfigurationError, DataError, OSError, SubmissionError) as error:
        place, _, text = str(error).partition(": ")
        found.append(Finding("error", place.replace(f"{there.root}/", ""), text or str(error)))
    return there.answer(files, said, found, UNUSED)
