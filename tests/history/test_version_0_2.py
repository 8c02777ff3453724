"""What kit 0.2 stored is read today: listed, compared and replayed with the figures that 0.2 itself gave.

``version_0_2/results`` was made by that version on the profile ``debug``: three submissions (one of them fails), three pairs, two
seeds, two pipelines; a time limit that was kept; a run with labels of lower quality. Beside it lies what its own ``compare``,
``panel`` and ``replay`` said of these results, and the data that they are of (``data.tar``): the generator of today makes others.
"""

import json
import math
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from evaluator.cli.main import main
from evaluator.cli.tracks import TRACKS
from evaluator.errors import DataError
from evaluator.history.index import read_index
from evaluator.history.reading import read_cells
from evaluator.machine import versions
from evaluator.purchase import profiles
from evaluator.purchase.profiles import profile_named
from evaluator.purchase.replay import read_replay
from evaluator.purchase.sets import provide_data

OLD = Path(__file__).with_name("version_0_2")
CELLS = sorted((OLD / "results" / "cells").glob("*.json"))


@pytest.fixture
def results(tmp_path) -> Path:
    """A copy, so that nothing is written beside the committed files."""
    return Path(shutil.copytree(OLD / "results", tmp_path / "results"))


@pytest.fixture(scope="module")
def debug_data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "debug"
    with tarfile.open(OLD / "data.tar") as packed:
        packed.extractall(folder, filter="data")
    return folder


def by_name(report: dict, *names: str) -> dict:
    return {name: report[name] for name in names}


def said_then(name):
    """A report of 0.2, which wrote "1 cells"."""
    return json.loads((OLD / name).read_text().replace(" 1 cells", " 1 cell").replace('"1 cells', '"1 cell'))


def without_collapses(value):
    """A report of today without what it says of collapsed cells, which 0.2 did not look for."""
    if isinstance(value, dict):
        return {name: without_collapses(of) for name, of in value.items() if name not in ("collapsed", "without")}
    if isinstance(value, list):
        return [without_collapses(of) for of in value if not (isinstance(of, str) and of.startswith(("!: ", "collapsed cells")))]
    return value


def test_every_cell_is_read_in_the_form_of_today():
    read = [(path, cell, why) for path, cell, why in read_cells(OLD / "results", TRACKS)]
    assert [why for _, _, why in read if why] == []
    assert len(read) == len(CELLS) == 38
    for path, cell, _ in read:
        old = json.loads(path.read_text())
        assert cell["spec"]["task"] == old["spec"]["pair"]
        assert cell["answer"] == {"file": old["purchase"]["file"], "checksum": old["purchase"]["checksum"]}
        assert by_name(cell, "metrics", "verdict", "ledger", "fingerprint") == by_name(
            old, "metrics", "verdict", "ledger", "fingerprint"
        )


def test_they_are_listed_and_none_is_damaged(results):
    index = read_index(results, TRACKS)
    assert index.damaged == ()
    assert len(index.cells) == 38
    assert {row["figures"]["budget"] for row in index.cells.values()} == {12, 17, 26}


def test_compare_says_what_it_said_then(results, capsys):
    assert main(["compare", str(results), "--json", "--failed", "--all-editions"]) == 0
    today, then = without_collapses(json.loads(capsys.readouterr().out)), said_then("compare.json")
    assert len(today["tables"]) == len(then["tables"]) == 3
    for new, old in zip(today["tables"], then["tables"], strict=True):
        for row, before in zip(new["strategies"], old["strategies"], strict=True):
            assert (row.pop("owner"), row.pop("label"), row.pop("folder"), row.pop("time")) == ("", before["name"], "", "")
        # Which tests decide, what is an observation and what a failed cell takes away have changed since; the figures have not.
        for row, before in zip(new["strategies"], old["strategies"], strict=True):
            assert by_name(row, *before) == before
        for row, before in zip(new["means"], old["means"], strict=True):
            assert by_name(row, *before) == before or (row["interval"], row["failed"] > 0) == (None, True)
        for row, before in zip(new["differences"], old["differences"], strict=True):
            kept = ("strategy", "pair", "left_out")
            assert by_name(row, *kept) == by_name(before, *kept)
            if row["p"] is not None:
                assert by_name(row, "difference", "deviation", "p_permutation") == by_name(
                    before, "difference", "deviation", "p_permutation"
                )
                assert row["p_t"] == before["p"]
        changed = {
            "kit",
            "ceiling",
            "strategies",
            "means",
            "differences",
            "areas",
            "matrix",
            "ranks",
            "shares",
            "notes",
            "public_minus_hidden",
        }
        assert by_name(new, *(old.keys() - changed)) == by_name(old, *(old.keys() - changed))


