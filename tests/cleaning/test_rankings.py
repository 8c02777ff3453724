"""Rankings as files: what is read, and what is refused with file, line and value."""

import pytest

from evaluator.cleaning.rankings import Refused, listed, read_ranking, read_rankings, read_seconds
from evaluator.errors import ConfigurationError

ROWS = 4
BAD = [
    (b"", "the file is empty"),
    (b"\n", "line 1: the line is blank"),
    (b"0\n1\n\n2\n3\n", "line 3: the line is blank"),
    (b"0\n1\n2\n3\n\n\n", "line 5: the line is blank"),
    (b"index\n0\n1\n2\n3\n", "line 1: 'index'; expected a row index, a whole number in digits. A ranking has no header: remove"),
    (b"\xef\xbb\xbfrow_id\r\n0\r\n", "line 1: 'row_id'"),
    (b"0\n1\n2\n3\n0\n", "line 5: row 0 stands in line 1 already"),
    (b"0\r1\r2\r3\r", "line 1: '0"),
    (b"0\nTrue\n2\n3\n", "line 2: 'True'; expected a row index, a whole number in digits. Correct the line"),
    (b"0\n\n2\n3\n", "line 2: the line is blank"),
    (b"0\n1\n2\n4\n", "line 4: row 4; expected 0 to 3"),
    (b"0\n-1\n2\n3\n", "line 2: row -1; expected 0 to 3"),
    (b"0\n1.0\n2\n3\n", "line 2: '1.0'"),
    (b"0\nnan\n2\n3\n", "line 2: 'nan'"),
    (b"0,1,2,3\n", "line 1: '0,1,2,3'"),
    ("0\n\u0661\n2\n3\n".encode(), "line 2"),
    (b"9" * 5_000 + b"\n", "line 1"),
    (b"0\n1\n1\n3\n", "line 3: row 1 stands in line 2 already"),
    (b"0\n1\n2\n", "3 lines for 4 training rows, and row 3 is not among them"),
    (b"\xff\xfe0\n", "byte 0 is not UTF-8"),
]


@pytest.mark.parametrize(("content", "said"), BAD)
def test_a_bad_file_is_refused_with_file_line_and_value(content, said, tmp_path):
    path = tmp_path / "task_method.txt"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        read_ranking(path, ROWS, strict=True)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("content", [b"3\n1\n0\n2\n", b"3\n1\n0\n2", b"\xef\xbb\xbf3\r\n1\r\n0\r\n2\r\n", b" 3\n1 \n0\t\n2\n"])
def test_line_ends_marks_and_blanks_change_nothing(content, tmp_path):
    path = tmp_path / "task_method.txt"
    path.write_bytes(content)
    assert read_ranking(path, ROWS, strict=True) == (3, 1, 0, 2)


def test_as_the_original_a_ranking_may_be_short_and_repeat(tmp_path):
    path = tmp_path / "t_m.txt"
    path.write_text("2\n2\n")
    assert read_ranking(path, ROWS, strict=False) == (2, 2)


def test_as_the_original_a_ranking_is_no_longer_than_the_training_set(tmp_path):
    path = tmp_path / "t_m.txt"
    path.write_text("2\n2\n2\n2\n2\n")
    with pytest.raises(ConfigurationError, match=r"line 5: 5 lines for 4 training rows; expected at most 4"):
        read_ranking(path, ROWS, strict=False)


def test_a_file_belongs_to_the_task_with_the_longest_name(tmp_path):
    for name in ("a_b_c.txt", "a_c.txt", "time_a_b_c.txt", "a_b_c.csv", ".hidden.txt", "README.md", "notes"):
        (tmp_path / name).write_text("0\n")
    found = listed(tmp_path, ["a", "a_b"])
    assert set(found.rankings) == {("a_b", "c"), ("a", "c")}
    assert set(found.times) == set(found.tables) == {("a_b", "c")}
    assert found.lost == ()


LOST = [
    (
        "digits-pairs_random.txt",
        "its name begins with no task; expected TASK_METHOD.txt. Did you mean digits-pairs-0.2_random.txt?",
    ),
    ("digits-pairs-0.2-random.txt", "Did you mean digits-pairs-0.2_random.txt?"),
    ("Digits-Pairs-0.2_random.txt", "Did you mean digits-pairs-0.2_random.txt?"),
    ("digits-pairs-0.2_random.TXT", "its name ends in .TXT; expected TASK_METHOD.txt; did you mean digits-pairs-0.2_random.txt?"),
    ("digits-pairs-0.2_random", "did you mean digits-pairs-0.2_random.txt?"),
    ("digits-pairs-0.2_.txt", "its name has no method after the task"),
    ("random.txt", "its name begins with no task; expected TASK_METHOD.txt. Rename it"),
    ("time_digits-pairs-0.2_own.txt", "a time without the ranking digits-pairs-0.2_own.txt beside it"),
    ("time_digits-pairs-0.2_goood.txt", "did you mean time_digits-pairs-0.2_good.txt?"),
    ("time_digit-pairs-0.2_good.txt", "expected time_TASK_METHOD.txt. Did you mean time_digits-pairs-0.2_good.txt?"),
]


@pytest.mark.parametrize(("name", "said"), LOST)
def test_a_misnamed_file_is_told_with_what_was_meant(name, said, tmp_path):
    (tmp_path / "digits-pairs-0.2_good.txt").write_text("0\n")
    (tmp_path / name).write_text("0\n")
    found = listed(tmp_path, ["digits-pairs-0.2", "digits-uniform-0.3"])
    assert list(found.rankings) == [("digits-pairs-0.2", "good")]
    (lost,) = found.lost
    assert lost.why.startswith(f"{tmp_path / name}: ")
    assert said in lost.why


def test_one_bad_file_never_sinks_the_others(tmp_path):
    (tmp_path / "t_good.txt").write_text("3\n1\n0\n2\n")
    (tmp_path / "time_t_good.txt").write_text("0.25\nsecond line\n")
    (tmp_path / "t_bad.txt").write_text("x\n")
    (tmp_path / "t_pipe.txt").mkdir()
    (tmp_path / "other_good.txt").write_text("0\n")
    good, bad = read_rankings(tmp_path, "t", ROWS, strict=True)
    assert [(ranking.method, ranking.seconds) for ranking in good] == [("good", 0.25)]
    assert [refused.method for refused in bad] == ["bad", "pipe"]
    assert all(isinstance(refused, Refused) and str(tmp_path) in refused.why for refused in bad)


def test_a_folder_without_rankings_says_what_was_expected(tmp_path):
    with pytest.raises(ConfigurationError, match=r"expected one for every method"):
        read_rankings(tmp_path, "t", ROWS, strict=True)
    with pytest.raises(ConfigurationError, match="there is no such folder"):
        read_rankings(tmp_path / "nowhere", "t", ROWS, strict=True)


@pytest.mark.parametrize("text", ["", "soon", "nan", "-1", "1e400", "inf"])
def test_a_time_that_is_none_is_no_time(text, tmp_path):
    path = tmp_path / "time.txt"
    path.write_text(text)
    assert read_seconds(path) is None
    assert read_seconds(tmp_path / "nowhere") is None
