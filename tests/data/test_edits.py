"""The table of edits: what is read, what is refused with file, line and value, and that an inverse takes everything back."""

import csv
import io

import pytest

from evaluator.data.edits import Edit, EditTable, Item
from evaluator.errors import DataError

LABELS = ("i", "ii", "iii")
ITEMS = [Item(f"train/i/{n}.png", "i", "train") for n in range(4)] + [Item("val/ii/0.png", "ii", "val")]
HEAD = "id,action,label,split\n"
BAD = [
    ("", "line 1: it is empty"),
    ("id,action,label\n", "line 1: there is no column 'split'"),
    ("id,acton,label,split\n", "line 1: the column 'acton' is unknown; did you mean 'action'?"),
    ("id,id,action,label,split\n", "line 1: the column 'id' stands there twice"),
    (HEAD + "a,remove,,\n", "line 2: action is 'remove'; did you mean 'drop'?; expected drop, relabel, move or add"),
    (HEAD + "a,Drop,,\n", "line 2: action is 'Drop'; did you mean 'drop'?"),
    (HEAD + "b,drop,,\na,relabel,,\n", "line 3: label is empty; relabel needs it"),
    (HEAD + "a,relabel,iv,\n", "line 2: the label 'iv' is none of the classes"),
    (HEAD + "a,move,,test\n", "line 2: the split 'test' is unknown; expected train or val"),
    (HEAD + "a,move,i,val\n", "line 2: label is 'i'; move has none. relabel may change both"),
    (HEAD + "a,drop,,val\n", "line 2: split is 'val'; drop has none"),
    (HEAD + "a,drop,,\nb,drop,,\na,move,,val\n", "line 4: the id 'a' stands in line 2 already"),
    (HEAD + "a,drop,\n", "line 2: 3 cells; expected 4"),
    (HEAD + ",drop,,\n", "line 2: id is empty"),
    (HEAD + "../a.png,drop,,\n", "line 2: id is '../a.png', which leaves the folder"),
    (HEAD + "/etc/passwd,drop,,\n", "which is no relative path"),
    (HEAD + "train\\i\\a.png,drop,,\n", "which has a backslash"),
    (HEAD + '"a\nb",drop,,\n', "line 2: id is 'a\\nb'; expected a text in one line"),
    (HEAD + '"a,drop,,\n', "line 2: unexpected end of data"),
    (HEAD + "a" * 500 + ",drop,,\n", "line 2: id has 500 characters"),
    ("id,action,label,split,file\na,add,i,train,../../b.png\n", "line 2: file is '../../b.png', which leaves the folder"),
    ("id,action,label,split,file\na,drop,,,b.png\n", "line 2: file is 'b.png'; drop has none"),
]


@pytest.mark.parametrize(("text", "said"), BAD)
def test_a_bad_table_is_refused_with_file_line_and_value(text, said, tmp_path):
    path = tmp_path / "edits.csv"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        EditTable.read(path, LABELS)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)
    assert len(str(caught.value)) < 600


def test_bytes_that_are_no_text_and_other_endings_are_refused(tmp_path):
    path = tmp_path / "edits.csv"
    path.write_bytes(HEAD.encode() + b"\xff,drop,,\n")
    with pytest.raises(DataError, match="byte 22 is not UTF-8"):
        EditTable.read(path)
    with pytest.raises(DataError, match=r"ends in '\.xlsx'"):
        EditTable.read(tmp_path / "edits.xlsx")


@pytest.mark.parametrize(
    "text", [HEAD + "a,relabel,ii,\n\n", "\ufeff" + HEAD + "a,relabel,ii,\n", "ID;Action;label;split\r\na;relabel;ii;\r\n"]
)
def test_marks_line_ends_blank_lines_and_delimiters_change_nothing(text, tmp_path):
    path = tmp_path / "edits.csv"
    path.write_bytes(text.encode())
    assert EditTable.read(path, LABELS).edits == (Edit("a", "relabel", "ii"),)


