"""A command writes its part of a page and nothing else of it."""

import pytest

from benchmarks.pages import Region, write_whole

REGION = Region("figures", "somewhere.py")
START, END = "<!-- figures: written by somewhere.py -->", "<!-- end of figures -->"


def test_what_stands_between_the_marks_is_replaced():
    page = f"before\n{START}\nold\n{END}\nafter\n"
    once = REGION.replaced(page, "new\n")
    assert once == f"before\n{START}\nnew\n{END}\nafter\n"
    assert REGION.replaced(once, "new\n") == once


@pytest.mark.parametrize("page", ["", START, f"{END} {START}", f"{START} {END} {START}"])
def test_a_page_without_its_marks_is_left_alone(page):
    with pytest.raises(ValueError, match="marks"):
        REGION.replaced(page, "figures")


def test_a_file_is_written_whole(tmp_path):
    path = tmp_path / "new" / "page.md"
    write_whole(path, "one")
    write_whole(path, "two")
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]
