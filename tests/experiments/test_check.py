"""``python -m experiments --check`` on a repository with fabricated figures: what is fresh passes, what is not is named."""

import json
import re
import shutil

import pytest

pytest.importorskip("matplotlib")

from test_recipe_findings import recipes
from test_results import ceiling, planted

from benchmarks.harness import sweep
from benchmarks.scale import __main__ as scale
from benchmarks.scale import page as scale_page
from benchmarks.scale.growth import Series
from evaluator.errors import ConfigurationError
from experiments import __main__ as command
from experiments.check import check
from experiments.columns import pack
from experiments.page import PICTURES
from experiments.places import Places
from experiments.studies import coverage, recipe_findings, stability

AGAIN, SCALE_AGAIN = "python -m experiments --page-only", scale_page.AGAIN


def write_cells(places: Places, proxy: bool, cells: list[dict]) -> None:
    experiment = {
        "name": "some",
        "profile": "tiny",
        "pipelines": ["quick"],
        "submissions": ["random"],
        "pairs": {"621:17": "public"},
        "seeds": 3,
        "label_qualities": [1.0],
        "score_splits": ["validation"],
        "cells": len(cells),
        "stored": len(cells),
    }
    places.cells(proxy).parent.mkdir(parents=True, exist_ok=True)
    places.cells(proxy).write_text(pack([("some", cell) for cell in cells], [experiment], []))


def write_scale(places: Places, factor: float = 1.0, words: str = scale_page.COMMAND) -> None:
    series = Series("reading", "cell", "pool", {size: [factor * size, factor * size * 1.01] for size in (10, 100, 1000)})
    machine = {"hardware": "2 cores", "system": "Linux", "versions": "Python", "load": "1.0"}
    file = places.root / scale_page.FIGURES
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"command": words, "machine": machine, "series": [series.as_dict()]}))


def write_scale_page(places: Places) -> None:
    words = [str(places.root / name) for name in (scale_page.FIGURES, scale_page.PICTURE, scale_page.PAGE)]
    scale.main(["--stored", words[0], "--plot", words[1], "--page", words[2]])


def write_sweep(places: Places, cold: float = 1.5) -> None:
    machine = {"processor": "CPU", "cores": 2, "memory_gib": 8, "system": "Linux", "python": "3.11", "numpy": "2.4", "load": [0.5]}
    figures = {
        "cells": 10_000,
        "bytes_per_cell": 19_865,
        "cold_seconds": cold,
        "warm_seconds": 0.25,
        "again_seconds": 3.0,
        "listed_seconds": 0.5,
        "index_bytes": 12_000_000,
        "overhead_cells": 199,
        "overhead_seconds_per_cell": 0.006,
        "quick_cell_seconds": 60.0,
        "overhead_share": 0.0001,
        "machine": machine | {"command": sweep.COMMAND},
    }
    file = places.root / sweep.FIGURES
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(figures))


def write_recipes(places: Places, lift: float = 0.05) -> None:
    file = places.root / recipe_findings.FIGURES
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"cells": recipes({"base": 0.0, "other": lift}, seeds=4)}))


def write_coverage(places: Places) -> None:
    (places.root / coverage.PAGE).write_text(f"by hand\n{coverage.REGION.start}\n{coverage.REGION.end}\nby hand\n")
    coverage.main(["--runs", "50"], places.root, lambda runs: iter([coverage.difference(5, "normal", runs)]))


def write_sweep_page(places: Places) -> None:
    sweep.main(["--stored", str(places.root / sweep.FIGURES), "--page", str(places.root / sweep.PAGE)])


def write_stability(places: Places, score: float = 0.5) -> None:
    cells = [
        {"variant": name, "n": 140, "quality": 0.97, "seed": seed, "collapsed": fell, "macro_f1": {"own": of}, "seconds": 40.0}
        for seed in range(3)
        for name, of, fell in (("base", score * (seed > 0), not seed), ("rate 0.0005", score, False))
    ]
    file = places.root / stability.FIGURES
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"best_constant": 0.125, "cells": cells}))


