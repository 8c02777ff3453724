"""Bought once, trained five times: stored purchases, trainings that go on where they were killed, the panel and its agreement."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import SUBMISSIONS, TINY
from documented import documented, paths
from inline import Inline
from specs import result, spec

import evaluator.purchase.track
import evaluator.sweep.run
import evaluator.training.loop
import local_evaluation
from evaluator import __version__
from evaluator.cli.main import main as cli
from evaluator.cli.tracks import TRACKS
from evaluator.errors import ConfigurationError, TrainingError
from evaluator.history import comparable
from evaluator.history.checksum import sealed
from evaluator.history.comparable import unused_lines
from evaluator.history.store import Store
from evaluator.purchase import profiles
from evaluator.purchase.rounds import ROUND1
from evaluator.report.agreement import agreement_report
from evaluator.track import Judged
from evaluator.training import recipes
from evaluator.training.recipes import PIPELINES

ROOT = Path(__file__).resolve().parents[2]
RANDOM = SUBMISSIONS / "random_buyer.py"
BASE = PIPELINES["milliseconds"]
FIVE = {name: replace(BASE, name=name, learning_rate=0.01 * (i + 1)) for i, name in enumerate("abcde")}


@pytest.fixture
def evaluate(monkeypatch, tmp_path, data_folder, capsys):
    """Run the front door on the tiny data with a panel of five fast pipelines: (exit status, summary or text, stderr)."""
    monkeypatch.setitem(profiles.PROFILES, "tiny", TINY)
    monkeypatch.setattr("evaluator.places.DATA", tmp_path / "data")
    monkeypatch.setattr(local_evaluation, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(evaluator.sweep.run, "places", lambda experiment: Inline())
    monkeypatch.setenv("COLUMNS", "220")
    monkeypatch.setattr(recipes, "PANEL", tuple(FIVE))
    for name, pipeline in FIVE.items():
        monkeypatch.setitem(PIPELINES, name, pipeline)

    def run(*options: object, submission: Path = RANDOM, json_: bool = True):
        given = ["--profile", "tiny", "--threads", "1", "--device", "cpu", "--sandbox", "process", "--data", data_folder]
        given += ["--submission", submission, *(["--json"] if json_ else []), *options]
        if "--pair" not in options and "--pairs" not in options:
            given += ["--pair", "621:17"]
        status = local_evaluation.main([str(part) for part in given])
        printed = capsys.readouterr()
        return status, json.loads(printed.out) if json_ and printed.out else printed.out, printed.err

    run.results = tmp_path / "results"
    return run


@pytest.fixture
def bought(monkeypatch):
    """The sessions that were run: pair and seed."""
    sessions, buy = [], evaluator.purchase.track.buy

    def spy(spec, *arguments):
        sessions.append((spec.task, spec.seed))
        return buy(spec, *arguments)

    monkeypatch.setattr(evaluator.purchase.track, "buy", spy)
    return sessions


@pytest.fixture
def trained(monkeypatch):
    """The trainings that were run, by name of the pipeline."""
    runs, train = [], evaluator.training.loop.train

    def spy(pipeline, *arguments, **options):
        runs.append(pipeline.name)
        return train(pipeline, *arguments, **options)

    monkeypatch.setattr(evaluator.training.loop, "train", spy)
    return runs


def purchases(root: Path) -> list[Path]:
    return sorted((root / "answers").glob("*.json"))


def gather(root: Path):
    return comparable.gather(root, TRACKS)


def ledgers(root: Path) -> set[str]:
    return {json.dumps(json.loads(path.read_text())["ledger"]) for path in (root / "cells").glob("*.json")}


# -- purchases


def test_another_pipeline_is_trained_on_the_same_purchase_and_the_table_says_so(evaluate, bought):
    _, first, _ = evaluate("--pipeline", "a")
    status, second, _ = evaluate("--pipeline", "b")
    assert status == 0
    assert bought == [("621:17", 0)]
    assert first["cells"][0]["purchase"] == second["cells"][0]["purchase"]
    assert [first["cells"][0]["reused"], second["cells"][0]["reused"]] == [False, True]
    assert first["cells"][0]["fingerprint"] != second["cells"][0]["fingerprint"]
    assert len(ledgers(evaluate.results)) == 1
    out = evaluate("--pipeline", "c", json_=False)[1]
    assert "1 cell was judged on answers of an earlier run" in out
    assert "pipeline c" in out


def test_a_stored_purchase_gives_the_very_cell_that_a_new_one_gives(evaluate):
    def content():
        (path,) = (evaluate.results / "cells").glob("*.json")
        cell = json.loads(path.read_text())
        for name in ("seconds", "timings", "peak_memory_bytes"):
            cell["training"].pop(name)
        cell.pop("checksum")
        return path, cell

    evaluate("--pipeline", "a")
    path, before = content()
    path.unlink()
    evaluate("--pipeline", "a")
    assert content() == (path, before)


def test_a_log_outlives_the_run_that_made_it(evaluate, strategy):
    path = strategy("def pre_training_phase(self):\n    print('hello log')")
    evaluate("--pipeline", "a", submission=path)
    evaluate("--pipeline", "b", submission=path)
    logs = sorted(evaluate.results.glob("*/logs/*.log"))
    assert len(logs) == 2
    assert all("hello log" in log.read_text() for log in logs)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"pipeline": FIVE["b"]}, True),
        ({"weights": "sha256:1"}, True),
        ({"threads": 2}, True),
        ({"score_split": "test"}, True),
        ({"on_timeout": "keep"}, True),
        ({"submission": "other name"}, True),
        ({"profile": replace(TINY, pipeline="other")}, True),
        ({"device": "cuda:0"}, False),
        ({"submission_digest": "0"}, False),
        ({"profile": replace(TINY, prediction_seconds=49.0)}, False),
        ({"profile": replace(TINY, load_seconds=49.0)}, False),
        ({"profile": replace(TINY, seconds_per_minute=2.0)}, False),
        ({"pair": TINY.pairs[1]}, False),
        ({"seed": 1}, False),
        ({"root_seed": 2}, False),
        ({"data": {"training": "x"}}, False),
        ({"tier": "docker"}, False),
        ({"label_quality": 0.9}, False),
        ({"restart": True}, False),
        ({"participant_weights": "w"}, False),
        ({"worker_threads": 2}, False),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else str(value),
)
def test_what_decides_a_purchase_names_it_and_nothing_else_does(cell_spec, change, same):
    assert (cell_spec(RANDOM, **change).answer_digest() == cell_spec(RANDOM).answer_digest()) is same


def test_only_the_data_that_a_worker_meets_decides_its_purchase(cell_spec):
    data = dict(cell_spec(RANDOM).data)
    other = cell_spec(RANDOM, data=data | {"validation": "other"})
    assert other.answer_digest() == cell_spec(RANDOM).answer_digest()
    for name in ("training", "unlabelled", "debug"):
        assert cell_spec(RANDOM, data=data | {name: "other"}).answer_digest() != other.answer_digest()


def test_a_failed_session_is_bought_again_next_time_and_once_within_a_panel(evaluate, bought, strategy):
    path = strategy(
        "def purchase_phase(self, unlabelled_dataset):\n    unlabelled_dataset.purchase_label(1)\n    raise ValueError('no')"
    )
    for times in (1, 2):
        status, summary, _ = evaluate("--panel", submission=path)
        assert status == 1
        assert [cell["verdict"] for cell in summary["cells"]] == ["RUNTIME_ERROR"] * 5
        assert len(bought) == times
    assert purchases(evaluate.results) == []
    out = evaluate("--panel", submission=path, json_=False)[1]
    assert out.count("submission1: RUNTIME_ERROR (1 pair x 1 seed x 5 pipelines)") == 1
    assert out.count("raise ValueError('no')") == 1


LATE = "def purchase_phase(self, unlabelled_dataset):\n    unlabelled_dataset.purchase_labels([1, 2])\n    time.sleep(600)\n"


@pytest.mark.endurance
def test_a_time_limit_that_was_kept_is_never_reused_where_it_fails(evaluate, bought, strategy, monkeypatch):
    monkeypatch.setitem(profiles.PROFILES, "tiny", replace(TINY, seconds_per_minute=0.05))
    path = strategy(LATE)
    assert evaluate("--on-timeout", "keep", "--pipeline", "a", submission=path)[0] == 1, "scored, and not fit to submit"
    assert len(purchases(evaluate.results)) == 1
    status, summary, _ = evaluate("--on-timeout", "keep", "--pipeline", "b", submission=path)
    assert (status, len(bought)) == (1, 1)
    assert summary["cells"][0]["verdict"] == "TIME_LIMIT"
    assert summary["kept_time_limits"] == 1
    status, summary, _ = evaluate("--pipeline", "b", submission=path)
    assert (status, len(bought)) == (1, 2)
    assert summary["cells"][0]["scored"] is False


def test_what_is_not_fit_to_submit_stays_so_when_its_purchase_is_reused(evaluate, bought, strategy):
    path = strategy("def prediction_phase(self):\n    return None")
    for name in ("a", "b"):
        status, summary, _ = evaluate("--pipeline", name, submission=path)
        assert status == 1
        assert summary["fit_to_submit"] is False
        assert summary["cells"][0]["phases"][-1]["verdict"] == "INVALID_OUTPUT"
    assert len(bought) == 1


def test_a_training_that_failed_is_tried_again_on_the_same_purchase(evaluate, bought, monkeypatch):
    train = evaluator.training.loop.train

    def fail(*_, **__):
        raise TrainingError("the device is lost")

    monkeypatch.setattr(evaluator.training.loop, "train", fail)
    status, summary, _ = evaluate("--pipeline", "a")
    assert (status, summary["cells"][0]["verdict"]) == (1, "INFRASTRUCTURE")
    monkeypatch.setattr(evaluator.training.loop, "train", train)
    assert evaluate("--pipeline", "a")[0] == 0
    assert len(bought) == 1


def test_fresh_buys_again_once_and_the_others_follow(evaluate, bought, trained):
    evaluate("--panel")
    assert (len(bought), trained) == (1, list(FIVE))
    trained.clear()
    _, summary, _ = evaluate("--panel", "--fresh")
    assert (len(bought), trained) == (2, list(FIVE))
    assert not any(cell["cached"] or cell["reused"] for cell in summary["cells"])
    trained.clear()
    evaluate("--pipeline", "c", "--fresh")
    assert (len(bought), trained) == (3, ["c"])
    # The other four were trained on the purchase before: never two ledgers in one panel.
    trained.clear()
    _, summary, _ = evaluate("--panel")
    assert (len(bought), trained) == (3, ["a", "b", "d", "e"])
    assert [cell["cached"] for cell in summary["cells"]] == [False, False, True, False, False]
    assert len({cell["answer"]["checksum"] for cell in summary["cells"]}) == 1
    assert len(ledgers(evaluate.results)) == 1


def test_cells_whose_purchase_is_gone_are_taken_as_they_are_or_not_at_all(evaluate, bought):
    evaluate("--panel")
    (path,) = purchases(evaluate.results)
    path.unlink()
    _, summary, _ = evaluate("--panel")
    assert (len(bought), [cell["cached"] for cell in summary["cells"]]) == (1, [True] * 5)
    (evaluate.results / "cells" / f"{summary['cells'][3]['cell']}.json").unlink()
    _, summary, _ = evaluate("--panel")
    assert (len(bought), [cell["cached"] for cell in summary["cells"]]) == (2, [False] * 5)


def edited(path: Path) -> None:
    content = json.loads(path.read_text())
    content["ledger"][0]["label"] = [1 - bit for bit in content["ledger"][0]["label"]]
    path.write_text(json.dumps(content))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def renamed(path: Path) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"answer": "0" * 32}))


def senseless(path: Path) -> None:
    content = json.loads(path.read_text())
    path.write_text(sealed({name: value for name, value in content.items() if name != "checksum"} | {"ledger": "all"}))


@pytest.mark.parametrize("damage", [edited, cut, renamed, senseless])
@pytest.mark.endurance
def test_a_purchase_that_was_damaged_or_edited_by_hand_is_named_and_made_again(evaluate, bought, damage):
    evaluate("--pipeline", "a")
    (path,) = purchases(evaluate.results)
    before = json.loads(path.read_text())["ledger"]
    damage(path)
    status, _, err = evaluate("--pipeline", "b")
    assert status == 0
    assert len(bought) == 2
    assert path.name in err
    assert path.with_suffix(".damaged").exists()
    after = json.loads(path.read_text())["ledger"]
    assert [row["label"] for row in after] == [row["label"] for row in before]


def test_nothing_is_stored_apart_where_the_participants_predictions_are_the_score(evaluate, strategy, monkeypatch):
    round1 = replace(TINY, round=replace(ROUND1, classes=TINY.round.classes, prediction_split="validation"))
    monkeypatch.setitem(profiles.PROFILES, "tiny", round1)
    path = strategy("def prediction_phase(self, test_dataset):\n    return np.ones((len(test_dataset), 6))")
    for cached in (False, True):
        status, summary, _ = evaluate(submission=path)
        assert (status, summary["cells"][0]["cached"]) == (0, cached)
    assert purchases(evaluate.results) == []
    status, _, err = evaluate("--panel", submission=path)
    assert status == 2
    assert "Leave --panel out" in err


# -- a killed evaluator

PROGRAM = """
    import sys
    sys.path[:0] = [{tests!r}, {root!r}]
    from conftest import TINY
    import deadly
    import evaluator.sweep.run
    import local_evaluation
    from evaluator.purchase import profiles
    from evaluator.runner.workers import Workers
    profiles.PROFILES["tiny"] = TINY
    evaluator.sweep.run.places = lambda experiment: Workers(1, work=deadly.{work})
    sys.exit(local_evaluation.main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.endurance
def test_a_run_killed_in_its_training_buys_nothing_again_goes_on_and_ends_like_an_undisturbed_one(tmp_path, data_folder):
    mine = tmp_path / "mine"
    mine.mkdir()
    text = RANDOM.read_text().replace(
        "    def purchase_phase", "    def pre_training_phase(self):\n        print('session')\n\n    def purchase_phase"
    )
    (mine / "run.py").write_text(text)
    pipeline = tmp_path / "slow.toml"
    pipeline.write_text((recipes.FOLDER / "milliseconds.toml").read_text().replace('name = "milliseconds"', 'name = "slow"'))

    def run(out: str, work: str):
        program = PROGRAM.format(tests=str(ROOT / "tests"), root=str(ROOT), work=work)
        options = ["--submission", mine, "--profile", "tiny", "--data", data_folder, "--out", tmp_path / out, "--threads", 1]
        options += ["--device", "cpu", "--sandbox", "process", "--pair", "621:17", "--pipeline", pipeline, "--json"]
        options.append("--public-seeds")  # two folders of results have two secrets
        command = [sys.executable, "-c", textwrap.dedent(program), *map(str, options)]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})

    undisturbed = run("undisturbed", "kept")
    assert undisturbed.returncode == 0, undisturbed.stderr
    (expected,) = json.loads(undisturbed.stdout)["cells"]
    assert list((tmp_path / "undisturbed" / "partial").iterdir()) == []

    assert run("killed", "killing").returncode == -signal.SIGKILL
    (purchase,) = purchases(tmp_path / "killed")
    before = purchase.read_bytes()
    assert len(list((tmp_path / "killed" / "partial").iterdir())) == 1
    assert list((tmp_path / "killed" / "cells").iterdir()) == []

    again = run("killed", "kept")
    assert again.returncode == 0, again.stderr
    (cell,) = json.loads(again.stdout)["cells"]
    assert purchase.read_bytes() == before
    assert cell["reused"]
    assert cell["fingerprint"] == expected["fingerprint"]
    assert cell["metrics"] == expected["metrics"]
    assert any("went on from a checkpoint" in note for note in cell["training"]["notes"])
    assert expected["training"]["notes"] == []
    assert cell["training"]["history"] == expected["training"]["history"]
    assert list((tmp_path / "killed" / "partial").iterdir()) == []


