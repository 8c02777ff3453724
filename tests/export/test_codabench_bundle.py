"""Bundles as they are written: what lies where, what the pages and the time limit say, and whole runs in the stand-in."""

import datetime
import json
import math
import tomllib
import zipfile

import pytest
import yaml

from evaluator.cli.main import main
from evaluator.errors import ConfigurationError
from evaluator.export.codabench.bundle import clocks, planned, reference, write_bundle
from evaluator.export.codabench.checks import check_bundle
from evaluator.export.codabench.contest import Contest, Phase, instant
from evaluator.export.codabench.stand_in import try_bundle
from evaluator.plans import Option
from evaluator.sweep.experiment import prepare
from evaluator.sweep.forecast import Measured
from evaluator.sweep.settings import read_settings
from tests.toy_track import GUESS, GuessTrack

QUEUE = "8f14e45f-ceea-467f-9f0c-6f1f2ab1d2c3"
START = datetime.datetime(2026, 12, 1, 8)
END = datetime.datetime(2026, 12, 31, 23, 59)
CONTEST = Contest(title="Labels <2026>", docker_image="someone/kit:1", description="Buy *well*.", queue=QUEUE)


def experiment(tmp_path, track=GUESS, **options):
    (tmp_path / "s").mkdir(exist_ok=True)
    (tmp_path / "s" / "run.py").write_text("GUESS = 0.0\n")
    given = {"submissions": (tmp_path / "s",), "out": tmp_path / "results", "sandbox": "process", "seeds": 2, "public_seeds": True}
    settings, _ = read_settings(given | options, track)
    return prepare(track, settings, keep_secret=False)


def part(tmp_path, options=None, phase=None, name="public", **how):
    made = experiment(tmp_path)
    how = {"sandbox": "landlock", "version": 1, "texts": False, "seconds": None, "training": 3.0} | how
    return planned(made, options or {"seeds": 2, "public_seeds": True}, phase or Phase("Public", START, END, 0), part=name, **how)


@pytest.fixture
def bundle(tmp_path):
    """Two phases, with a secret, data and a file of a profile."""
    secret = tmp_path / "round.secret"
    secret.write_text("0123456789abcdef" * 2 + "\n")
    data = tmp_path / "set"
    (data / "training").mkdir(parents=True)
    (data / "training" / "labels.csv").write_text("a,b\n")
    (data / ".hidden").write_text("x")
    options = {"seeds": 2, "secret": secret, "data": data, "numbers": (3, 5), "out": tmp_path, "threads": 1}
    parts = [
        part(tmp_path, options),
        part(tmp_path, options, Phase("Final", END + datetime.timedelta(seconds=1), None, 0, carried=True), "private"),
    ]
    path = tmp_path / "bundle.zip"
    problems = write_bundle(path, CONTEST, parts, "", None)
    return path, problems, parts


def test_a_bundle_passes_the_servers_checks_and_leaks_nothing(bundle):
    path, problems, _ = bundle
    assert {problem.check for problem in problems} == {"queue"}, "which only the server knows"
    assert problems == check_bundle(path)
    with zipfile.ZipFile(path) as archive:
        content = yaml.safe_load(archive.read("competition.yaml"))
        names = archive.namelist()
    for task in content["tasks"]:
        assert "input_data" not in task
        assert "ingestion_program" not in task
    hidden = [name for name in names if "labels" in name or "secret" in name]
    assert hidden
    assert all("/reference_data/" in name for name in hidden)
    assert not [name for name in names if ".hidden" in name]
    assert content["leaderboards"][0]["submission_rule"] == "Force_Last"
    assert {column["precision"] for column in content["leaderboards"][0]["columns"]} == {4}
    assert [column["key"] for column in content["leaderboards"][0]["columns"]][:3] == [
        "closeness",
        "closeness_low",
        "closeness_high",
    ]
    assert [phase.get("end") for phase in content["phases"]] == ["2026-12-31 23:59:00", None]
    assert content["phases"][1]["auto_migrate_to_this_phase"] is True
    assert all(isinstance(phase["start"], str) for phase in content["phases"]), "unquoted, the server keeps the day alone"
    assert [content[name] for name in ("make_programs_available", "make_input_data_available")] == [False, False]