@pytest.fixture(autouse=True)
def without_the_studies_of_other_tracks(monkeypatch):
    """Their parts have tests of their own (``test_cleaning_study.py``, ``test_curation_study.py``)."""
    monkeypatch.setattr("experiments.check.cleaning", lambda places: [])
    monkeypatch.setattr("experiments.check.curation", lambda places: [])


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    places = Places(tmp_path_factory.mktemp("fresh"))
    write_cells(places, False, [*planted(n=3), *ceiling(0.2, 3)])
    assert command.main(["--page-only"], places) == 0
    marks = [mark for part in (scale_page, sweep, stability, recipe_findings) for mark in (part.REGION.start, part.REGION.end)]
    (places.root / scale_page.PAGE).write_text("\n".join(["by hand", *marks, "by hand, too", ""]))
    write_stability(places)
    stability.main(places)
    write_sweep(places)
    write_sweep_page(places)
    write_scale(places)
    write_scale_page(places)
    write_recipes(places)
    recipe_findings.main([], places.root)
    write_coverage(places)
    return places


@pytest.fixture
def places(fresh, tmp_path):
    return Places(shutil.copytree(fresh.root, tmp_path / "repository"))


def found(places: Places) -> dict[str, tuple[str, str]]:
    """What is wrong and the command, by file."""
    return {finding.file: (finding.seen, finding.command) for finding in check(places).findings}


def content(places: Places) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in places.root.rglob("*") if path.is_file()}


def test_fresh_pages_and_pictures_pass_and_nothing_is_written(places, capsys):
    before = content(places)
    assert command.main(["--check"], places) == 0
    # The page and two pictures of full trainings, the page of benchmarks, the picture of scale, and the page of statistics.
    assert capsys.readouterr().out == "6 pages and pictures are what their committed figures give\n"
    assert content(places) == before


def test_a_page_that_was_edited_is_named_with_its_line_and_its_command(places, capsys):
    lines = places.page.read_text().splitlines(keepends=True)
    places.page.write_text("".join(lines[:6]) + "better figures\n" + "".join(lines[7:]))
    assert command.main(["--check"], places) == 1
    told = capsys.readouterr()
    assert told.err == f"error: docs/results.md: not what its figures give, from line 7 on. Run: {AGAIN}\n"
    assert told.out == ""
    assert command.main(["--page-only"], places) == 0
    assert command.main(["--check"], places) == 0


def test_a_page_that_ends_too_early_or_too_late_is_found(places):
    whole = places.page.read_text()
    for text in (whole + "more\n", "".join(whole.splitlines(keepends=True)[:-3]), ""):
        places.page.write_text(text)
        assert found(places).keys() == {"docs/results.md"}


def test_changed_cells_make_page_and_pictures_stale(places):
    write_cells(places, False, [*planted(n=3, noise=0.02), *ceiling(0.2, 3)])
    wrong = found(places)
    assert wrong.keys() == {"docs/results.md", "docs/images/full-differences.svg", "docs/images/full-curves.svg"}
    assert {again for _, again in wrong.values()} == {AGAIN}
    command.main(["--page-only"], places)
    assert found(places) == {}


def test_missing_files_are_named(places):
    places.page.unlink()
    (places.images / PICTURES[False, "curves"]).unlink()
    (places.root / scale_page.PICTURE).unlink()
    assert found(places) == {
        "docs/results.md": ("missing", AGAIN),
        "docs/images/full-curves.svg": ("missing", AGAIN),
        "docs/images/scale.svg": ("missing", SCALE_AGAIN),
    }


def test_a_picture_that_is_drawn_no_more_is_to_be_removed(places):
    left = places.images / PICTURES[True, "scatter"]
    shutil.copy(places.images / PICTURES[False, "curves"], left)
    assert found(places) == {
        "docs/images/proxy-against-full.svg": (
            "the figures give no such picture any more",
            "git rm docs/images/proxy-against-full.svg",
        )
    }


def test_the_part_of_a_page_is_compared_and_the_rest_is_not(places, capsys):
    page = places.root / scale_page.PAGE
    page.write_text(page.read_text().replace("by hand, too", "other words"))
    assert found(places) == {}
    page.write_text(page.read_text().replace("| reading", "| read"))
    assert command.main(["--check"], places) == 1
    assert f"docs/benchmarks.md: not what its figures give, from line 10 on. Run: {SCALE_AGAIN}\n" in capsys.readouterr().err
    write_scale_page(places)
    assert found(places) == {}
    page.write_text("no marks")
    seen, again = found(places)["docs/benchmarks.md"]
    assert "needs the mark '<!-- scale: written by python -m benchmarks.scale -->'" in seen
    assert again == SCALE_AGAIN