def test_the_panel_agrees_as_it_did_then(results, capsys):
    assert main(["panel", str(results), "--json"]) == 0
    today, then = without_collapses(json.loads(capsys.readouterr().out)), said_then("panel.json")
    new = {"kit", "tau", "mean_tau", "w", "resamples", "bootstrap_seed"}  # corrected for noise since 0.4; beside it, as measured
    assert by_name(today, *(then.keys() - new)) == by_name(then, *(then.keys() - new))
    for name in ("mean_tau", "w"):
        assert today[name]["measured"] == pytest.approx(then[name]["value"])


@pytest.mark.parametrize("pipeline", ["milliseconds", pytest.param("debug", marks=[pytest.mark.slow, pytest.mark.endurance])])
def test_a_ledger_is_replayed_with_the_figures_that_it_gave_then(pipeline, debug_data):
    replayed = {row["cell"]: row for row in map(json.loads, (OLD / "replayed.jsonl").read_text().splitlines())}
    stored = {path: json.loads(path.read_text()) for path in CELLS}
    chosen = [path for path, cell in stored.items() if cell["spec"]["pipeline"]["name"] == pipeline and cell["scored"]]
    same_machine = _same_machine(stored[chosen[0]]["versions"])
    for path in chosen[:3] if pipeline == "debug" else chosen:
        replay = read_replay(path, debug_data)
        row = replay.run(replay.spec.pipeline)
        assert row["own"]
        assert not row["failed"]
        assert math.isclose(row["metrics"]["macro_f1"], replayed[path.stem]["macro_f1"], abs_tol=0 if same_machine else 0.1)
        if same_machine:
            assert row["same"], "to the bit, with the same libraries on the same kind of processor"


def _same_machine(then: dict[str, str]) -> bool:
    """Whether libraries and processor are those of then; the last bit of a figure may depend on both."""
    processor = json.loads((OLD / "machine.json").read_text())["processor"]
    now = versions()
    return now["processor"] == processor and all(now.get(n) == value for n, value in then.items() if n not in ("kit", "python"))


def test_replay_takes_the_profile_that_is_stored_and_not_todays_table(monkeypatch, tmp_path, debug_data):
    cell = next(path for path in CELLS if json.loads(path.read_text())["spec"]["pipeline"]["name"] == "milliseconds")
    today = profile_named("debug")
    then = replace(today, sizes={"training": 30, "unlabelled": 40, "validation": 20, "debug": 10}, drawn={})
    monkeypatch.setitem(profiles.PROFILES, "debug", replace(today, image_size=32, budget_scale=0.5, pipeline="quick"))
    spec = read_replay(cell, debug_data).spec
    assert (spec.profile.image_size, spec.profile.budget_scale) == (64, 0.02)
    assert spec.profile == then
    monkeypatch.delitem(profiles.PROFILES, "debug")
    assert read_replay(cell, debug_data).spec.profile == then


def test_data_of_that_generator_are_not_taken_for_todays(debug_data):
    """A run would else compare images of one data set with figures of another, without a word."""
    with pytest.raises(DataError, match=r"version 1 of the generator made it; this kit has version 2.*--data"):
        provide_data(profile_named("debug"), debug_data)
    assert (debug_data / "training" / "labels.csv").is_file(), "nothing was removed"