def test_the_reference_data_are_the_options_with_their_files(bundle, tmp_path):
    path, _, _ = bundle
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "x")
        program = json.loads(archive.read("task_1/scoring_program/order.json"))
    ref = tmp_path / "x" / "task_1" / "reference_data"
    told = tomllib.loads((ref / "sweep.toml").read_text())
    assert told == {"seeds": 2, "secret": "secret/round.secret", "data": "data", "numbers": [3, 5], "threads": 1}
    assert (ref / told["secret"]).is_file()
    assert (ref / told["data"] / "training" / "labels.csv").is_file()
    assert (program["part"], program["sandbox"], program["texts"]) == ("private", "landlock", False)
    read_settings({"submissions": (tmp_path / "s",)}, GUESS, ref / "sweep.toml")


def test_equal_parts_give_an_equal_archive(bundle, tmp_path):
    path, _, parts = bundle
    write_bundle(tmp_path / "again.zip", CONTEST, parts, "", None)
    assert (tmp_path / "again.zip").read_bytes() == path.read_bytes()


def test_the_pages_say_what_the_platform_cannot_do(bundle):
    with zipfile.ZipFile(bundle[0]) as archive:
        page = archive.read("pages/platform.md").decode()
        start = archive.read("pages/overview.md").decode()
        how = archive.read("pages/evaluation.md").decode()
    for words in ("No Ladder", "No limit of memory", "landlock", "metadata.yaml"):
        assert words in page
    assert "<2026>" not in start, "a title is text, not markup"
    assert "\\*well\\*" in start
    assert "nothing that it wrote itself" in how
    assert "`closeness_low`" in how


def test_the_time_limit_is_the_sum_of_the_clocks_with_a_margin(tmp_path):
    made = experiment(tmp_path)
    assert len(made.cells) == 4
    sessions = sum(spec.seconds_allowed + 1 for spec in made.cells)
    assert clocks(made, made.index(), 10.0) == math.ceil(1.25 * (40 + sessions)) + 120
    assert clocks(made, made.index(), 100.0) - clocks(made, made.index(), 10.0) == 450, "four trainings of 90 s more, and a quarter"
    with pytest.raises(ConfigurationError, match="--training-seconds"):
        clocks(made, made.index(), None)
    for wrong in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ConfigurationError, match="above 0"):
            clocks(made, made.index(), wrong)


def test_the_seconds_of_a_training_that_are_given_go_before_those_that_were_measured(tmp_path, monkeypatch):
    made = experiment(tmp_path)
    monkeypatch.setattr(Measured, "training", lambda *given: 20.0)
    measured = clocks(made, made.index(), None)
    assert clocks(made, made.index(), 20.0) == measured
    assert clocks(made, made.index(), 60.0) - measured == 200, "slower workers: four trainings of 40 s more, and a quarter"


@pytest.mark.parametrize(
    ("options", "said"),
    [({"seeds": 1}, "needs 2 or more"), ({"pipelines": ("near", "strict")}, "one pipeline")],
)
def test_a_row_needs_an_interval_and_one_pipeline(tmp_path, options, said):
    made = experiment(tmp_path, **options)
    how = {"sandbox": "landlock", "part": "public", "version": 1, "texts": False, "seconds": None, "training": 1.0}
    with pytest.raises(ConfigurationError, match=said):
        planned(made, {}, Phase("Public", START, END, 0), **how)


def test_files_that_are_no_plain_files_stay_out(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "link").symlink_to("/etc/passwd")
    with pytest.raises(ConfigurationError, match="no plain file"):
        reference({"data": tmp_path / "set"}, GUESS)
    with pytest.raises(ConfigurationError, match="no such file or folder"):
        reference({"data": tmp_path / "none"}, GUESS)


