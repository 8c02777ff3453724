"""The benchmark of the cleaning track measures what it says, and writes its part of the page."""

import json

import pytest
import torch

from benchmarks.harness import cleaning
from evaluator.cleaning.linear import Start, fit_exactly
from evaluator.places import ROOT


def test_the_plain_port_and_the_exact_way_give_the_same_weights():
    rows, goal = torch.randn(100, 12), torch.rand(100, 1).round()
    ours = fit_exactly(rows, goal, "binary", Start.drawn(12, 1))
    with torch.random.fork_rng():
        theirs = cleaning.plain(rows, goal)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


@pytest.mark.slow
@pytest.mark.endurance
def test_a_small_run_is_measured_and_its_part_of_the_page_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cleaning, "WIDTH", 16)
    monkeypatch.setattr(cleaning, "ROWS", 40)
    monkeypatch.setattr(cleaning, "WRONG", 8)
    figures, page = tmp_path / "cleaning.json", tmp_path / "page.md"
    page.write_text(f"before\n{cleaning.REGION.start}\nold\n{cleaning.REGION.end}\nafter\n")
    cleaning.main(["--repeats", "2", "--rows", "500", "--json", str(figures), "--page", str(page)])
    found = json.loads(figures.read_text())
    assert all(len(of) == 2 and min(of) > 0 for of in found["fits"].values())
    assert found["original"]["fits"] <= 9 * 8 + 1
    text = page.read_text()
    assert text == cleaning.REGION.replaced(text, cleaning.page_text(found))
    assert "old" not in text
    assert json.loads(capsys.readouterr().out) == found


def test_the_page_shows_the_stored_figures():
    stored = json.loads((ROOT / cleaning.FIGURES).read_text())
    page = (ROOT / cleaning.PAGE).read_text()
    assert page == cleaning.REGION.replaced(page, cleaning.page_text(stored))
