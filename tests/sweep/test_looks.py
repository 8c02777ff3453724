"""``sweep --until``: it ends when everything is decided, says what it saw, and keeps its error where nothing is there."""

import io

import numpy as np
import pytest
from rich.console import Console
from toy_track import GUESS

from evaluator.errors import ConfigurationError
from evaluator.history.store import Store
from evaluator.report.sweep import show_sweep_result
from evaluator.scoring.sequential import nominal_levels
from evaluator.seeds import generator
from evaluator.sweep.experiment import prepare
from evaluator.sweep.forecast import forecast
from evaluator.sweep.looks import Looks, decided
from evaluator.sweep.progress import further_seeds
from evaluator.sweep.run import run
from evaluator.sweep.settings import read_settings
from evaluator.sweep.table import summarise_sweep


@pytest.fixture
def ready(tmp_path):
    """An experiment of the toy track: submissions that add so much to the number that they should guess."""

    def prepared(added=(("good", 0.0), ("bad", 2.0), ("random", 1.0)), **given):
        for name, offset in added:
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / "run.py").write_text(f"GUESS = {offset} # added to the number\n")
        options = {"submissions": [tmp_path / name for name, _ in added], "profile": "any", "sandbox": "process", "device": "cpu"}
        settings, _ = read_settings(options | {"out": tmp_path / "results", "seeds": 40} | given, GUESS)
        return prepare(GUESS, settings)

    return prepared


def swept(experiment):
    """Run with looks: (outcome, sweep.json, what a terminal shows)."""
    store, summary = Store(experiment.settings.out), {}
    expected = forecast(experiment, experiment.index())

    def finish(outcome):
        of = (outcome.rows, outcome.before, expected, outcome.seconds)
        summary.update(summarise_sweep(experiment, *of, looks=outcome.looks))

    outcome = run(experiment, store, "sweep", finish, looks=Looks.of(experiment))
    console = Console(file=io.StringIO(), width=120)
    show_sweep_result(console, summary, GUESS)
    return outcome, summary, " ".join(console.file.getvalue().split())


def test_it_ends_at_the_look_that_decides_everything_and_says_what_it_saw(ready):
    experiment = ready(until=10, numbers=[3])
    outcome, summary, shown = swept(experiment)
    seen = [look["seeds"] for look in summary["looks"]]
    assert seen == [10, 20][: len(seen)]
    assert len(outcome.ran) == 3 * seen[-1] < 3 * 40
    assert {row["submission"]: row["finding"] for row in summary["looks"][-1]["comparisons"]} == {"good": "better", "bad": "worse"}
    assert [look["level"] for look in summary["looks"]] == pytest.approx(nominal_levels([0.25, 0.5, 0.75, 1], 0.025)[: len(seen)])
    assert [*summary["looks"][0]] == ["seeds", "level", "comparisons"]
    own = ("submission", "pipeline", "hint", "data_set", "score_split", "difference", "p", "finding")
    assert {tuple(row) for look in summary["looks"] for row in look["comparisons"]} == {own}
    assert "looked after every 10 of at most 40 seeds" in shown
    assert "good, near, 0, all: better" in shown
    assert "not run yet" not in shown
    # The same command finds the same, and runs nothing.
    again, after, _ = swept(ready(until=10, numbers=[3]))
    assert (again.ran, after["looks"]) == ((), summary["looks"])


def test_without_looks_all_seeds_are_run(ready):
    experiment = ready(seeds=6, numbers=[3])
    assert Looks.of(experiment) is None
    outcome, summary, _ = swept(experiment)
    assert (len(outcome.ran), summary["looks"], summary["until"]) == (18, [], None)
    more = ready(seeds=9, numbers=[3])
    assert "6 seeds finished before, 3 more to run" in further_seeds(more, more.index())
    assert further_seeds(experiment, experiment.index()) == ""


def rows_of(experiment, name, effect=0.0, failed=None, still=False):
    """Rows of cells that nobody ran: normal scores, with an effect of every submission but `random`."""
    rows = {}
    for spec in experiment.cells:
        shared = generator(1, name, spec.seed).normal()
        own = 0.0 if still else generator(1, name, spec.submission, spec.seed).normal()
        score = 0.5 + 0.05 * shared + 0.02 * own + (effect if spec.submission != "random" else 0)
        scored = (spec.submission, spec.seed) != failed
        of = {"scored": scored, "metrics": {"closeness": score, "hit": 0.0}, "observation": "same" if still else None}
        rows[spec.digest()] = of
    return rows


def test_looks_at_nothing_find_nothing_and_looks_at_something_find_it_early(ready):
    experiment = ready(until=6, seeds=30, numbers=[3], added=(("good", 0.0), ("random", 1.0)))
    looks = Looks.of(experiment)
    assert (looks.ends, [len(part) for _, part in looks.parts(experiment.cells)]) == ((6, 12, 18, 24, 30), [12] * 5)
    false = 0
    for trial in range(20):
        rows = rows_of(experiment, f"null {trial}")
        false += any(row["finding"] != "within noise" for n in looks.ends for row in looks.look(rows, n)["comparisons"])
    assert false <= 4
    rows = rows_of(experiment, "planted", 0.04)
    found = [looks.look(rows, n)["comparisons"][0] for n in looks.ends]
    assert [row["finding"] for row in found][-1] == "better"
    gaps = [
        rows[s.digest()]["metrics"]["closeness"] * (1 if s.submission == "good" else -1) for s in experiment.cells if s.seed < 12
    ]
    assert found[1]["difference"] == pytest.approx(np.sum(gaps) / 12)


def test_what_no_seed_can_change_ends_the_run(ready):
    experiment = ready(until=6, seeds=30, numbers=[3], added=(("good", 0.0), ("random", 1.0)))
    looks = Looks.of(experiment)
    for rows, finding in (
        (rows_of(experiment, "failed", failed=("good", 2)), "failed cells"),
        (rows_of(experiment, "still", still=True), "one observation"),
    ):
        look = looks.look(rows, 6)
        assert look["comparisons"][0]["finding"] == finding
        assert decided(look)
    assert not decided(looks.look(rows_of(experiment, "open"), 6))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"until": 40}, "--until is 40 and --seeds 40"),
        ({"until": 1}, "expected 2 or more seeds between two looks"),
        ({"until": 10, "first_seed": 5}, "--first-seed is 5"),
        ({"until": 10, "added": (("good", 0.0), ("bad", 2.0))}, "expected random"),
    ],
)
def test_looks_that_make_no_sense_are_refused(ready, given, said):
    with pytest.raises(ConfigurationError, match=said):
        Looks.of(ready(**given))