def test_rules_that_lie_in_files_travel_along(tmp_path):
    class Filed(GuessTrack):
        options = {**GuessTrack.options, "rules": Option(str, "a file", file=True)}  # noqa: RUF012

    (tmp_path / "mine.toml").write_text("x = 1\n")
    text, files = reference({"rules": str(tmp_path / "mine.toml"), "profile": "quick"}, Filed())
    assert tomllib.loads(text) == {"rules": "rules/mine.toml", "profile": "quick"}
    assert files == [("rules/mine.toml", tmp_path / "mine.toml")]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"title": ""}, "--title"),
        ({"title": "x" * 300}, "--title"),
        ({"docker_image": "x" * 129}, "--image"),
        ({"a_day": 0}, "--a-day"),
    ],
)
def test_what_the_server_would_refuse_is_refused_at_once(change, said):
    with pytest.raises(ConfigurationError, match=said):
        Contest(**{"title": "x", "docker_image": "y"} | change)
    with pytest.raises(ConfigurationError, match="not after"):
        Phase("One", END, START, 0)
    assert instant("--end", "2026-12-31T23:59+02:00") == datetime.datetime(2026, 12, 31, 21, 59)
    with pytest.raises(ConfigurationError, match="expected an instant"):
        instant("--end", "soon")


def test_nothing_is_written_where_a_bundle_would_fail(tmp_path):
    long = Contest(title="x", docker_image="y", description="z")
    object.__setattr__(long, "docker_image", "y" * 200)  # as a fault of ours would
    with pytest.raises(ConfigurationError, match="docker image"):
        write_bundle(tmp_path / "b.zip", long, [part(tmp_path)], "", None)
    assert not (tmp_path / "b.zip").exists()


# -- whole runs: the bundle of a small round, through both steps, with the kit as scoring program

HOSTILE = """
from run import ZEWDPCBaseRun
import json, os, subprocess, sys

APP = os.environ.get("DCK_APP", "/app")
def attempt(action):
    try:
        return action()
    except Exception as error:
        return type(error).__name__

class ZEWDPCRun(ZEWDPCBaseRun):
    def pre_training_phase(self, training_dataset, compute_budget, *rest, **more):
        found = {}
        for place in ("/app/input/ref", "/app/output", "/app/shared", "/app/program"):
            found[place] = attempt(lambda: os.listdir(place))
        found["forged"] = attempt(lambda: open("/app/output/scores.json", "w").write('{"macro_f1": 1.0}'))
        found["filled"] = attempt(lambda: open("/app/output/fill", "wb").write(bytes(1 << 20)))
        found["judge"] = [attempt(lambda: open(f"/proc/{p}/{n}", "rb").read(1) and "read")
                          for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid() for n in ("mem", "environ", "fd/3")]
        subprocess.Popen(["sleep", "63.7"], start_new_session=True)
        raise RuntimeError("SEEN " + json.dumps(found))

    def purchase_phase(self, *rest, **more):
        return {}

    def prediction_phase(self, *rest, **more):
        return []
"""


@pytest.fixture(scope="module")
def small_round(tmp_path_factory):
    """The bundle of the profile ``debug``, one pair and two seeds, by the command line."""
    path = tmp_path_factory.mktemp("round") / "bundle.zip"
    words = ["--profile", "debug", "--seeds", "2", "--public-seeds", "--title", "Small", "--image", "kit", "--texts"]
    words += ["--training-seconds", "20", "--out", str(path), "--sandbox", "process"]
    assert main(["export", "codabench", *words]) == 0
    return path


@pytest.mark.parametrize(
    ("start", "said"),
    [
        ([], "its deadline was 2026-01-01 12:00 (UTC), so the round is closed; expected one that lies ahead. Say with --end TIME"),
        (["--start", "2026-02-01T00:00"], "--start is 2026-02-01 00:00 (UTC), and the deadline of the round is 2026-01-01 12:00"),
    ],
)
def test_a_round_that_is_closed_is_said_to_be(tmp_path, capsys, start, said):
    (tmp_path / "judge.toml").write_text('name = "Small"\nprivate = "private.toml"\ndeadline = 2026-01-01T12:00:00Z\n')
    for part in ("public", "private"):
        (tmp_path / f"{part}.toml").write_text('profile = "debug"\n')
    words = ["--round", str(tmp_path), "--image", "kit", "--training-seconds", "20", "--out", str(tmp_path / "b.zip")]
    assert main(["export", "codabench", *words, *start]) == 2
    shown = " ".join(capsys.readouterr().err.split())
    assert said in shown
    assert "--end is" not in shown


