"""An answer at the wrong place: of another track, or for a round whose training could not begin here."""

import json

import pytest

import local_evaluation
from evaluator.cli.main import main
from evaluator.cli.tracks import of_another_track
from evaluator.errors import WeightsError
from evaluator.purchase import plan, profiles
from evaluator.purchase.track import PURCHASE

TASK = "digits-4v9-uniform-0.2"


@pytest.fixture
def answers(tmp_path):
    """An answer of each track, by its name, and code."""
    home = tmp_path / "home"
    (home / "ranked").mkdir(parents=True)
    (home / "ranked" / f"{TASK}.txt").write_text("".join(f"{row}\n" for row in range(60)))
    (home / "pictures" / "train" / "i").mkdir(parents=True)
    (home / "pictures" / "train" / "i" / "a.png").write_bytes(b"never decoded")
    (home / "ledger.csv").write_text("pair,file\n621:17,0001.png\n")
    (home / "edits.csv").write_text("id,action,label,split,file\na.png,drop,,,\n")
    return home


def text(words: str) -> str:
    return " ".join(words.split())


@pytest.mark.parametrize(
    ("name", "track", "said"),
    [
        ("pictures", "purchase", "it is an answer of the track curation (1 image); code or an answer of the track purchase"),
        ("pictures", "cleaning", "Add --track curation; `python -m evaluator curation check PATH --data DIR`"),
        ("edits.csv", "purchase", "it is an answer of the track curation (a table of 1 edit)"),
        ("edits.csv", "cleaning", "Add --track curation"),
        ("ranked", "purchase", "it is an answer of the track cleaning (1 ranking)"),
        ("ranked", "curation", "Add --track cleaning"),
        ("ledger.csv", "cleaning", "it is an answer of the track purchase (a ledger of 1 label at 621:17)"),
        ("ledger.csv", "curation", "Add --track purchase"),
    ],
)
def test_an_answer_of_another_track_is_told_as_such_by_every_verb(answers, tmp_path, capsys, monkeypatch, name, track, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inbox").mkdir()
    path = str(answers / name)
    for words in (["validate"], ["package"], ["submit", "--to", str(tmp_path / "inbox")]):
        assert main([words[0], path, "--track", track, *words[1:]]) == 1
        told = text(capsys.readouterr().out)
        assert said in told
        assert told.count("error: ") == 1, "what the wrong track says of the files would mislead"
    out = ["--track", track, "--out", str(tmp_path / "results")]
    for run in (
        lambda: main(["sweep", "--submissions", path, *out]),
        lambda: local_evaluation.main(["--submission", path, *out]),
    ):
        assert run() == 2
        assert said in text(capsys.readouterr().err)
    assert {left.name for left in tmp_path.iterdir()} == {"home", "inbox"}, "nothing was written"
    assert not list((tmp_path / "inbox").iterdir())


def test_what_belongs_to_a_track_keeps_its_own_findings(answers, submission):
    assert of_another_track(PURCHASE, submission("class Mine: pass\n")) == ""
    assert of_another_track(PURCHASE, answers / "ledger.csv") == ""
    (answers / "ledger.csv").write_text("pair,file\n621-17,0001.png\n")
    assert of_another_track(PURCHASE, answers / "ledger.csv") == "", "a ledger with a fault is no table of edits"
    (answers / "ranked" / f"{TASK}.txt").write_text("no number\n")
    assert "answer of the track cleaning" in of_another_track(PURCHASE, answers / "ranked"), "no track but this takes such files"
    assert of_another_track(PURCHASE, answers / "nothing.csv") == ""


def test_curation_evaluate_says_where_rankings_are_judged(answers, capsys):
    assert main(["curation", "evaluate", str(answers / "ranked"), "--profile", "debug"]) == 2
    assert "Judge it with `python -m evaluator sweep --track cleaning`" in capsys.readouterr().err


def test_validate_takes_the_track_from_the_file_of_an_organiser(answers, tmp_path, capsys):
    rules = tmp_path / "public.toml"
    rules.write_text(f'track = "cleaning"\nprofile = "debug"\ntasks = ["{TASK}"]\npublic_seeds = true\n')
    assert main(["validate", str(answers / "ranked"), "--file", str(rules)]) == 0
    assert "held against 1 task of the profile debug" in text(capsys.readouterr().out)
    archive = tmp_path / "ranked.zip"
    assert main(["package", str(answers / "ranked"), "--track", "cleaning", "--out", str(archive)]) == 0
    capsys.readouterr()
    assert main(["validate", str(archive), "--file", str(rules), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == str(archive), "and no folder that is gone when somebody reads it"
    rules.write_text('track = "curation"\n')
    assert main(["validate", str(archive), "--file", str(rules)]) == 2
    assert "the track is curation" in capsys.readouterr().err


def test_a_ledger_is_checked_where_the_weights_of_the_round_are_not(answers, tmp_path, capsys, tiny, data_folder, monkeypatch):
    def missing(*args):
        raise WeightsError("the weights are not here")

    monkeypatch.setattr(plan, "_starting_weights", missing)
    monkeypatch.setitem(profiles.PROFILES, "tiny", tiny)
    ledger = answers / "ledger.csv"
    ledger.write_text("pair,file\n621:17,0001.png\n1321:34,0001.png\n")
    held = ["--profile", "tiny", "--data", str(data_folder), "--public-seeds"]
    assert main(["validate", str(ledger), *held]) == 0
    assert "held against 2 tasks" in text(capsys.readouterr().out)
    rules = tmp_path / "own.toml"
    classes = ", ".join(f'"{name}"' for name in tiny.round.classes)
    rules.write_text(
        f'name = "own"\nclasses = [{classes}]\npairs = ["621:17", "1321:34"]\n'
        f'[profile]\nimage_size = {tiny.image_size}\npipeline = "{tiny.pipeline}"\n'
    )
    assert main(["validate", str(ledger), "--round", str(rules), *held[2:]]) == 0
    assert "held against 2 tasks of the profile own;" in text(capsys.readouterr().out), "a round that is named has its own profile"
    assert main(["validate", str(ledger)]) == 0
    assert "name the tasks with --file, --profile, --round or --data" in text(capsys.readouterr().out)
    assert main(["sweep", "--submissions", str(ledger), *held, "--out", str(tmp_path / "results")]) == 2
    assert "the weights are not here" in capsys.readouterr().err, "a run needs them"


def test_an_unknown_track_in_a_file_is_refused(answers, tmp_path, capsys):
    (tmp_path / "public.toml").write_text('track = "painting"\n')
    assert main(["validate", str(answers / "ranked"), "--file", str(tmp_path / "public.toml")]) == 2
    assert "there is no track 'painting'" in capsys.readouterr().err


def test_a_sweep_of_answers_names_no_isolation(answers, tmp_path, capsys):
    given = ["--track", "cleaning", "--profile", "debug", "--tasks", TASK, "--public-seeds", "--out", str(tmp_path / "results")]
    assert main(["sweep", "--submissions", str(answers / "ranked"), *given, "--dry-run"]) == 0
    assert "none needed: answers are files, and nothing of them runs" in text(capsys.readouterr().out)
