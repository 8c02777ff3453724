"""The benchmark of a sweep measures what it says, and writes its part of the page."""

import json

import pytest

from benchmarks.harness import sweep


@pytest.mark.slow
def test_a_small_sweep_is_measured_and_its_part_of_the_page_is_written(tmp_path, capsys):
    figures, page = tmp_path / "sweep.json", tmp_path / "page.md"
    page.write_text(f"before\n{sweep.REGION.start}\nold\n{sweep.REGION.end}\nafter\n")
    sweep.main(["--cells", "100", "--overhead", "3", "--json", str(figures), "--page", str(page)])
    found = json.loads(figures.read_text())
    assert (found["cells"], found["overhead_cells"]) == (100, 2)
    assert all(value > 0 for name, value in found.items() if name.endswith("_seconds"))
    assert found["overhead_share"] == pytest.approx(found["overhead_seconds_per_cell"] / 60, rel=0.01, abs=1e-6)
    text = page.read_text()
    assert text == sweep.REGION.replaced(text, sweep.page_text(found))
    assert "| 100 cells with the index |" in text
    assert "old" not in text
    assert json.loads(capsys.readouterr().out) == found


def test_a_sweep_whose_cells_are_not_all_scored_is_no_measurement(tmp_path):
    whole = sweep.experiment(tmp_path, 100)
    some = whole.cells[:1]
    store = sweep.Store(tmp_path / "results")
    sweep.store_all(store, some, cells=False)
    part = sweep.replace(whole, cells=some)
    with sweep.Workers(1, work=failing) as workers, pytest.raises(RuntimeError, match="0 of 1 cells were scored"):
        sweep.conduct(part, store, workers)


def failing(task):
    raise ValueError("no result")
