"""The benchmark of the audit track measures what it says, and writes its part of the page."""

import json

from benchmarks.harness import audit
from evaluator.audit.kinds import Kind, counts_of
from evaluator.places import ROOT


def test_what_is_made_has_the_shares_of_imagenets_reassessed_labels():
    benchmark, (first, second), predictions = audit.made(4_000, 3)
    shares = [many / 4_000 for many in counts_of(first.kinds).values()]
    assert all(abs(share - wanted) < 0.03 for share, wanted in zip(shares, audit.SHARES, strict=True))
    assert 0.05 < (first.kinds != second.kinds).mean() < 0.2
    right = [(p.top[:, 0] == benchmark.labels)[first.kinds == Kind.KEPT].mean() for p in predictions]
    assert right == sorted(right)
    assert all(len(set(row)) == 10 for row in predictions[0].top[:50].tolist())


def test_a_small_run_is_measured_and_its_part_of_the_page_is_written(tmp_path, capsys):
    figures, page = tmp_path / "audit.json", tmp_path / "page.md"
    page.write_text(f"before\n{audit.REGION.start}\nold\n{audit.REGION.end}\nafter\n")
    audit.main(["--images", "300", "--models", "3", "--draws", "200", "--json", str(figures), "--page", str(page)])
    found = json.loads(figures.read_text())
    assert found["whole"]["views"] == 20
    assert found["bootstrap"]["peak_gib"] > 0
    text = page.read_text()
    assert text == audit.REGION.replaced(text, audit.page_text(found))
    assert "old" not in text
    assert json.loads(capsys.readouterr().out) == found


def test_the_page_shows_the_stored_figures():
    stored = json.loads((ROOT / audit.FIGURES).read_text())
    page = (ROOT / audit.PAGE).read_text()
    assert page == audit.REGION.replaced(page, audit.page_text(stored))