def test_what_was_applied_is_taken_back_by_the_inverse():
    table = EditTable(
        (
            Edit("train/i/0.png", "drop"),
            Edit("train/i/1.png", "relabel", "ii"),
            Edit("train/i/2.png", "relabel", "iii", "val"),
            Edit("val/ii/0.png", "move", split="train"),
            Edit("new/0.png", "add", "iii", "train", "pictures/0.png"),
            Edit("train/i/3.png", "relabel", "i"),
        )
    )
    done = table.apply(ITEMS)
    assert done.items == (
        Item("train/i/1.png", "ii", "train"),
        Item("train/i/2.png", "iii", "val"),
        Item("train/i/3.png", "i", "train"),
        Item("val/ii/0.png", "ii", "train"),
        Item("new/0.png", "iii", "train"),
    )
    assert done.changed == {"drop": 1, "relabel": 2, "move": 1, "add": 1}
    assert len(done.inverse) == 5
    back = done.inverse.apply(done.items, ITEMS)
    assert sorted(back.items) == sorted(ITEMS)
    assert [edit.file for edit in done.added] == ["pictures/0.png"]


def test_an_edit_of_an_item_that_there_is_not_names_the_line(tmp_path):
    path = tmp_path / "edits.csv"
    path.write_text(HEAD + "train/i/0.png,drop,,\ntrain/i/9.png,drop,,\n")
    with pytest.raises(DataError, match=r"edits\.csv, line 3: there is no item 'train/i/9\.png'; did you mean"):
        EditTable.read(path).apply(ITEMS)
    with pytest.raises(DataError, match="is there already; add needs a new id"):
        EditTable((Edit("train/i/0.png", "add", "i", "train", "x.png"),)).apply(ITEMS)
    with pytest.raises(DataError, match=r"file is empty, and the data set has no item 'train/i/7\.png'"):
        EditTable((Edit("train/i/7.png", "add", "i", "train"),)).apply(ITEMS)


STRANGE = ("=1+1", "'=1+1", "'quoted", "-5", "@x", "+", "''@x", "a,b", 'say "x"', "\uff1dx")


@pytest.mark.parametrize("name", ["edits.csv", "edits.parquet"])
def test_a_table_survives_being_written_and_nothing_in_it_is_computed(name, tmp_path):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    table = EditTable(
        (*(Edit(text, "relabel", "=cmd|x") for text in STRANGE), Edit("new.png", "add", "i", "val", "p/new.png"), Edit("7", "drop"))
    )
    table.write(tmp_path / name)
    assert EditTable.read(tmp_path / name).edits == table.edits
    if name.endswith("csv"):
        cells = [cell for row in csv.reader(io.StringIO((tmp_path / name).read_text())) for cell in row]
        assert not [cell for cell in cells if cell[:1] in tuple("=+-@\uff1d")]


def test_a_parquet_table_with_other_columns_or_types_is_refused(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    path = tmp_path / "edits.parquet"
    for columns, said in (
        ({"id": ["a"], "action": ["drop"], "label": [""]}, "line 1: there is no column 'split'"),
        ({"id": [3], "action": ["drop"], "label": [""], "split": [""]}, "id is of the type int64; expected a text"),
        ({"id": ["a"], "action": ["drop"], "label": [None], "split": [None]}, ""),
    ):
        pyarrow.parquet.write_table(pyarrow.table(columns), path)
        if said:
            with pytest.raises(DataError, match=said):
                EditTable.read(path)
        else:
            assert EditTable.read(path).edits == (Edit("a", "drop"),)
    path.write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="it cannot be read"):
        EditTable.read(path)


def test_rows_in_memory_are_read_by_the_same_rules():
    assert EditTable.of([{"id": "a", "action": "relabel", "label": "ii", "split": None}]).edits == (Edit("a", "relabel", "ii"),)
    for row, said in (
        ("a", "it is a str"),
        ({"id": "a"}, "it has no 'action'"),
        ({"id": 7, "action": "drop"}, "id is 7; expected a text"),
        ({"id": "a", "action": "drop", "why": ""}, "the key 'why' is unknown"),
    ):
        with pytest.raises(DataError, match=f"row 1: {said}"):
            EditTable.of([row])
