"""What other library versions made is not taken from the store, unless that is asked for, and then it is said."""

import json
from pathlib import Path

import pytest
from conftest import SUBMISSIONS, TINY
from inline import Inline
from sweeps import conducted

import evaluator.purchase.track
import evaluator.sweep.run
import local_evaluation
from evaluator.history.checksum import sealed
from evaluator.machine import versions
from evaluator.purchase import profiles
from evaluator.sweep.forecast import forecast

RANDOM = SUBMISSIONS / "random_buyer.py"
OTHER = {"numpy": "0.1"}


@pytest.fixture
def bought(monkeypatch):
    """The submissions that were run: pair and seed."""
    sessions, buy = [], evaluator.purchase.track.buy

    def spy(spec, *arguments):
        sessions.append((spec.task, spec.seed))
        return buy(spec, *arguments)

    monkeypatch.setattr(evaluator.purchase.track, "buy", spy)
    return sessions


def made_by(path: Path, others: dict[str, str], **changes) -> dict:
    """Let a stored file be one that other versions made; its content."""
    content = json.loads(path.read_text())
    del content["checksum"]
    path.write_text(sealed(content | {"versions": content["versions"] | others} | changes))
    return json.loads(path.read_text())


def all_made_by(root: Path, cell: dict[str, str], answer: dict[str, str]) -> None:
    """Let the only answer be one that other versions made, and the only cell one that other versions judged it in."""
    checksum = made_by(only(root, "answers"), answer)["checksum"]
    path = only(root, "cells")
    made_by(path, cell, answer=json.loads(path.read_text())["answer"] | {"checksum": checksum})


def only(root: Path, folder: str) -> Path:
    (found,) = (root / folder).glob("*.json")
    return found


@pytest.fixture
def stored(ready, bought):
    """One finished cell and its answer, made by other versions where that is said; then a run over the same cell.

    Gives the cell as the second run ended it (None where it was finished before), the forecast, and the results folder.
    """

    def run(cell: dict[str, str], answer: dict[str, str], **changes):
        first = ready(RANDOM, pairs=("621:17",))
        conducted(first, workers=Inline())
        root = first.settings.out
        all_made_by(root, cell, answer)
        bought.clear()
        again = ready(RANDOM, pairs=("621:17",), **changes)
        expected, ended = forecast(again, again.index()), []
        conducted(again, workers=Inline(), finished=ended.append)
        assert len(ended) == expected.trainings
        assert len(bought) == expected.answers
        return (ended[0] if ended else None), expected, root

    return run


def test_what_these_versions_made_is_taken(stored):
    cell, expected, _ = stored({}, {})
    assert cell is None
    assert (expected.finished, expected.answers) == (1, 0)


@pytest.mark.parametrize(
    "others",
    [{"kit": "0.0.1"}, {"processor": "Another"}, {"python": versions()["python"] + "99"}],
    ids=["kit", "processor", "patch of Python"],
)
def test_what_decides_no_figure_takes_nothing_from_the_store(stored, others):
    cell, expected, _ = stored(others, others)
    assert cell is None
    assert (expected.finished, expected.answers) == (1, 0)


@pytest.mark.parametrize("others", [OTHER, {"python": "3.0.0"}, {"torch": "absent"}], ids=["numpy", "python", "torch"])
@pytest.mark.endurance
def test_a_cell_and_an_answer_of_other_versions_are_made_again_and_both_are_set_aside(stored, others):
    cell, expected, root = stored(others, others)
    assert (cell.cached, cell.reused) == (False, False)
    assert (expected.finished, expected.answers) == (0, 1)
    now = json.loads(only(root, "cells").read_text())
    assert now["versions"] == json.loads(only(root, "answers").read_text())["versions"] == versions()
    aside = json.loads(only(root / "cells", "replaced").read_text())
    assert aside["versions"] == versions() | others
    assert (aside["cell"], aside["fingerprint"]) == (now["cell"], now["fingerprint"])
    assert len(list((root / "cells" / "replaced").glob("*.npy"))) == 1
    bought_before = json.loads(only(root / "answers", "replaced").read_text())
    assert bought_before["versions"] == versions() | others
    assert bought_before["checksum"] == aside["answer"]["checksum"]


def test_an_answer_of_these_versions_is_judged_again_where_its_cell_is_of_others(stored):
    cell, expected, root = stored(OTHER, {})
    assert (cell.cached, cell.reused) == (False, True)
    assert (expected.finished, expected.answers) == (0, 0)
    assert json.loads(only(root, "cells").read_text())["answer"]["checksum"] == cell.result.answer.checksum
    assert cell.result.versions == versions()


def test_both_are_taken_where_that_is_asked_for(stored):
    cell, expected, root = stored(OTHER, OTHER, mixed_versions=True)
    assert cell is None
    assert (expected.finished, expected.answers) == (1, 0)
    assert json.loads(only(root, "cells").read_text())["versions"]["numpy"] == "0.1"
    assert not (root / "cells" / "replaced").exists()


@pytest.mark.parametrize("mixed", [False, True])
def test_another_pipeline_is_trained_on_an_answer_of_other_versions_only_where_that_is_asked_for(ready, bought, mixed):
    first = ready(RANDOM, pairs=("621:17",))
    conducted(first, workers=Inline())
    path = only(first.settings.out, "answers")
    made_by(path, OTHER)
    before = path.read_bytes()
    only(first.settings.out, "cells").unlink()
    bought.clear()
    again, ended = ready(RANDOM, pairs=("621:17",), mixed_versions=mixed), []
    assert (again.answered(again.cells[0], again.index()) is not None) == mixed
    conducted(again, workers=Inline(), finished=ended.append)
    assert bought == ([] if mixed else [("621:17", 0)])
    assert [cell.reused for cell in ended] == [mixed]
    assert (path.read_bytes() == before) == mixed
    assert ended[0].result.versions == versions()


@pytest.fixture
def evaluate(monkeypatch, tmp_path, data_folder, capsys):
    """Run the front door on the tiny data: what it printed."""
    monkeypatch.setitem(profiles.PROFILES, "tiny", TINY)
    monkeypatch.setattr("evaluator.places.DATA", tmp_path / "data")
    monkeypatch.setattr(evaluator.sweep.run, "places", lambda experiment: Inline())
    monkeypatch.setenv("COLUMNS", "200")

    def run(*options: str) -> str:
        given = ["--profile", "tiny", "--data", str(data_folder), "--out", str(tmp_path / "results"), "--sandbox", "process"]
        assert local_evaluation.main([*given, "--submission", str(RANDOM), "--device", "cpu", *options]) == 0
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize(("others", "said"), [(OTHER, True), ({"processor": "Another"}, False)], ids=["numpy", "processor"])
@pytest.mark.endurance
def test_a_run_over_cells_of_several_versions_says_so(evaluate, tmp_path, others, said):
    evaluate("--pair", "621:17")
    all_made_by(tmp_path / "results", others, others)
    both = ("--pair", "621:17", "--pair", "1321:34", "--mixed-versions")
    summary = json.loads(evaluate(*both, "--json"))
    assert [cell["cached"] for cell in summary["cells"]] == [True, False]
    assert summary["versions"] == [versions() | others, versions()]
    assert ("computed by 2 different sets of library versions (--mixed-versions)" in evaluate(*both)) == said
