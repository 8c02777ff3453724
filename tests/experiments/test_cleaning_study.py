"""The study of the cleaning track: rankings as a sweep makes them, figures in columns, findings that intervals allow, resuming."""

import json

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from evaluator.cleaning.rules import VOTES, profile_named, recipe_named
from evaluator.cleaning.session import SessionSpec, run_session
from evaluator.cleaning.track import CleaningResult, CleaningSpec, CurvePoint
from evaluator.errors import ConfigurationError, Verdict
from evaluator.records import PhaseRow
from evaluator.sandbox.process import ProcessSandbox
from evaluator.seeds import derive
from evaluator.strategies.valuation.methods import METHODS
from experiments import check
from experiments.cleaning import __main__ as command
from experiments.cleaning import study
from experiments.cleaning.cells import GRID, SHARES, pack, read, table
from experiments.cleaning.page import Study, page
from experiments.cleaning.study import BASELINES, DataSet, planned, run
from experiments.places import Places

MADE = {"command": "a command", "cpu_minutes": 2.0, "machine": "two cores", "left_out": []}
SMALL = DataSet("digits", "debug")


def cell(name: str, seed: int, early: float, profile: str = "digits", task: str = "digits-uniform-0.3", **more) -> dict:
    """A scored cell with a course of its own."""
    spec = CleaningSpec(
        submission=name,
        submission_digest="d" * 32,
        profile=profile_named(profile),
        seed=seed,
        root_seed=1,
        pipeline=VOTES if profile == "cifar10-votes" else recipe_named("coarse"),
        weights="none",
        data={"tasks": "t" * 64},
        score_split="test",
        tier="in process",
        device="cpu",
        threads=1,
        data_id=task,
    )
    result = CleaningResult.of(
        spec,
        None,
        Verdict.OK,
        **{
            "fit_to_submit": True,
            "phases": [PhaseRow(name="rank", verdict="OK", reason="", seconds=0.5, allowed=60.0)],
            "metrics": {"fraction_fixed": 1 - early, "area": 0.5 + early / 4, "discovery": early, "found_early": early},
            "curve": [CurvePoint(checks=0, accuracy=0.5), CurvePoint(checks=50, accuracy=0.9)],
            "hits": [25, 50],
            "rows": 100,
            "clean_accuracy": 0.95,
            "target": 0.9,
            "reached": True,
        }
        | more,
    )
    return result.as_dict()


def cells(seeds: int = 7) -> list[dict]:
    """``own_loss`` finds far more than ``random``, ``influence`` the same but for noise, ``knn_shapley_1`` far less."""
    rng = np.random.default_rng(0)
    means = {"random": 0.4, "own_loss": 0.8, "influence": 0.4, "knn_shapley_1": 0.1}
    return [cell(name, seed, mean + 0.02 * rng.normal()) for seed in range(seeds) for name, mean in means.items()]


def of(found: list[dict]) -> Study:
    return Study.of(json.loads(pack(found, MADE)))