def test_states_that_nobody_goes_on_from_are_removed_and_others_are_not(tmp_path):
    store = Store(tmp_path)
    folder = tmp_path / "partial"
    good = store.partial_path("c" * 32, "d" * 64)
    other_version = folder / f"0.0.1-{'c' * 32}-{'d' * 16}.pt"
    forgotten = store.partial_path("e" * 32, "d" * 64)
    cells = [result(spec(seed=0), 0.5), result(spec(seed=1), None)]
    for cell in cells:
        store.write_cell(Judged(cell))
    finished, failed = (store.partial_path(cell.spec.digest(), "d" * 64) for cell in cells)
    foreign = [folder / name for name in ("novel.docx", f"0.0.1-{'c' * 32}.pt", "0.0.1-chapter-one.pt", f"{good.name}.old")]
    for path in (good, other_version, forgotten, finished, failed, *foreign):
        path.write_text("x")
        os.utime(path, (path.stat().st_mtime - 60,) * 2)
    for path in (forgotten, *foreign):
        os.utime(path, (0, 0))
    assert good.name.startswith(__version__)
    store.forget_old_partials()
    assert sorted(folder.iterdir()) == sorted([good, failed, *foreign])
    store.write_cell(Judged(result(spec(seed=1), 0.5)))
    assert sorted(folder.iterdir()) == sorted([good, *foreign])


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"[" * 100_000, b"\xff", "folder", "pipe", "link"])
def test_a_damaged_cell_beside_an_older_state_ends_no_sweep(tmp_path, capsys, content):
    """A cell that cannot be read is set aside with a warning; the state of its training stays, and is resumed."""
    store = Store(tmp_path)
    state, cell = store.partial_path("c" * 32, "d" * 64), store.cell_path("c" * 32)
    state.write_text("x")
    os.utime(state, (state.stat().st_mtime - 60,) * 2)
    if content == "folder":
        cell.mkdir()
    elif content == "pipe":
        os.mkfifo(cell)
    elif content == "link":
        cell.symlink_to(tmp_path / "nowhere")
    else:
        cell.write_bytes(content)
    store.forget_old_partials()
    assert state.exists()
    if isinstance(content, bytes):
        assert "it was moved to" in capsys.readouterr().err
        assert cell.with_suffix(".damaged").read_bytes() == content


