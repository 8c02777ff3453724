"""Tasks in DataPerf's layout: written and read back, in both formats, and what is refused by file, row and value."""

from dataclasses import replace

import numpy as np
import pytest

from evaluator.cleaning.embedded import Embedded
from evaluator.cleaning.folder import read_task, task_names
from evaluator.cleaning.offline import Folders, write_tasks
from evaluator.cleaning.original import evaluate_original
from evaluator.cleaning.rules import DIGITS
from evaluator.cleaning.sets import CleaningSets
from evaluator.errors import ConfigurationError

NAME = "digits-4v9-uniform-0.2"
SIZES = (30, 10, 20)


@pytest.fixture
def folders(tmp_path):
    made = Folders.below(tmp_path)
    write_tasks(CleaningSets(replace(DIGITS, train=30, validation=10, test=20), 7), [NAME], made)
    return made


def read(folders):
    return read_task(NAME, folders.embeddings, folders.groundtruth)


def test_what_was_written_is_read_back(folders):
    found, drawn = read(folders), Embedded.parse(NAME).drawn(7, 0, *SIZES)
    assert task_names(folders.embeddings) == [NAME]
    assert (found.kind, found.classes) == ("binary", 2)
    for own, there in ((found.train, drawn.train), (found.validation, drawn.validation), (found.test, drawn.test)):
        assert np.array_equal(own.rows, there.rows)
        assert np.array_equal(own.labels, there.labels)
    assert np.array_equal(found.true, drawn.true)
    assert found.digest() == drawn.digest()


def test_parquet_holds_the_same(folders):
    pa = pytest.importorskip("pyarrow", reason="pip install -r requirements-cleaning.txt")
    import pyarrow.parquet

    before = read(folders).digest()
    for path in list(folders.embeddings.iterdir()):
        with np.load(path) as table:
            columns = {
                "filename": table["filename"].tolist(),
                "encoding": list(table["encoding"].astype(np.float64)),
                "label": table["label"],
            }
        pyarrow.parquet.write_table(pa.table(columns), path.with_suffix(".parquet"))
        path.unlink()
    assert read(folders).digest() == before


def changed(path, **columns):
    with np.load(path, allow_pickle=False) as table:
        found = {name: table[name] for name in table.files} | columns
    np.savez(path, **{name: value for name, value in found.items() if value is not None})


def training(folders):
    return folders.embeddings / f"{NAME}_train_0.2_30.npz"


ROWS = np.zeros((30, 64), np.float32)
BAD = [
    ({"label": None}, "it has no array 'label'"),
    ({"encoding": np.zeros((30, 64), np.int64)}, "encoding is int64"),
    ({"encoding": np.where(np.arange(30)[:, None] == 3, np.nan, ROWS)}, "row 3: number 0 of its encoding is nan"),
    ({"label": np.full(30, 0.5)}, "label is float64"),
    ({"label": np.full(30, -1)}, "row 0: label is -1"),
    ({"label": np.zeros(29, int)}, "30 file names, 30 encodings, 29 labels"),
    ({"filename": np.array(["a"] * 30)}, "'a' stands there twice"),
    ({"filename": np.arange(30)}, "filename is int64"),
    ({"filename": np.array([{}] * 30)}, "filename is object of shape (30,)"),
    ({"encoding": np.zeros((30, 32), np.float32)}, "width"),
    ({"encoding": np.full((30, 64), 1e300)}, "row 0: number 0 of its encoding is inf as float32; expected a finite one"),
    ({"filename": np.array([], str), "encoding": ROWS[:0], "label": np.zeros(0, int)}, "it has no rows; expected one or more"),
]


@pytest.mark.parametrize(("columns", "said"), BAD)
def test_a_bad_table_is_named_with_its_row_and_value(columns, said, folders):
    if "filename" in columns and columns["filename"].dtype.hasobject:
        np.savez(training(folders), filename=columns["filename"], encoding=ROWS, label=np.zeros(30, int))
    else:
        changed(training(folders), **columns)
    with pytest.raises(ConfigurationError) as caught:
        read(folders)
    assert said in str(caught.value)


