"""The track on the command line: its own words in every help, the steps for MLCube, and the other track's submissions."""

import json
from pathlib import Path

import pytest

import local_evaluation
from evaluator.cleaning import trial
from evaluator.cleaning.tasks import CleaningTask
from evaluator.cleaning.track import CLEANING
from evaluator.cleaning.trial import TASKS, kinds, small_task
from evaluator.cli import main as verbs
from evaluator.cli.main import build_parser, main
from evaluator.report.levels import these_items
from evaluator.sandbox.process import ProcessSandbox
from evaluator.submission.validate import examine

ROOT = Path(__file__).resolve().parents[2]
MLCUBE = ROOT / "docs" / "mlcube"


def test_every_step_of_the_mlcube_is_a_command_of_the_kit():
    yaml = pytest.importorskip("yaml")
    cube = yaml.safe_load((MLCUBE / "mlcube.yaml").read_text())
    assert list(cube["tasks"]) == ["download", "create_baselines", "evaluate", "plot"], "the original's, in its order"
    folders = {"embeddings": "embeddings/", "groundtruth": "data/", "submissions": "submissions/", "results": "results/"}
    written: set[str] = set()
    for task, described in cube["tasks"].items():
        parameters = described["parameters"]
        inputs, outputs = parameters.get("inputs", {}), parameters["outputs"]
        assert {name: folders[name] for name in (*inputs, *outputs)} == inputs | outputs
        assert set(inputs) <= written, f"{task} reads what no task before it writes"
        written |= set(outputs)
        words = ["cleaning", task, *(f"--{name}=/mlcube_io{n}" for n, name in enumerate((*inputs, *outputs)))]
        args = build_parser().parse_args(words)
        assert all(getattr(args, name) for name in (*inputs, *outputs))
    entry = next(line for line in (MLCUBE / cube["docker"]["build_file"]).read_text().splitlines() if "ENTRYPOINT" in line)
    assert json.loads(entry.removeprefix("ENTRYPOINT ")) == ["python", "-m", "evaluator", "cleaning"]


def test_the_help_speaks_of_this_track_alone():
    said = local_evaluation.build_parser(CLEANING).format_help()
    for word in ("buy", "purchase", "pair ", "pairs ", "quick", "panel", "image"):
        assert word not in said.replace("imagenet", "").replace("cleaning, curation, purchase (default: purchase)", ""), word
    assert "default: digits" in said
    assert "DataPerf's layout" in " ".join(said.split())


def test_tables_speak_of_rows_and_tasks():
    assert (CLEANING.task_word, CLEANING.item_word) == ("task", "row")
    assert these_items(CLEANING.item_word).startswith("They speak of these rows only: other rows")
    fix, remove = ({"action": action} for action in ("fix", "remove"))
    assert CLEANING.unusual(fix) == ""
    assert CLEANING.unusual(remove) == CLEANING.heading(remove) == "rows with a wrong label are removed"


SUBMISSIONS = {
    "cleaning": ("from run import CleaningRun\nclass Mine(CleaningRun):\n    def rank(self, training_set):\n        return [0]\n"),
    "purchase": (
        "from run import ZEWDPCBaseRun\nclass Mine(ZEWDPCBaseRun):\n    def purchase_phase(self, unlabelled_dataset, budget):\n"
        "        pass\n"
    ),
}