@pytest.mark.parametrize("what", ["gone", "link", "file"])
def test_a_folder_of_states_that_is_none_ends_no_sweep_and_is_not_followed(tmp_path, what):
    store = Store(tmp_path / "results")
    folder, elsewhere = tmp_path / "results" / "partial", tmp_path / "elsewhere"
    folder.rmdir()
    elsewhere.mkdir()
    old = elsewhere / f"0.0.1-{'c' * 32}-{'d' * 16}.pt"
    old.write_text("x")
    if what == "link":
        folder.symlink_to(elsewhere)
    elif what == "file":
        folder.write_text("x")
    store.forget_old_partials()
    assert old.exists()


def test_a_state_belongs_to_one_purchase(tmp_path):
    store = Store(tmp_path)
    assert store.partial_path("c" * 32, "d" * 64) != store.partial_path("c" * 32, "e" * 64)


# -- the panel


def test_a_panel_buys_once_trains_five_times_and_reports_each_and_the_mean(evaluate, bought, trained):
    status, summary, _ = evaluate("--panel", "--pairs", "profile", "--seeds", 2)
    assert status == 0
    assert len(bought) == len(set(bought)) == 4
    assert len(trained) == 20
    assert [row["name"] for row in summary["panel"]] == list(FIVE)
    assert summary["pipeline"] is None
    by = {(c["pipeline"], c["pair"], c["seed"]): c["metrics"]["macro_f1"] for c in summary["cells"]}
    assert len(by) == 20
    pairs = [row["pair"] for row in summary["pairs"]]
    for row in summary["panel"]:
        seeds = [sum(by[row["name"], pair, seed] for pair in pairs) / 2 for seed in (0, 1)]
        assert row["score"]["macro_f1"]["mean"] == pytest.approx(sum(seeds) / 2)
        assert row["score"]["macro_f1"]["n"] == 2
        assert row["score"]["macro_f1"]["low"] <= row["score"]["macro_f1"]["mean"]
        for pair in row["pairs"]:
            assert pair["metrics"]["macro_f1"]["mean"] == pytest.approx(sum(by[row["name"], pair["pair"], s] for s in (0, 1)) / 2)
    means = [row["score"]["macro_f1"]["mean"] for row in summary["panel"]]
    assert summary["score"]["macro_f1"]["mean"] == pytest.approx(sum(means) / 5)
    assert summary["score"]["macro_f1"]["n"] == 2
    assert summary["pairs"][0]["bought"] == [12, 12]
    assert len(summary["pairs"][0]["verdicts"]) == 10
    run = max(evaluate.results.glob("*/purchases.csv"))
    assert len(run.read_text().splitlines()) == 1 + 2 * (12 + 26)
    assert len(list((run.parent / "logs").iterdir())) == 4
    out = evaluate("--panel", "--pairs", "profile", "--seeds", 2, json_=False)[1]
    for part in ("mean of the five", "panel of 5", f"{means[0]:.3f}", "5 pipelines were trained on its answer", "20 of 20 cells"):
        assert part in out


