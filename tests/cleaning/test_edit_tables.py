"""Tables of edits as submissions: what is read, what is refused by file and line, and how a table is scored."""

import numpy as np
import pytest

from evaluator.cleaning.cells import edits_fault
from evaluator.cleaning.edit_tables import read_edits
from evaluator.cleaning.game import play, play_edits
from evaluator.cleaning.tasks import CleaningTask, Part
from evaluator.cleaning.trial import small_task
from evaluator.errors import ConfigurationError

HEAD = "id,action,label,split\n"


def binary(rows: int = 6) -> CleaningTask:
    """Two points far from each other; rows 0 and 1 have the label of the other."""
    labels = np.arange(rows) % 2
    x = np.where(labels[:, None] == 1, 2.0, -2.0).astype(np.float32) * np.ones((1, 3), np.float32)
    given = labels.copy()
    given[:2] = 1 - given[:2]
    ids = tuple(f"row{number}.png" for number in range(rows))
    return CleaningTask("t", "binary", 2, Part(x, given), labels, Part(x, labels), Part(x, labels), ids)


def written(tmp_path, lines: str):
    path = tmp_path / "t_mine.csv"
    path.write_bytes(lines.encode())
    return path


def test_edits_are_rows_with_labels_in_the_order_of_the_table(tmp_path):
    path = written(tmp_path, f"\ufeff{HEAD}row3.png,drop,,\nrow0.png,relabel,0,train\r\nrow1.png,relabel,1,\n")
    assert read_edits(path, binary()) == ((3, None), (0, 0), (1, 1))


def test_several_labels_a_row_are_written_as_in_the_table_of_true_labels(tmp_path):
    task = small_task("multilabel")
    path = written(tmp_path, f"{HEAD}{task.ids[4]},relabel,0 1 1,train\n")
    assert read_edits(path, task) == ((4, [0, 1, 1]),)
    for text in ("0 1", "0 1 2", "1"):
        with pytest.raises(ConfigurationError, match=r"line 2: label is .*; expected 0 or 1 for each of 3 classes"):
            read_edits(written(tmp_path, f"{HEAD}{task.ids[4]},relabel,{text},train\n"), task)


BAD = [
    ("", "line 1: it is empty"),
    (HEAD, "it holds no edit"),
    ("row0.png,drop,,\n", "line 1: the column 'row0.png' is unknown"),
    (f"{HEAD}row9.png,drop,,\n", "line 2: there is no training row 'row9.png'; did you mean"),
    (f"{HEAD}row0.png,relabel,2,\n", "line 2: label is '2'; expected a whole number, 0 to 1"),
    (f"{HEAD}row0.png,relabel,1.0,\n", "line 2: label is '1.0'"),
    (f"{HEAD}row0.png,relabel,,\n", "line 2: label is empty"),
    (f"{HEAD}row0.png,drop,1,\n", "line 2: label is '1'; drop has none"),
    (f"{HEAD}row0.png,relabel,1,val\n", "line 2: the split 'val' is unknown"),
    (f"{HEAD}row0.png,move,,train\n", "line 2: action is 'move'; expected relabel or drop"),
    (f"{HEAD}row0.png,swap,,train\n", "line 2: action is 'swap'"),
    (f"{HEAD}row0.png,drop,,\nrow0.png,relabel,1,\n", "line 3: the id 'row0.png' stands in line 2 already"),
    (HEAD + "".join(f"row{n}.png,drop,,\n" for n in range(6)), "all 6 training rows are dropped"),
]


@pytest.mark.parametrize(("lines", "said"), BAD)
def test_a_table_that_is_not_sound_is_refused_with_file_line_and_reason(lines, said, tmp_path):
    path = written(tmp_path, lines)
    with pytest.raises(ConfigurationError) as caught:
        read_edits(path, binary())
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)


def test_edits_are_applied_as_they_say_and_no_expert_mends_them():
    task = binary(40)
    right = play_edits(task, [(0, 0), (1, 1)])
    assert (right.checks, right.hits, right.wrong, right.rows) == ((0, 1, 2), (1, 2), 2, 40)
    assert right.accuracies[-1] == right.clean, "both wrong labels are corrected"
    assert right.found_early == 1.0
    # The label that a row has already, a right label made wrong, a wrong label dropped.
    mixed = play_edits(task, [(0, int(task.train.labels[0])), (5, 0), (1, None)])
    assert (mixed.hits, mixed.wrong) == ((3,), 2)
    assert mixed.discovery == pytest.approx((41 - 3) / 2 / 41)
    assert mixed.accuracies[0] == mixed.accuracies[1]
    same = play(task, [np.arange(40)]).pop()
    assert (same.hits, same.target, same.accuracies) == (right.hits, right.target, right.accuracies), "an expert would do the same"


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ([[0, 1], [2, None], [3, [0, 1]]], ""),
        ([], "no edits"),
        ({"0": 1}, "no edits"),
        ([[0, 1], [0, None]], "two edits of one row"),
        ([[0]], "no row number"),
        ([[True, 1]], "no row number"),
        ([[0, 0.5]], "no row number"),
        ([[-1, 0]], "no row number"),
        ([[0, [0, "1"]]], "no row number"),
    ],
)
def test_stored_edits_are_held_against_the_rules(edits, said):
    found = edits_fault(edits)
    assert said in found if said else found == ""