@pytest.mark.parametrize(("written", "asked"), [("cleaning", "purchase"), ("purchase", "cleaning")])
def test_a_submission_of_the_other_track_is_told_so(written, asked, tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(SUBMISSIONS[written])
    assert not examine(path, written).errors
    (error,) = examine(path, asked).errors
    assert f"written for the track {written}" in error.text
    assert f"Did you mean --track {written}?" in error.text
    named = [] if asked == "purchase" else ["--track", asked]
    assert verbs.main(["validate", str(path), "--no-run", *named]) == 1
    assert f"Did you mean --track {written}?" in " ".join(capsys.readouterr().out.split())
    path.write_text(SUBMISSIONS[written].replace("CleaningRun", "object").replace("ZEWDPCBaseRun", "object"))
    assert f"--track {written}?" in examine(path, asked).errors[0].text, "a class without the kit's base is known by its hook"


def test_a_class_with_a_method_rank_of_its_own_is_no_other_track(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(SUBMISSIONS["purchase"] + "    def rank(self, scores):\n        return scores\n")
    assert not examine(path, "purchase").errors
    path.write_text("from elsewhere import Base\nclass Mine(Base):\n    def rank(self, scores):\n        return scores\n")
    assert not any("--track" in finding.text for finding in examine(path, "purchase").found), "its base may have the hook"


def example() -> str:
    """The class that docs/cleaning.md shows."""
    page = (ROOT / "docs" / "cleaning.md").read_text(encoding="utf-8")
    return page.split("```python\n", 1)[1].split("```", 1)[0]


def test_the_example_of_the_page_ranks_every_kind_of_labels(tmp_path, monkeypatch):
    """In this process: the three sessions of ``validate`` are tried by the test below."""
    import numpy as np

    from evaluator.worker.cleaning import LabelledRows, ranking_array

    names: dict[str, type] = {}
    exec(compile(example(), "docs/cleaning.md", "exec"), names)
    for kind in TASKS.values():
        task = small_task(kind)
        assert isinstance(task, CleaningTask)
        given = [LabelledRows(part.rows, part.labels, task.classes) for part in (task.train, task.validation)]
        ranking = ranking_array(names["Nearest"]().rank(*given), len(task.train))
        assert np.array_equal(np.sort(ranking), np.arange(40))
        wrong = np.flatnonzero(task.wrong[ranking])
        assert wrong.mean() < 19.5, "wrong labels come early"


ONE_LABEL = (
    "class Mine:\n    def rank(self, training_set):\n        assert training_set.labels.ndim == 1\n"
    "        return list(range(len(training_set)))\n"
)


def test_a_ranking_that_cannot_do_several_labels_is_not_fit_for_a_round_that_has_them(tmp_path, capsys):
    """They are in the profile that a round of cleaning has by default, so without a round that is named it is an error."""
    path = tmp_path / "mine.py"
    path.write_text(ONE_LABEL)
    command = ["validate", str(path), "--track", "cleaning", "--sandbox", "process", "--json"]
    assert main(command) == 1
    (error,) = json.loads(capsys.readouterr().out)["errors"]
    assert error["place"] == "rank"
    assert "with several labels a row: AssertionError" in error["text"]
    assert "Tasks of painted have such labels; if those of your round have not, name it with --file or --profile" in error["text"]
    (tmp_path / "public.toml").write_text('tasks = ["digits-uniform-0.3"]\nseeds = 2\n')
    for more in (["--profile", "digits"], ["--file", str(tmp_path / "public.toml")]):
        assert main([*command, *more]) == 0
        assert "several labels" not in json.loads(capsys.readouterr().out)["run"]
    assert main([*command, "--profile", "painted"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert "ten classes" not in said["run"]
    assert "--file" not in said["errors"][0]["text"]


def test_validate_says_that_a_run_without_an_end_shows_no_ranking(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "SECONDS", 0.5)
    (tmp_path / "mine.py").write_text("class Mine:\n    def rank(self):\n        import time\n\n        time.sleep(60)\n")
    (finding,) = CLEANING.trial(tmp_path / "mine.py", ProcessSandbox(), None, {"tasks": ("digits-uniform-0.3",)}).found
    assert finding.kind == "warning"
    assert "TIME_LIMIT in the small run with ten classes" in finding.text
    assert "So no ranking was looked at" in finding.text


def test_the_kinds_of_labels_that_are_tried_are_those_of_the_tasks(tmp_path):
    from evaluator.cleaning.folder import task_names
    from evaluator.cleaning.offline import Folders, write_tasks
    from evaluator.cleaning.rules import PROFILES
    from evaluator.cleaning.sets import CleaningSets

    assert kinds({}) == set(TASKS.values())
    assert kinds({"profile": "digits"}) == {"binary", "multiclass"}
    assert kinds({"profile": "painted"}) == {"multilabel"}
    assert kinds({"profile": "roman-numerals", "data": tmp_path}) == {"multiclass"}
    assert kinds({"profile": "dataperf"}) == set(TASKS.values()), "whose tables nobody named"
    places = Folders.below(tmp_path / "data")
    write_tasks(CleaningSets(PROFILES["debug"], 0, cache=tmp_path), ["digits-4v9-uniform-0.2"], places)
    assert task_names(places.embeddings)
    assert kinds({"profile": "dataperf", "data": tmp_path / "data"}) == {"binary"}


def test_options_that_mean_nothing_here_are_refused(tmp_path, capsys):
    options = ["--track", "cleaning", "--submission", str(tmp_path / "mine.py"), "--out", str(tmp_path / "out")]
    (tmp_path / "mine.py").write_text(SUBMISSIONS["cleaning"])
    assert local_evaluation.main([*options, "--starting-weights", "none", "--sandbox", "process", "--public-seeds"]) == 2
    assert "--starting-weights: the fixed model of cleaning has a start of its own" in capsys.readouterr().err
    folder = ["--folder", str(tmp_path / "cleaning")]
    for more, said in (
        (["--scoring", "dataperf", "--root-seed", "3"], "--root-seed: --scoring dataperf draws nothing"),
        (["--processes", "0"], "--processes is 0"),
        (["--root-seed", "-1"], "--root-seed is -1"),
        (["--scoring", "dataperf", "--seeds", "3"], "--seeds: --scoring dataperf has one start"),
    ):
        assert verbs.main(["cleaning", "evaluate", *folder, *more]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "cleaning").exists(), "nothing was written"
