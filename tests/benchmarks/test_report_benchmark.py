"""The benchmark of a report measures what it says, and writes its part of the page."""

import json

import pytest

from benchmarks.harness import report
from evaluator.places import ROOT


@pytest.mark.slow
def test_a_small_run_is_measured_and_its_part_of_the_page_is_written(tmp_path, capsys):
    figures, page = tmp_path / "report.json", tmp_path / "page.md"
    page.write_text(f"before\n{report.REGION.start}\nold\n{report.REGION.end}\nafter\n")
    report.main(["--repeats", "1", "--profile", "debug", "--json", str(figures), "--page", str(page)])
    found = json.loads(figures.read_text())
    assert (found["pairs"], found["repeats"]) == (1, 1)
    assert found["command"]["processor"][0] > found["page"]["processor"][0] > 0
    assert found["bytes"] > 10_000
    text = page.read_text()
    assert text == report.REGION.replaced(text, report.page_text(found))
    assert "old" not in text
    assert json.loads(capsys.readouterr().out) == found


def test_the_page_shows_the_stored_figures_and_the_goal_is_met():
    stored = json.loads((ROOT / report.FIGURES).read_text())
    page = (ROOT / report.PAGE).read_text()
    assert page == report.REGION.replaced(page, report.page_text(stored))
    assert stored["pairs"] == 5
    assert sorted(stored["command"]["processor"])[stored["repeats"] // 2] <= report.GOAL