LINES = [
    (lambda lines: lines[1:], "expected the columns ImageID and hv_label"),
    (lambda lines: [*lines, lines[-1]], "line 32: the row 'digits-4v9-uniform-0.2-000029' stands there twice"),
    (lambda lines: lines[:-1], "no line for 1 of 30 training rows"),
    (lambda lines: [*lines[:5], lines[5].replace(",", ",x"), *lines[6:]], "line 6: hv_label is 'x"),
    (lambda lines: [*lines[:5], "alone", *lines[5:]], "line 6: 1 cells"),
    (lambda lines: [*lines[:5], f"{NAME}-000004,9", *lines[6:]], f"hv_label of '{NAME}-000004' is 9; expected 0 to 1"),
]


@pytest.mark.parametrize(("change", "said"), LINES)
def test_a_bad_table_of_true_labels_is_named_with_its_line(change, said, folders):
    path = folders.groundtruth / f"dataset_{NAME}_train.csv"
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    with pytest.raises(ConfigurationError) as caught:
        read(folders)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_line_ends_of_windows_and_a_mark_change_nothing(folders):
    path = folders.groundtruth / f"dataset_{NAME}_train.csv"
    before = read(folders).digest()
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read(folders).digest() == before
    path.write_bytes(path.read_bytes().replace(b",", b";"))
    assert read(folders).digest() == before


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04cut"])
def test_what_is_no_archive_is_said_to_be_none(content, folders):
    training(folders).write_bytes(content)
    with pytest.raises(
        ConfigurationError, match=r"train_0\.2_30\.npz: it is no zip file, or a part of one; expected a NumPy archive"
    ):
        read(folders)


def test_missing_and_ambiguous_tables_are_named(folders):
    (folders.embeddings / f"{NAME}_val_10.npz").rename(folders.embeddings / "elsewhere.npz")
    with pytest.raises(ConfigurationError, match=f"there is no table {NAME}_val_ROWS"):
        read(folders)
    training(folders).rename(folders.embeddings / f"{NAME}_train_0.2_31.npz")
    with pytest.raises(ConfigurationError, match="it has 30 rows, and its name says 31"):
        read(folders)
    with pytest.raises(ConfigurationError, match="there is no such folder"):
        task_names(folders.embeddings / "nowhere")


def test_labels_that_are_all_right_are_no_task(folders):
    path = folders.groundtruth / f"dataset_{NAME}_train.csv"
    with np.load(training(folders)) as table:
        rows = [f"{name},{label}" for name, label in zip(table["filename"], table["label"], strict=True)]
    path.write_text("\n".join(["ImageID,hv_label", *rows]) + "\n")
    with pytest.raises(ConfigurationError, match="0 of 30 given labels are wrong"):
        read(folders)


def test_rows_that_are_taken_out_and_rows_that_nobody_knows_are_read(folders):
    path = folders.groundtruth / f"dataset_{NAME}_train.csv"
    lines = path.read_text().splitlines()
    for number, word in ((3, "removed"), (5, "unknown"), (6, " unknown ")):
        lines[number] = lines[number].split(",")[0] + f",{word}"
    path.write_text("\n".join(lines) + "\n")
    before, found = Embedded.parse(NAME).drawn(7, 0, *SIZES), read(folders)
    assert np.flatnonzero(found.removed).tolist() == [2]
    assert np.flatnonzero(~found.known).tolist() == [4, 5]
    assert np.array_equal(found.true[[2, 4, 5]], before.train.labels[[2, 4, 5]]), "no true label: the given label stands there"
    assert found.wrong[2]
    assert not found.wrong[[4, 5]].any()
    with pytest.raises(ConfigurationError, match="Use --scoring strict"):
        evaluate_original(found, [])
