"""The study of recipes: which labels a training gets, what a file of cells can be gone on from, and what its table counts."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from evaluator.errors import DeviceError, TrainingError
from evaluator.training.recipes import PIPELINES
from experiments.studies import recipes, stability
from experiments.studies.recipes import CLEAN, Cell, given_labels, kept, key_of, run_grid, table, varied


def row(variant="base", n=140, quality=0.97, seed=0, own=0.5, **more) -> dict:
    found = {"variant": variant, "n": n, "quality": quality, "seed": seed, "seconds": 2.0, "collapsed": own < 0.1}
    return found | {"macro_f1": dict.fromkeys(recipes.COLUMNS, own)} | more


def test_mistakes_are_in_all_but_the_first_items_and_differ_from_seed_to_seed():
    truth = (np.random.default_rng(0).random((500, 6)) < 0.1).astype(np.uint8)
    given = given_labels(truth, 0.9, 1)
    assert (given[:CLEAN] == truth[:CLEAN]).all()
    assert (given[CLEAN:] != truth[CLEAN:]).mean() == pytest.approx(0.1, abs=0.03)
    assert (given != given_labels(truth, 0.9, 2)).any()
    assert (given_labels(truth, 1.0, 1) == truth).all()


def test_a_run_goes_on_with_the_cells_that_are_missing(monkeypatch):
    done = [row(seed=0), row(seed=1)]
    cells = [Cell("base", PIPELINES["round2"], 140, seed, 0.97) for seed in range(2)]
    stored = []
    found = run_grid(cells, "", "cpu", 1, 1, 1.0, stored.append, done)
    assert [key_of(cell) for cell in found] == [cell.key for cell in cells]
    assert stored == [], "nothing was trained"


def test_a_device_that_is_lost_ends_the_study_and_a_training_that_fails_does_not(monkeypatch, capsys):
    cells = [Cell("base", PIPELINES["round2"], 140, seed, 1.0) for seed in range(5)]
    begun = []

    def fails(error, at):
        def measured(cell, *given):
            begun.append(cell.seed)
            if cell.seed == at:
                raise error
            return row(quality=1.0, seed=cell.seed)

        begun.clear()
        monkeypatch.setattr(recipes, "measure", measured)
        monkeypatch.setattr(recipes, "pool_of", lambda device, workers: ThreadPoolExecutor(workers))
        return [cell["seed"] for cell in run_grid(cells, "", "cpu", 1, 1, 1.0, lambda found: None, [])]

    assert fails(TrainingError("the loss is nan"), 1) == [0, 2, 3, 4]
    assert begun == [0, 1, 2, 3, 4]
    assert fails(DeviceError("the device cuda:0 failed"), 1) == [0]
    assert begun == [0, 1]
    said = capsys.readouterr().err
    assert "seed 1 failed: TrainingError('the loss is nan')" in said
    assert "the device cuda:0 failed" in said


def test_a_file_with_another_recipe_of_that_name_is_not_gone_on_from(tmp_path):
    file = tmp_path / "cells.json"
    assert kept(file, {}) == {}
    base = PIPELINES["round2"]
    file.write_text(json.dumps({"cells": [], "pipelines": {"base": base.as_dict()}}))
    assert kept(file, {"base": base})["cells"] == []
    with pytest.raises(SystemExit, match="'base' is another recipe there"):
        kept(file, {"base": varied(base, {"learning_rate": 1e-3})})


def test_the_table_counts_collapses_by_condition_and_takes_files_from_before_there_were_any():
    cells = [row(own=own, seed=seed) for seed, own in enumerate((0.0, 0.5))]
    old = row(n=289)
    del old["quality"], old["collapsed"]
    text = table([*cells, old], ["base"], [(140, 0.97), (289, 1.0)])
    first, second = text.split("n = 289")
    assert [line.split()[:4] for line in first.split("\n") if line.startswith("base")] == [["base", "2", "1", "0.250"]]
    assert [line.split()[:3] for line in second.split("\n") if line.startswith("base")] == [["base", "1", "0"]]


def test_the_page_names_few_items_and_right_labels_first():
    cells = [row(n=1060), row(quality=1.0), row()]
    assert stability.conditions(cells) == [(140, 1.0), (140, 0.97), (1060, 0.97)]