def test_a_pipeline_that_fails_is_a_row_and_not_the_end(evaluate, monkeypatch):
    train = evaluator.training.loop.train

    def faulty(pipeline, *arguments, **options):
        if pipeline.name == "b":
            raise TrainingError("the loss is nan")
        if pipeline.name == "d":
            raise KeyError("a bug of ours")
        return train(pipeline, *arguments, **options)

    monkeypatch.setattr(evaluator.training.loop, "train", faulty)
    status, summary, _ = evaluate("--panel")
    assert status == 1
    assert (summary["verdict"], summary["score"]) == ("FAILED", None)
    assert [row["verdict"] for row in summary["panel"]] == ["OK", "FAILED", "OK", "FAILED", "OK"]
    assert [row["score"] is None for row in summary["panel"]] == [False, True, False, True, False]
    assert summary["pairs"][0]["metrics"] is None
    out = evaluate("--panel", json_=False)[1]
    assert "no score" in out
    assert "INFRASTRUCTURE (621:17 seed 0 b): the training failed: the loss is nan" in out
    assert f"{summary['panel'][0]['score']['macro_f1']['mean']:.3f}" in out
    run = max(evaluate.results.glob("*/logs"))
    assert sorted(path.name for path in run.iterdir()) == ["621x17-seed0-d-evaluator.log", "621x17-seed0.log"]