@pytest.mark.endurance
def test_a_round_with_a_private_part_becomes_two_phases(tmp_path, capsys):
    judge = tmp_path / "round" / "keep" / "judge"
    judge.mkdir(parents=True)
    (tmp_path / "round" / "publish").mkdir()
    (tmp_path / "round" / "publish" / "README.md").write_text("public")
    (judge / "judge.toml").write_text(
        'name = "Small"\nprivate = "private.toml"\ndeadline = 2026-12-31T23:59:00Z\nversion = 3\n[quota]\na-day = 2\n'
    )
    secret = judge / "secret"
    secret.write_text("0123456789abcdef" * 2 + "\n")
    for name, pairs in (("public", "621:17"), ("private", "1321:34")):
        (judge / f"{name}.toml").write_text(f'profile = "debug"\nseeds = 2\nsecret = "secret"\npairs = ["{pairs}"]\n')
    path = tmp_path / "b.zip"
    words = ["--round", str(tmp_path / "round"), "--image", "kit", "--queue", QUEUE, "--training-seconds", "20"]
    words += ["--out", str(path)]
    assert main(["export", "codabench", *words, "--start", "2026-12-01T00:00"]) == 0
    with zipfile.ZipFile(path) as archive:
        content = yaml.safe_load(archive.read("competition.yaml"))
        orders = [json.loads(archive.read(f"task_{n}/scoring_program/order.json")) for n in (0, 1)]
        assert archive.read("public_data/README.md") == b"public"
    assert [phase["name"] for phase in content["phases"]] == ["Public", "Final"]
    assert [phase["start"] for phase in content["phases"]] == ["2026-12-01 00:00:00", "2026-12-31 23:59:01"]
    assert [phase["max_submissions_per_day"] for phase in content["phases"]] == [2, 2]
    assert [(order["part"], order["version"]) for order in orders] == [("public", 3), ("private", 3)]
    assert {problem.check for problem in check_bundle(path)} == {"queue"}
    path.unlink()
    words[words.index(QUEUE)] = "mine"
    assert main(["export", "codabench", *words]) == 2
    assert "--queue 'mine': a UUID was expected" in " ".join(capsys.readouterr().err.split())
    assert not path.exists()


@pytest.mark.endurance
def test_an_honest_submission_is_scored_by_the_bundle(small_round):
    from evaluator.places import ROOT

    tried = try_bundle(small_round, ROOT / "my_submission")
    assert (tried.status, tried.counts) == ("Finished", True), (tried.why, tried.steps, tried.log)
    assert 0 <= tried.row["macro_f1_low"] <= tried.row["macro_f1"] <= tried.row["macro_f1_high"] <= 1
    assert tried.row["failed_cells"] == 0
    assert sorted(tried.steps[1].files) == ["detailed_results.html", "scores.json"]
    assert tried.steps[1].err == ""


@pytest.mark.endurance
def test_a_hostile_submission_reaches_nothing(small_round, tmp_path):
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "run.py").write_text(HOSTILE)
    tried = try_bundle(small_round, tmp_path / "evil")
    assert (tried.status, tried.row["macro_f1"]) == ("Finished", 0.0), (tried.why, tried.log)
    assert sorted(tried.steps[1].files) == ["detailed_results.html", "scores.json"]
    assert tried.steps[1].left == ()
    assert "FileNotFoundError" in tried.page or "PermissionError" in tried.page
    assert "labels.csv" not in tried.page
    assert "read" not in tried.page.partition("judge")[2].partition("]")[0], "neither memory nor environment of the judge"
