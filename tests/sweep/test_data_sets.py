"""``sweep --data-sets``: several data sets of a profile, made from seeds before the first cell, each with every cell."""

import json
from dataclasses import replace

import fabricated
import numpy as np
import pytest
from conftest import SUBMISSIONS, TINY
from specs import spec
from sweeps import run

import evaluator.purchase.track
from evaluator.cli.main import main as cli
from evaluator.cli.tracks import TRACKS
from evaluator.errors import ConfigurationError
from evaluator.purchase import profiles
from evaluator.purchase.sets import draw_root, numbered
from evaluator.purchase.spec import PurchaseSpec
from evaluator.purchase.track import PURCHASE
from evaluator.report.html.run import run_report
from evaluator.sweep.experiment import prepare
from evaluator.sweep.forecast import forecast
from evaluator.sweep.progress import sweep_rows
from evaluator.sweep.settings import Settings

MADE = replace(
    TINY,
    name="made",
    sizes={"training": 12, "unlabelled": 24, "validation": 16, "debug": 4},
    image_size=32,
    data_folder="made",
    generated=True,
)


@pytest.fixture
def ready(monkeypatch, tmp_path):
    monkeypatch.setitem(profiles.PROFILES, "made", MADE)

    def make(*submissions, dry: bool = False, steps: list | None = None, **changes):
        given = {"profile": "made", "sandbox": "process", "device": "cpu", "pipelines": ("milliseconds",), "public_seeds": True}
        own = {name: option.default for name, option in PURCHASE.options.items()} | {"pairs": ("621:17",)}
        settings = Settings(submissions or (SUBMISSIONS / "random_buyer.py",), own, out=tmp_path / "results", **(given | changes))
        said = (lambda what, done, total: steps.append(what)) if steps is not None else (lambda what, done, total: None)
        return prepare(PURCHASE, settings, said, folder=tmp_path / "data", keep_secret=not dry)

    return make


def made(tmp_path):
    return sorted(path.name for path in (tmp_path / "data").glob("made*"))


def test_every_data_set_is_made_once_from_a_seed_of_its_own_and_has_every_cell(ready, tmp_path):
    experiment = ready(data_sets=2, seeds=2)
    assert made(tmp_path) == ["made-set-1", "made-set-2"]
    assert sorted((cell.data_set, cell.seed) for cell in experiment.cells) == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert len({cell.data["validation"] for cell in experiment.cells}) == 2
    for cell in experiment.cells:
        assert experiment.inputs(cell).data.digests() == cell.data
        assert PurchaseSpec.from_dict(json.loads(json.dumps(cell.as_dict()))) == cell
        assert cell.profile == MADE, "the profile says what the data set is one of"
    assert len({experiment.log_name(cell) for cell in experiment.cells}) == 4
    one, two = (experiment.plan.data_sets[number]["validation"].splits["validation"] for number in (1, 2))
    assert not np.array_equal(one.labels, two.labels)
    # The second time nothing is made, and a third data set leaves the two as they are.
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "data").glob("made*")}
    steps: list[str] = []
    again = ready(data_sets=3, seeds=2, steps=steps)
    assert {cell.digest() for cell in experiment.cells} < {cell.digest() for cell in again.cells}
    assert {name for name in steps if "making data" in name} == {"data set 3 (1 of 1): making data"}
    assert before.items() <= {path.name: path.stat().st_mtime_ns for path in (tmp_path / "data").glob("made*")}.items()
    (third,) = {cell.data_set for cell in ready(data_sets=1, first_data_set=3).cells}
    assert third == 3


def test_a_dry_run_makes_nothing_and_says_what_making_costs(ready, tmp_path):
    ready(data_sets=1)
    experiment = ready(dry=True, data_sets=3)
    assert made(tmp_path) == ["made-set-1"]
    making = experiment.plan.making
    assert (making.sets, making.missing) == (3, 2)
    assert making.as_dict()["bytes"] > 2 * sum(MADE.sizes.values()) * 32 * 32
    rows = dict(sweep_rows(experiment, forecast(experiment, experiment.index())))
    assert rows["data sets"].startswith("3: 2 made before the first cell, about ")
    assert rows["data sets"].endswith(" MB")
    assert forecast(experiment, experiment.index()).cells == 3
    everything = ready(dry=True, data_sets=2, first_data_set=8)  # not even the first is there
    assert [cell.data for cell in everything.cells] == [{}, {}]


def test_the_profiles_own_data_set_names_cells_as_before():
    own, numbered_spec = spec(), spec(data_set=4)
    assert "data_set" not in own.as_dict()
    assert own.digest() != numbered_spec.digest()
    assert own.answer_digest() != numbered_spec.answer_digest()
    assert numbered(MADE, 0) == MADE
    assert len({numbered(MADE, number).data_seed for number in range(50)}) == 50


def test_no_draw_of_a_seed_is_shared_between_data_sets():
    roots = [draw_root(None, spec(data_set=number)) for number in range(4)]
    assert roots[0] == spec().root_seed, "the profile's own data set draws as before"
    assert len(set(roots)) == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data_sets": 2, "profile": "official"}, "--data-sets: the kit does not make the data of the profile official"),
        ({"data_sets": 2, "data": SUBMISSIONS}, "--data and --data-sets were both given"),
        ({"data_sets": 1_001}, "--data-sets is 1001; at most 1,000 are allowed"),
        ({"data_sets": -1}, "--data-sets is -1; it must be 0 or more"),
        ({"data_sets": 1, "first_data_set": 0}, "--first-data-set is 0; it must be 1 or more"),
    ],
)
def test_what_makes_no_sense_is_refused(ready, tmp_path, changes, said):
    with pytest.raises(ConfigurationError) as refused:
        ready(**changes)
    assert said in str(refused.value)
    assert made(tmp_path) == []


def test_from_a_sweep_over_data_sets_to_the_comparison(ready, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(evaluator.purchase.track, "buy", lambda spec, inputs, progress: fabricated.purchase(spec, labels=0))
    names = ("random_buyer", "scripted_buyer")
    experiment = ready(*(SUBMISSIONS / f"{name}.py" for name in names), data_sets=2, seeds=2)
    folder, summary, _ = run(experiment)
    assert (summary["data_sets"], summary["first_data_set"]) == ([1, 2], 1)
    assert [(row["submission"], row["data_set"]) for row in summary["rows"]] == [(name, n) for name in names for n in (1, 2)]
    assert cli(["compare", str(folder.parent), "--reference", "random_buyer", "--json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)["levels"]
    (row,) = table["differences"]
    scores = {(cell["submission"], cell["data_set"], cell["seed"]): cell["score"] for cell in summary["cells"]}
    each = [scores["scripted_buyer", n, seed] - scores["random_buyer", n, seed] for n in (1, 2) for seed in (0, 1)]
    assert row["levels"]["mean"] == pytest.approx(np.mean(each))
    assert (row["levels"]["data_sets"], row["levels"]["seeds"]) == (2, 2)
    # From kept predictions: which part of the variance the scored images have.
    assert cli(["compare", str(folder.parent), "--reference", "random_buyer", "--json", "--items"]) == 0
    (table,) = json.loads(capsys.readouterr().out)["levels"]
    assert "no predictions that were kept" in table["items"]
    words = run_report(folder, TRACKS, pictures=False)
    assert "--data-sets 2 --first-data-set 1" in words
    assert "data set 2" in words