def test_changed_figures_of_scale_make_page_and_picture_stale(places):
    write_scale(places, 2.0)
    wrong = found(places)
    assert wrong.keys() == {"docs/benchmarks.md", "docs/images/scale.svg"}
    assert {again for _, again in wrong.values()} == {SCALE_AGAIN}


def test_changed_figures_of_the_sweep_make_its_part_of_the_page_stale(places, capsys):
    assert (
        "| 10,000 cells, no index: every file read and its checksum compared | 1.50 s | 5 s |"
        in (places.root / sweep.PAGE).read_text()
    )
    write_sweep(places, cold=2.5)
    (seen, again) = found(places)["docs/benchmarks.md"]
    assert seen.startswith("not what its figures give, from line")
    assert again == sweep.AGAIN
    write_sweep_page(places)
    assert found(places) == {}
    (places.root / sweep.FIGURES).write_text("{}")
    assert command.main(["--check"], places) == 2
    assert "sweep.json: cannot be read" in capsys.readouterr().err


def test_figures_of_a_quick_look_and_figures_that_are_missing_are_errors(places, capsys):
    write_scale(places, words="python -m benchmarks.scale --quick-look")
    assert command.main(["--check"], places) == 2
    assert "scale.json: measured by `python -m benchmarks.scale --quick-look`; expected the whole run" in capsys.readouterr().err
    (places.root / scale_page.FIGURES).write_text("{")
    assert command.main(["--check"], places) == 2
    assert "scale.json: cannot be read" in capsys.readouterr().err
    places.cells(False).unlink()
    assert command.main(["--check"], places) == 2
    assert "Gather cells first" in capsys.readouterr().err


def test_a_picture_of_another_matplotlib_is_compared_by_the_figures_that_it_names(places, capsys):
    picture = places.images / PICTURES[False, "curves"]
    other = re.sub(r"Matplotlib v[\d.]+", "Matplotlib v1.0", picture.read_text()).replace("<path", "<path ", 1)
    picture.write_text(other)
    assert command.main(["--check"], places) == 0
    told = capsys.readouterr().out
    assert "note: docs/images/full-curves.svg: drawn by Matplotlib v1.0, and here is Matplotlib v" in told
    picture.write_text(re.sub(r"sha256:\w+", "sha256:0123456789abcdef", other))
    assert found(places) == {"docs/images/full-curves.svg": ("drawn from other figures", AGAIN)}


def test_a_picture_of_this_matplotlib_is_compared_whole(places):
    picture = places.images / PICTURES[False, "curves"]
    picture.write_text(picture.read_text().replace("<path", "<path ", 1))
    assert found(places) == {"docs/images/full-curves.svg": ("not what its figures give", AGAIN)}


def test_a_recipe_that_collapses_is_counted_and_changed_figures_make_its_part_stale(places):
    page = (places.root / stability.PAGE).read_text()
    assert "| 140, 0.97, base | 3 | 1 | 0.333! (1 of 3 collapsed; 0.500 without) |  | 40 |" in page
    assert "| 140, 0.97, rate 0.0005 | 3 | 0 | 0.500 | +0.167 ± 0.717 | 40 |" in page, "equal scores have no interval"
    write_stability(places, 0.6)
    assert found(places) == {stability.PAGE: (found(places)[stability.PAGE][0], stability.COMMAND)}
    stability.main(places)
    assert found(places) == {}


def test_the_page_of_statistics_is_compared_with_its_figures_and_written_without_simulating(places):
    page = places.root / coverage.PAGE
    page.write_text(page.read_text().replace("| paired difference |", "| paired differences |"))
    ((seen, again),) = found(places).values()
    assert (seen.startswith("not what its figures give, from line"), again) == (True, coverage.AGAIN)
    assert coverage.main(["--page-only"], places.root) == 0
    assert found(places) == {}
    (places.root / coverage.FIGURES).unlink()
    with pytest.raises(ConfigurationError, match=r"coverage\.json: cannot be read"):
        check(places)
