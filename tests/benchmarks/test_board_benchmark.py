"""The benchmark of a judge's board measures what it says, and writes its part of the page."""

import json

import pytest

from benchmarks.harness import board
from evaluator.places import ROOT


@pytest.mark.slow
def test_a_small_board_is_measured_and_its_part_of_the_page_is_written(tmp_path, capsys):
    figures, page = tmp_path / "board.json", tmp_path / "page.md"
    page.write_text(f"before\n{board.REGION.start}\nstale\n{board.REGION.end}\nafter\n")
    board.main(["--submissions", "12", "--people", "4", "--repeats", "1", "--json", str(figures), "--page", str(page)])
    found = json.loads(figures.read_text())
    assert (found["pages"], found["submissions"], found["people"], found["repeats"]) == (12, 12, 4, 1)
    assert found["command"]["processor"][0] > found["again"]["processor"][0] > 0
    assert found["bytes"] > 12 * found["page_bytes"] * 0.9
    text = page.read_text()
    assert text == board.REGION.replaced(text, board.page_text(found))
    assert "stale" not in text
    assert json.loads(capsys.readouterr().out) == found


def test_the_page_shows_the_stored_figures_and_the_goal_is_met():
    stored = json.loads((ROOT / board.FIGURES).read_text())
    page = (ROOT / board.PAGE).read_text()
    assert page == board.REGION.replaced(page, board.page_text(stored))
    assert (stored["submissions"], stored["people"]) == (1_000, 100)
    assert sorted(stored["site"]["processor"])[stored["repeats"] // 2] <= board.GOAL