def test_a_pipeline_that_is_brought_to_a_profile_is_never_called_by_its_plain_name(evaluate, monkeypatch):
    monkeypatch.setitem(PIPELINES, "e", replace(FIVE["e"], image_size=16))
    status, out, _ = evaluate("--panel", json_=False)
    assert status == 0
    assert "e@8px-none is e adapted to this profile: 8 px, no starting weights" in out
    assert "(e adapted to this profile)" in out
    _, summary, _ = evaluate("--panel")
    assert summary["panel"][4]["name"] == "e@8px-none"
    assert [row["fitted_from"] for row in summary["panel"]] == [None] * 4 + ["e"]
    _, summary, _ = evaluate("--pipeline", "e")
    assert (summary["pipeline"]["name"], summary["fitted_from"]) == ("e@8px-none", "e")
    assert "pipeline e@8px-none" in evaluate("--pipeline", "e", json_=False)[1]


def test_a_pipeline_of_ones_own_is_a_file(evaluate, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text((recipes.FOLDER / "milliseconds.toml").read_text().replace('name = "milliseconds"', 'name = "mine"'))
    status, summary, _ = evaluate("--pipeline", path)
    assert (status, summary["pipeline"]["name"]) == (0, "mine")
    path.write_text("name = 3")
    assert evaluate("--pipeline", path)[0] == 2
    assert evaluate("--pipeline", tmp_path / "absent.toml")[0] == 2


def test_pipeline_and_panel_exclude_each_other(evaluate, capsys):
    with pytest.raises(SystemExit, match="2"):
        evaluate("--pipeline", "a", "--panel")
    assert "not allowed with" in capsys.readouterr().err


def test_notes_of_the_training_stand_below_the_table(evaluate, monkeypatch):
    train = evaluator.training.loop.train
    monkeypatch.setattr(
        evaluator.training.loop,
        "train",
        lambda *arguments, **options: replace(train(*arguments, **options), notes=("the batch was halved",)),
    )
    assert "621:17 seed 0: the batch was halved" in evaluate("--pipeline", "a", json_=False)[1]


# -- replay


def test_a_stored_ledger_is_replayed_through_the_panel_a_file_and_its_own_pipeline(
    evaluate, data_folder, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    _, summary, _ = evaluate("--panel")
    cells = {cell["pipeline"]: cell for cell in summary["cells"]}
    path = evaluate.results / "cells" / f"{cells['a']['cell']}.json"
    assert cli(["replay", str(path), "--data", str(data_folder), "--panel", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["pipeline"]: row["fingerprint"] for row in rows} == {name: cell["fingerprint"] for name, cell in cells.items()}
    assert [row["own"] for row in rows] == [True, False, False, False, False]
    assert cli(["replay", str(path), "--data", str(data_folder)]) == 0
    assert "to the bit" in capsys.readouterr().out
    mine = tmp_path / "mine.toml"
    mine.write_text((recipes.FOLDER / "milliseconds.toml").read_text().replace('name = "milliseconds"', 'name = "mine"'))
    assert cli(["replay", str(path), "--data", str(data_folder), "--pipeline", str(mine)]) == 0
    assert "mine: macro F1" in capsys.readouterr().out
    assert cli(["replay", str(path), "--data", str(data_folder), "--pipeline", "absent"]) == 2
    assert "'absent'" in capsys.readouterr().err
    purchase = purchases(evaluate.results)[0]
    assert cli(["replay", str(purchase), "--data", str(data_folder)]) == 2
    assert "is not a stored cell" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "why"),
    [("# Not JSON", "the file is no JSON"), ('{"cells": {}}', "JSON, but not of a cell"), ("[1]", "JSON, but not of a cell")],
)
def test_what_is_no_cell_is_said_in_words(tmp_path, capsys, text, why):
    (tmp_path / "index.json").write_text(text)
    assert cli(["replay", str(tmp_path / "index.json")]) == 2
    err = capsys.readouterr().err
    assert why in err
    assert "name a file of results/cells/" in err


def test_a_replay_with_an_empty_pipeline_is_refused(evaluate, data_folder, capsys):
    _, summary, _ = evaluate("--pair", "621:17")
    path = evaluate.results / "cells" / f"{summary['cells'][0]['cell']}.json"
    assert cli(["replay", str(path), "--data", str(data_folder), "--pipeline", ""]) == 2
    assert "pipeline '' is not known" in capsys.readouterr().err


# -- rank agreement over stored cells


@pytest.fixture
def three(evaluate, tmp_path):
    """Three submissions that buy none, some and all they may, judged by the panel with two seeds."""

    def run(*options: object, shares=(0, 0.5, 1)):
        paths = []
        for i, share in enumerate(shares):
            folder = tmp_path / f"buyer{i}"
            folder.mkdir(exist_ok=True)
            text = RANDOM.read_text().replace("[:budget]", f"[: int(budget * {share})]")
            (folder / "run.py").write_text(text)
            paths.append(folder)
            assert evaluate("--panel", "--seeds", 2, *options, submission=folder)[0] == 0
        return paths

    run.evaluate = evaluate
    return run


@pytest.mark.endurance
def test_the_agreement_of_stored_submissions(three, capsys):
    three()
    root = three.evaluate.results
    found = gather(root)
    assert (found.pipelines, found.submissions) == (tuple(FIVE), ("buyer0", "buyer1", "buyer2"))
    assert (found.tasks, found.seeds, found.metric) == (("621:17",), (0, 1), "macro_f1")
    assert found.left_out == ()
    cells = [json.loads(path.read_text()) for path in (root / "cells").glob("*.json")]
    for p, pipeline in enumerate(found.pipelines):
        for s, submission in enumerate(found.submissions):
            for seed in found.seeds:
                (cell,) = [
                    c
                    for c in cells
                    if (c["spec"]["pipeline"]["name"], c["spec"]["submission"], c["spec"]["seed"]) == (pipeline, submission, seed)
                ]
                assert found.scores[p, s, seed] == pytest.approx(cell["metrics"]["macro_f1"])
    assert cli(["panel", str(root), "--profile", "tiny", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads(json.dumps(agreement_report(found, 2022)))
    assert report["tau"][0][1]["n"] == 3
    members = paths({name: value for name, value in report.items() if name != "tau"}, "", {"versions"}, [])
    assert members | {"tau"} == documented("Rank agreement")
    assert set(report["tau"][0][1]) == set(report["mean_tau"])
    assert sorted(report["pipelines"][0]["ranks"]) == [1, 2, 3]
    assert cli(["panel", str(root)]) == 0
    out = capsys.readouterr().out
    for part in ("Kendall's tau-b", "buyer2", "mean tau", "tau-b of the mean scores as they are"):
        assert part in out


def test_many_submissions_that_are_left_out_for_one_reason_are_one_line():
    few = [("a (1)", 2), ("b (2)", 3)]
    assert unused_lines("of other rules: kit 1, not 2", few) == [
        "a (1): 2 cells of other rules: kit 1, not 2",
        "b (2): 3 cells of other rules: kit 1, not 2",
    ]
    assert unused_lines("outside", [*few, ("c (3)", 4), ("d (4)", 1_000)]) == ["4 submissions: 1,009 cells outside"]


@pytest.mark.endurance
def test_what_cannot_be_compared_is_left_out_by_name_and_reason(three, tmp_path):
    paths = three()
    evaluate, root = three.evaluate, three.evaluate.results
    single = tmp_path / "single"
    shutil.copytree(paths[0], single)
    (single / "run.py").write_text((paths[0] / "run.py").read_text() + "\n# single\n")
    evaluate("--pipeline", "a", submission=single)
    copy = tmp_path / "copycat"
    shutil.copytree(paths[2], copy)
    evaluate("--panel", "--seeds", 2, submission=copy)
    evaluate("--panel", "--root-seed", 7, submission=paths[0])
    evaluate("--panel", "--seeds", 3, submission=paths[1])
    evaluate("--panel", "--label-quality", 0.9, submission=paths[1])
    (damaged,) = [p for p in (root / "cells").glob("*.json") if json.loads(p.read_text())["spec"]["root_seed"] == 7][:1]
    cut(damaged)
    found = gather(root)
    assert found.submissions == ("buyer0", "buyer1", "buyer2")
    said = "\n".join(found.left_out)
    for part in (
        "single",
        "9 of 10 cells are missing or not scored",
        "copycat",
        "the same files as buyer2",
        "root_seed 7, not 2022",
        "5 cells outside the grid that all have",
        "label_quality 0.9, not 1.0",
        f"{damaged.name} is damaged",
    ):
        assert part in said


@pytest.mark.endurance
def test_pipelines_that_were_trained_on_different_purchases_are_not_compared(three):
    paths = three()
    root = three.evaluate.results
    three.evaluate("--pipeline", "a", "--fresh", submission=paths[2])
    found = gather(root)
    assert found.submissions == ("buyer0", "buyer1")
    assert "buyer2" in found.left_out[0]
    assert "different answers at 621:17, seed 0" in found.left_out[0]
    report = agreement_report(found, 1)
    assert report["mean_tau"]["value"] is None
    assert "at least 3" in report["mean_tau"]["reason"]


def test_a_folder_without_a_panel_is_refused_with_a_way_out(evaluate, tmp_path, capsys):
    with pytest.raises(ConfigurationError, match="holds no results"):
        gather(tmp_path)
    evaluate("--pipeline", "a")
    before = sorted(path for path in evaluate.results.rglob("*"))
    assert cli(["panel", str(evaluate.results)]) == 2
    assert "--panel" in capsys.readouterr().err
    assert sorted(path for path in evaluate.results.rglob("*")) == before
    assert cli(["panel", str(evaluate.results), "--seed", "-1"]) == 2
