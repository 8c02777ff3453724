"""A track unlike the first (its own metrics and splits, a text condition, no training) goes through every verb by its name."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from toy_track import GUESS, GuessTrack
from words_track import WORDS, WordsTrack

import local_evaluation
from evaluator.cli.main import main as cli
from evaluator.cli.tracks import TRACKS
from evaluator.errors import ConfigurationError
from evaluator.history.store import Store
from evaluator.runner.cells import run_cells
from evaluator.sweep.experiment import prepare
from evaluator.sweep.settings import read_settings
from evaluator.tables import Metric
from evaluator.track import Judged

COMMON = ("--track", "words", "--profile", "any", "--sandbox", "process", "--device", "cpu", "--seeds", "3", "--public-seeds")


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(TRACKS.known, "words", WORDS)


@pytest.fixture
def counters(tmp_path):
    """Submissions that count right, badly, and as `random`."""
    for name, off in (("good", 0), ("bad", 30), ("random", 3)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.py").write_text(f"OFF = {off} # words too many\n")
    return [str(tmp_path / name) for name in ("good", "bad", "random")]


@pytest.fixture
def sweep(counters, tmp_path, capsys):
    """Run the verb over all submissions: (status, stdout, stderr)."""

    def run(*options: str, named: tuple[str, ...] = COMMON) -> tuple[int, str, str]:
        status = cli(["sweep", "--submissions", *counters, *named, "--out", str(tmp_path / "out"), *options])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run


def verb(capsys, *words: str) -> tuple[int, str, str]:
    status = cli(list(words))
    shown = capsys.readouterr()
    return status, shown.out, shown.err


def stored(root: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in (root / "cells").glob("*.json")]


def test_a_sweep_shows_its_metrics_and_is_not_run_again(sweep, tmp_path):
    status, out, _ = sweep("--language", "en", "de", "--json")
    summary = json.loads(out)
    assert status == 0
    assert summary["primary_metric"] == "error"
    assert (summary["languages"], summary["score_splits"]) == (["en", "de"], ["long"])
    of = {(row["submission"], row["language"]): row["score"] for row in summary["rows"]}
    assert of["good", "de"]["error"]["mean"] == 0
    assert 30 <= of["bad", "en"]["error"]["mean"] <= 31
    assert set(of["good", "en"]) == {"error", "exact"}
    assert len(stored(tmp_path / "out")) == 3 * 2 * 3 * 2
    status, out, _ = sweep("--language", "en", "de")
    assert status == 0
    assert "error (lower is better)" in out
    assert "36 of 36 cells were finished before" in out
    bad = next(line for line in out.splitlines() if line.startswith("bad"))
    assert f"{of['bad', 'en']['error']['mean']:.1f} [" in bad, "one decimal, as the metric says"


def test_a_file_of_options_names_the_track(sweep, tmp_path):
    file = tmp_path / "words.toml"
    file.write_text('track = "words"\nprofile = "any"\nsandbox = "process"\ndevice = "cpu"\nlanguage = ["fr"]\n')
    status, out, _ = sweep("--json", named=("--file", str(file)))
    assert (status, json.loads(out)["languages"]) == (0, ["fr"])
    file.write_text("track = 3\n")
    assert "the option track is 3; it must be a text" in sweep(named=("--file", str(file)))[2]


def test_its_own_options_and_splits_are_those_of_the_command_line(sweep, capsys):
    with pytest.raises(SystemExit):
        cli(["sweep", "--track", "words", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "--language CODE [CODE ...] language of the texts" in shown
    assert "short or long, or both" in shown
    assert "--pairs" not in shown
    assert "--heat-map" not in shown
    assert sweep("--score-split", "short", "long")[0] == 0
    assert "--score-split is 'test'; it must be short or long" in sweep("--score-split", "test")[2]
    assert (
        "--track: there is no track 'wrods'; known are cleaning, curation, purchase, words" in sweep(named=("--track", "wrods"))[2]
    )
    with pytest.raises(ConfigurationError, match="the track guess has no choice of splits"):
        read_settings({"submissions": [Path(__file__)], "score_split": ["all"]}, GUESS)


def test_comparisons_turn_a_loss_round_and_take_a_text_condition(sweep, tmp_path, capsys):
    assert sweep("--language", "en", "de", "--pipelines", "plain", "strict")[0] == 0
    root = str(tmp_path / "out")
    status, out, _ = verb(capsys, "compare", root, "--language", "de", "--pipeline", "plain", "--wanted", "2", "--json")
    report = json.loads(out)
    (table,) = report["tables"]
    assert (status, table["metric"], table["language"]) == (0, "error", "de")
    more = {row["strategy"]: row["difference"]["mean"] > 0 for row in table["differences"] if row["pair"] == "mean over pairs"}
    assert more == {"good": True, "bad": False}, "less error is better"
    assert any("pipeline plain, language EN, long split" in line for line in report["left_out"])
    status, out, _ = verb(capsys, "compare", root, "--track", "words", "--language", "de", "--pipeline", "plain")
    assert "negative words missed, mean over 2 texts" in out
    assert "language DE" in out
    rows = [line.split()[0] for line in out.splitlines() if line.startswith(("good", "bad", "random"))]
    assert rows[:3] == ["good", "random", "bad"], "the best is at the top"
    status, out, _ = verb(capsys, "compare", root, "--metric", "exact")
    assert (status, "exact counts at text-1" in out) == (0, True)
    status, _, err = verb(capsys, "compare", root, "--metric", "macro_f1")
    assert (status, "--metric is 'macro_f1'; it must be error or exact" in err) == (2, True)
    _, _, err = verb(capsys, "compare", root, "--metric", "exact", "--wanted", "1")
    assert "must be less than 1, the range of exact counts" in err
    assert "holds no cell of track purchase" in verb(capsys, "compare", root, "--track", "purchase")[2]


def test_a_panel_ranks_the_least_error_first(sweep, tmp_path, capsys):
    assert sweep("--pipelines", "plain", "strict")[0] == 0
    root = str(tmp_path / "out")
    status, out, _ = verb(capsys, "panel", root, "--json")
    report = json.loads(out)
    assert (status, report["metric"], report["submissions"]) == (0, "error", ["bad", "good", "random"])
    assert [row["ranks"] for row in report["pipelines"]] == [[3, 1, 2], [3, 1, 2]]
    assert "rank and negative words missed by pipeline" in " ".join(verb(capsys, "panel", root, "--track", "words")[1].split())


def test_an_empty_panel_names_the_command_of_the_track(sweep, tmp_path, capsys):
    assert sweep()[0] == 0
    err = verb(capsys, "panel", str(tmp_path / "out"), "--track", "words")[2]
    assert "Run `python -m evaluator sweep --track words --pipelines NAME NAME` with every submission first" in err


def test_it_says_itself_why_its_cells_are_not_compared(sweep, tmp_path, capsys):
    private = tuple("private" if word == "any" else word for word in COMMON)
    assert sweep("--pipelines", "plain", "strict", named=private)[0] == 0
    root = str(tmp_path / "out")
    assert ".json was counted in private (private)" in verb(capsys, "compare", root)[2]
    assert "12 cells are not compared: each was counted in private" in verb(capsys, "panel", root)[2]


def test_results_are_listed_shown_and_exported(sweep, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    assert sweep()[0] == 0
    out = ("--out", str(tmp_path / "out"))
    listed = verb(capsys, "results", "list", *out)[1]
    assert "words: any," in listed
    assert "plain, long" in listed
    name = stored(tmp_path / "out")[0]["cell"]
    shown = verb(capsys, "results", "show", name[:8], *out)[1]
    assert "language" in shown
    assert "error" in shown
    table = tmp_path / "cells.csv"
    assert verb(capsys, "results", "export", str(table), *out)[0] == 0
    assert {"error", "exact", "language"} <= set(table.read_text().splitlines()[0].split(","))


def test_the_front_door_runs_one_submission(counters, tmp_path, capsys):
    def run(*options: str) -> tuple[int, str, str]:
        status = local_evaluation.main([*COMMON, "--submission", counters[1], "--out", str(tmp_path / "out"), *options])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    status, out, _ = run("--score-split", "short", "--json")
    summary = json.loads(out)
    assert (status, summary["verdict"], summary["score_split"], summary["language"]) == (0, "OK", "short", "en")
    assert 30 <= summary["score"]["error"]["mean"] <= 31
    status, out, _ = run()
    assert status == 0
    header = next(line for line in out.splitlines() if line.startswith("text "))
    assert header.split() == ["text", "verdict", "words", "missed", "exact", "counts"]
    assert "Scored on the long split; a text without words counts as exact." in " ".join(out.split())
    status, out, _ = run("--pipelines", "plain", "strict")
    assert (status, "words missed by pipeline, on the same answers" in out) == (0, True)
    assert "2 pipelines judged its answer" in " ".join(out.split())
    assert "--language: 2 values; a run has one" in run("--language", "en", "de")[2]


def test_tables_of_several_tracks_stand_apart(sweep, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(TRACKS.known, "guess", GUESS)
    for name, guess in (("good", 0.0), ("random", 1.0)):
        (tmp_path / name / "run.py").write_text(f"OFF = 0 \nGUESS = {guess} \n")
    (tmp_path / "bad" / "run.py").write_text("OFF = 6 \nGUESS = 6.0 \n")
    guessing = tuple("guess" if word == "words" else word for word in COMMON)
    assert [sweep("--workers", "1", named=named)[0] for named in (COMMON, guessing)] == [0, 0]
    root = str(tmp_path / "out")
    out = verb(capsys, "compare", root)[1]
    assert "track guess, profile any" in out
    assert "track words, profile any" in out
    report = json.loads(verb(capsys, "compare", root, "--metric", "closeness", "--json")[1])
    assert [table["track"] for table in report["tables"]] == ["guess"]
    assert "cells of the track words, which has no metric closeness" in report["left_out"]


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"exact": 1.0}, "the metric error is missing"),
        ({"error": -1.0, "exact": 0.0}, "the metric error is -1; expected 0 to any"),
        ({"error": float("nan"), "exact": 0.0}, "the metric error is 'nan'; expected a finite number"),
    ],
)
def test_a_judge_that_gives_other_metrics_is_a_fault_of_the_evaluator(counters, tmp_path, monkeypatch, metrics, said):
    judge = WordsTrack.judge

    def odd(self, *given, **named):
        return Judged(replace(judge(self, *given, **named).result, metrics=metrics))

    monkeypatch.setattr(WordsTrack, "judge", odd)
    given = {"submissions": counters[:1], "profile": "any", "sandbox": "process", "device": "cpu", "out": tmp_path / "out"}
    experiment = prepare(WORDS, read_settings(given, WORDS)[0])
    store = Store(tmp_path / "out")
    done = list(run_cells(WORDS, experiment.cells, experiment.inputs, store, store.new_run("x")))
    assert {str(cell.result.verdict) for cell in done} == {"INFRASTRUCTURE"}
    assert all(said in cell.result.reason for cell in done)


def test_a_stored_cell_that_lacks_what_ranks_is_named(sweep, tmp_path, capsys):
    from evaluator.history.checksum import sealed
    from evaluator.history.store import write_whole

    assert sweep()[0] == 0
    for cell in stored(tmp_path / "out"):
        if cell["spec"]["submission"] == "bad":
            cell["metrics"] = {"exact": 0.0}
            del cell["checksum"]
            write_whole(tmp_path / "out" / "cells" / f"{cell['cell']}.json", sealed(cell))
    status, out, _ = verb(capsys, "compare", str(tmp_path / "out"))
    assert status == 0
    assert "holds no usable metrics (the metric error is missing)" in " ".join(out.split())


def test_a_loss_is_turned_round_within_its_range():
    loss, error = Metric("loss", "loss", higher_is_better=False, low=0, high=1), Metric("e", "error", higher_is_better=False)
    assert (loss.score(0.25), loss.score_label) == (0.75, "1 - loss")
    assert (error.score(2.5), error.score_label) == (-2.5, "negative error")
    with pytest.raises(ConfigurationError, match="expected low < high"):
        Metric("m", "m", low=1, high=0)


def test_a_track_without_metrics_is_refused_when_it_is_written():
    with pytest.raises(TypeError, match="expected one metric or more"):
        type("Bare", (GuessTrack,), {"metrics": ()})
    with pytest.raises(TypeError, match="each of another name"):
        type("Twice", (GuessTrack,), {"metrics": (Metric("a", "a"), Metric("a", "b"))})


def test_it_has_a_report_without_code_of_its_own(sweep, counters, tmp_path, capsys):
    assert sweep("--language", "en", "de")[0] == 0
    options = ("--track", "words", "--profile", "any", "--sandbox", "process", "--device", "cpu", "--seeds", "3", "--public-seeds")
    out = ["--out", str(tmp_path / "out")]
    assert local_evaluation.main(["--submission", counters[1], *options, *out, "--language", "de"]) == 0
    assert "report.html" in capsys.readouterr().out
    many, one = (next((tmp_path / "out").glob(f"*-{name}/report.html")).read_text(encoding="utf-8") for name in ("sweep", "bad"))
    for text in (
        "Words missed, best first (lower is better)",
        "bad, language de",
        "good, language en",
        "6 of 6",
        "--language en de",
    ):
        assert text in many
    (row,) = json.loads(next((tmp_path / "out").glob("*-bad/result.json")).read_text())["texts"][:1]
    mean, low, high = (f"{row['metrics']['error'][end]:.1f}" for end in ("mean", "low", "high"))
    assert f"{mean} [{low}, {high}]" in one
    for text in ("Words missed of each text (lower is better)", "text-0", "Negative words missed of stored submissions"):
        assert text in one
    for text in ("▸ bad (this one)", ", too few seeds", "--track words", "--language de", "--public-seeds"):
        assert text in one
    assert "budget" not in one + many
    assert "bought" not in one + many
