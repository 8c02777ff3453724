"""A command writes its part of a page and nothing else; files are written whole or not at all."""

import pytest

from benchmarks.pages import Region, write_json, write_text
from evaluator.report.format import markdown_rows
from evaluator.tables import Block

REGION = Region("figures", "python -m somewhere")
START, END = "<!-- figures: written by python -m somewhere -->", "<!-- end of figures -->"


def test_what_stands_between_the_marks_is_replaced():
    page = f"before\n{START}\nold\n{END}\nafter\n"
    once = REGION.replaced(page, "new\n")
    assert once == f"before\n{START}\nnew\n{END}\nafter\n"
    assert REGION.replaced(once, "new\n") == once


@pytest.mark.parametrize("page", ["", START, f"{END} {START}", f"{START} {END} {START}"])
def test_a_page_without_its_marks_is_left_alone(page):
    with pytest.raises(ValueError, match="needs the mark"):
        REGION.replaced(page, "figures")


def test_a_file_is_written_whole(tmp_path):
    path = tmp_path / "new" / "page.md"
    write_text(path, "one")
    write_text(path, "two")
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_whose_writing_fails_is_left_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "figures.json"
    write_json(path, {"a": [1, 2]})
    before = path.read_text()

    def full(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write_json(path, {"b": 3})
    assert path.read_text() == before == '{\n "a": [\n  1,\n  2\n ]\n}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_a_table_has_a_line_per_row():
    rows = markdown_rows(Block("", ("name", "n"), (("a|b", "1"), ("c", ""))))
    assert rows == ["| name | n |", "| :-- | --: |", "| a\\|b | 1 |", "| c |  |"]