def test_columns_keep_the_figures_and_the_courses(tmp_path):
    path = tmp_path / "cells.json"
    path.write_text(pack(cells(2), MADE))
    stored, source = read(path)
    rows = table(stored)
    assert len(rows) == 8
    assert source.startswith("cells sha256:")
    assert len(stored["setups"]) == 1
    first = rows[0]
    assert len(first["accuracy"]) == len(first["found"]) == GRID
    at = SHARES.tolist().index(0.5)
    assert first["accuracy"][at - 1 : at + 1] == [0.5, 0.9], "50 of 100 rows are checked"
    assert [first["found"][0], first["found"][at // 2], first["found"][at]] == [0.0, 0.5, 1.0]
    with pytest.raises(ConfigurationError, match=r"experiments\.cleaning --run"):
        read(tmp_path / "nothing.json")


def test_a_page_calls_better_what_the_intervals_allow_and_nothing_else():
    text = page(of(cells()))
    by_name = {line.split("`")[1]: line for line in text.split("Accuracy area**")[0].splitlines() if line.startswith("| `")}
    assert by_name["own_loss"].endswith("better** |")
    assert by_name["knn_shapley_1"].endswith("worse** |")
    assert by_name["influence"].endswith("] noise |")
    assert by_name["tmc_shapley"].endswith("not run |")
    assert "of 3 baselines against `random`: found early 1 better, 1 worse" in text
    # Three seeds are too few for the sign-flip test, whatever their means.
    assert "better** |" not in page(of(cells(3)))


def test_failed_cells_are_named_and_unjudged_rows_are_counted():
    broken = cell("influence", 1, 0.4) | {"scored": False, "metrics": None, "reason": "out of memory"}
    text = page(of([*[one for one in cells() if one["cell"] != broken["cell"]], broken]))
    assert "failed: `influence` on digits-uniform-0.3, seed 1: out of memory" in text
    voted = [
        cell(name, seed, 0.4 + seed / 100, "cifar10-votes", "cifar10-votes", rows=100, unjudged=400 + seed, early_unjudged=80)
        for seed in range(6)
        for name in ("random", "own_loss")
    ]
    text = page(of(voted))
    assert "400 to 405 rows to rank have none and are left out: they count neither as right nor as wrong" in text
    assert "80% have none in the median" in text


def test_page_and_pictures_are_checked(tmp_path, monkeypatch):
    places = Places(tmp_path)
    places.cleaning_cells.parent.mkdir(parents=True)
    places.cleaning_cells.write_text(pack(cells(3), MADE))
    assert command.main(["--page-only"], places) == 0
    assert sorted(path.name for path in places.images.iterdir()) == ["cleaning-digits.svg", "cleaning-time.svg"]
    assert command.main(["--check"], places) == 0
    places.cleaning_page.write_text(places.cleaning_page.read_text().replace("better", "best"))
    (places.images / "cleaning-painted.svg").write_text("<svg/>")
    for part in ("_results", "_recipes", "_stability", "_sweep", "_scale", "_coverage", "curation"):
        monkeypatch.setattr(check, part, lambda places: [])
    seen = {finding.file: finding.command for finding in check.check(places).findings}
    assert seen == {
        "docs/cleaning-results.md": "python -m experiments.cleaning --page-only",
        "docs/images/cleaning-painted.svg": "git rm docs/images/cleaning-painted.svg",
    }
    assert command.main(["--check"], places) == 1


def test_a_run_goes_on_where_it_stopped_and_leaves_out_what_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "METHODS", {name: METHODS[name] for name in ("random", "own_loss")})
    sets = (SMALL, DataSet("roman numerals", "roman-numerals", real="roman-numerals"))
    said: list[str] = []
    first = list(run(tmp_path / "out", tmp_path, tmp_path, 2, sets, said.append))
    assert len(set(first)) == 4
    assert said[0] == f"roman numerals is left out: {tmp_path / 'roman-numerals'} is not here"
    assert "seed 1, digits: 2 of 2 cells run" in said[-1]
    assert list(run(tmp_path / "out", tmp_path, tmp_path, 2, sets, said.append)) == first
    assert "seed 1, digits: 0 of 2 cells run" in said[-1]


def test_the_study_ranks_as_the_submission_does_in_a_sweep(tmp_path):
    plan = planned(SMALL, tmp_path, tmp_path, range(1))
    spec = next(spec for spec in plan.cells if spec.submission == "random")
    sets = plan.data_of(spec)
    task, seed = sets.task(spec.data_id, 0), derive(sets.root, 0, "participant") % 2**31
    found = run_session(SessionSpec(BASELINES / "random", task, seconds=30.0, load_seconds=40.0, seed=seed), ProcessSandbox())
    given = task.train.rows, task.train.labels, task.validation.rows, task.validation.labels
    assert np.array_equal(found.ranking, METHODS["random"](*given, seed, 30.0))
