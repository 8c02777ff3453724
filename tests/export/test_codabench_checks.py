"""The server's checks: a bundle that is good passes, and for each check there is a bundle that fails it and no other."""

import io
import zipfile

import numpy as np
import pytest
import yaml

from evaluator.cli.main import main
from evaluator.data.png import stored_png
from evaluator.export.codabench import reading
from evaluator.export.codabench.checks import check_bundle
from tests.bundles import DEL, FILES, GOOD, LOGO, at, packed

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]\n" for i in range(8))


def found(path):
    return {(problem.kind, problem.check) for problem in check_bundle(path)}


def test_a_good_bundle_passes_without_a_warning(tmp_path):
    assert check_bundle(packed(tmp_path / "b.zip", FILES, GOOD)) == ()


ERRORS = [
    ("version", "version", 1),
    ("version", "version", DEL),
    ("title", "title", DEL),
    ("title", "title", "x" * 257),
    ("title", "title", ["a"]),
    ("docker image", "docker_image", "x" * 129),
    ("queue key", "queue", "some-vhost"),
    ("queue key", "queue", ["8f14e45f-ceea-467f-9f0c-000000000000"]),
    ("type", "competition_type", "race"),
    ("yes or no", "enable_detailed_results", "perhaps"),
    ("contact_email", "contact_email", "nobody"),
    ("reward", "reward", "x" * 257),
    ("fact sheet", "fact_sheet", {"q": {"key": "q"}}),
    ("fact sheet", "fact_sheet", "words"),
    ("image", "image", DEL),
    ("image", "image", "other.png"),
    ("image", "image", "terms.md"),
    ("image", "image", "../logo.png"),
    ("pages", "pages", DEL),
    ("pages", "pages.0", "overview.md"),
    ("page file", "pages.0.file", "pages/none.md"),
    ("page title", "pages.0.title", ""),
    ("terms", "terms", DEL),
    ("terms", "terms", "none.md"),
    ("tasks", "tasks.0", "x"),
    ("task index", "tasks.0.index", [1]),
    ("task name", "tasks.0.name", DEL),
    ("task name", "tasks.0.name", "x" * 257),
    ("scoring program", "tasks.0.scoring_program", DEL),
    ("scoring_program", "tasks.0.scoring_program", "nowhere"),
    ("reference_data", "tasks.0.reference_data", "nowhere"),
    ("inner zip", "tasks.0.reference_data", "reference/labels.csv"),
    ("metadata", "tasks.0.scoring_program", "reference"),
    ("yes or no", "tasks.0.ingestion_only_during_scoring", "maybe"),
    ("solutions", "solutions", [{"index": 0, "tasks": [7], "path": "scoring"}]),
    ("solutions", "solutions", [{"tasks": [0], "path": "scoring"}]),
    ("solutions", "solutions", [{"index": 0, "tasks": [0], "path": "nowhere"}]),
    ("phases", "phases", DEL),
    ("phases", "phases", []),
    ("phase name", "phases.0.name", DEL),
    ("phase start", "phases.1.start", DEL),
    ("phase end", "phases.0.end", DEL),
    ("phase order", "phases.1.start", "2026-12-31 23:59:00"),
    ("phase order", "phases.1.start", "2026-12-05 00:00:00"),
    ("phase index", "phases.1.index", "second"),
    ("phase tasks", "phases.0.tasks", DEL),
    ("phase tasks", "phases.0.tasks", [5]),
    ("dates", "phases.1.start", "soon"),
    ("auto migrate", "phases.0.auto_migrate_to_this_phase", True),
    ("most submissions", "phases.0.max_submissions_per_day", -1),
    ("time limit", "phases.0.execution_time_limit", "long"),
    ("yes or no", "phases.0.hide_output", 7),
    ("public_data", "phases.0.public_data", "nowhere"),
    ("starting_kit", "phases.0.starting_kit", "nowhere"),
    ("leaderboards", "leaderboards", DEL),
    ("leaderboards", "leaderboards", []),
    ("leaderboard title", "leaderboards.0.title", DEL),
    ("leaderboard title", "leaderboards.0.title", "x" * 65),
    ("leaderboard key", "leaderboards.0.key", "x" * 37),
    ("submission rule", "leaderboards.0.submission_rule", "Force_Worst"),
    ("columns", "leaderboards.0.columns", DEL),
    ("column title", "leaderboards.0.columns.0.title", "x" * 37),
    ("column key", "leaderboards.0.columns.0.key", "x" * 37),
    ("column key", "leaderboards.0.columns.0.key", DEL),
    ("column key twice", "leaderboards.0.columns.1.key", "score"),
    ("column index", "leaderboards.0.columns.1.index", -1),
    ("column index twice", "leaderboards.0.columns.1.index", 0),
    ("sorting", "leaderboards.0.columns.0.sorting", "up"),
    ("precision", "leaderboards.0.columns.0.precision", "many"),
    ("primary index", "leaderboards.0.primary_index", 9),
    ("computation", "leaderboards.0.columns.1.computation", "avg"),
    ("computation", "leaderboards.0.columns.1.computation_indexes", [0]),
]


@pytest.mark.parametrize(("check", "place", "value"), ERRORS)
def test_each_check_is_failed_by_a_bundle_that_fails_nothing_else(tmp_path, check, place, value):
    path = packed(tmp_path / "b.zip", FILES, at(GOOD, place, value))
    assert found(path) == {("error", check)}
    (problem, *_) = check_bundle(path)
    assert place.split(".")[0] in problem.place, "the message names the place"


@pytest.mark.parametrize(
    ("of", "said"), [([9], "no column of index 9"), ([1], "is the column itself"), (["x"], "no column of index"), (5, "a list of")]
)
def test_a_computed_column_names_others_that_are_there(tmp_path, of, said):
    content = at(at(GOOD, "leaderboards.0.columns.1.computation", "avg"), "leaderboards.0.columns.1.computation_indexes", of)
    (problem,) = check_bundle(packed(tmp_path / "b.zip", FILES, content))
    assert problem.check == "computation"
    assert said in problem.text


def test_two_tasks_of_one_index_are_refused(tmp_path):
    content = at(GOOD, "tasks", GOOD["tasks"] * 2)
    assert found(packed(tmp_path / "b.zip", FILES, content)) == {("error", "task index twice")}


WARNINGS = [
    ("docker image", "docker_image", DEL),
    ("queue", "queue", "8f14e45f-ceea-467f-9f0c-000000000000"),
    ("input data", "tasks.0.input_data", "reference"),
    ("ingestion program", "tasks.0.ingestion_program", "scoring"),
    ("data key", "tasks.0.reference_data", "8f14e45f-ceea-467f-9f0c-000000000000"),
    ("task key", "tasks.0.key", "8f14e45f-ceea-467f-9f0c-000000000000"),
    ("time limit", "phases.0.execution_time_limit", DEL),
    ("default queue", "phases.0.execution_time_limit", 7_200),
    ("phase length", "phases.1.end", "2026-12-31 00:00:00"),
    ("time zone", "phases.1.start", "2027-01-01 00:00:00+02:00"),
    ("force best", "leaderboards.0.submission_rule", "Force_Best"),
    ("precision", "leaderboards.0.columns.0.precision", DEL),
]


@pytest.mark.parametrize(("check", "place", "value"), WARNINGS)
def test_what_leaks_or_is_lost_is_a_warning(tmp_path, check, place, value):
    assert found(packed(tmp_path / "b.zip", FILES, at(GOOD, place, value))) == {("warning", check)}


def test_a_time_without_quotation_marks_loses_its_hours_there(tmp_path):
    text = yaml.safe_dump(GOOD).replace("'2026-12-31 23:59:00'", "2026-12-31 23:59:00")
    (problem,) = check_bundle(packed(tmp_path / "b.zip", FILES, text))
    assert (problem.kind, problem.check) == ("warning", "time of day")
    assert "takes 2026-12-31 00:00:00" in problem.text


@pytest.mark.parametrize(
    ("check", "content"),
    [
        ("yaml", "title: [1, 2"),
        ("yaml", "title: !!python/object/apply:os.system ['true']"),
        ("yaml", "start: 2026-13-45 99:00:00"),
        ("yaml", b"title: \xff\xfe"),
        ("competition.yaml", "just words"),
        ("competition.yaml", "[1, 2]"),
        ("yaml bounds", "a: " + "[" * 60 + "]" * 60),
        ("yaml bounds", LAUGHS),
        ("yaml bounds", "a: &a {b: *a}"),
        ("file size", "a: '" + "x" * reading.MOST_YAML + "'"),
    ],
)
def test_yaml_of_strangers_is_bounded(tmp_path, check, content):
    path = packed(tmp_path / "b.zip", FILES, content)
    assert found(path) == {("error", check)}


def test_aliases_that_are_harmless_pass(tmp_path):
    text = yaml.safe_dump(GOOD).replace("title: Labels", "title: &title Labels\ndescription: *title")
    assert found(packed(tmp_path / "b.zip", FILES, text)) == set()


def member(name, **changes):
    info = zipfile.ZipInfo(name)
    for key, value in changes.items():
        setattr(info, key, value)
    return info


@pytest.mark.parametrize(
    ("check", "info", "data"),
    [
        ("paths", member("../evil.txt"), b"x"),
        ("paths", member("/etc/evil"), b"x"),
        ("paths", member("a/./b"), b"x"),
        ("paths", member("a\\b"), b"x"),
        ("links", member("link", external_attr=0o120777 << 16), b"/etc/passwd"),
        ("links", member("pipe", external_attr=0o010644 << 16), b""),
        ("twice", member("terms.md"), b"again"),
        ("twice", member("terms.md/inner"), b"below a file"),
        ("ratio", member("bomb", compress_type=zipfile.ZIP_DEFLATED), bytes(32 << 20)),
    ],
)
def test_archives_of_strangers_are_bounded(tmp_path, check, info, data):
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(packed(path, FILES, GOOD), "a") as archive, pytest.warns() if info.filename == "terms.md" else noted():
        archive.writestr(info, data)
    assert found(path) == {("error", check)}


class noted:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


def test_an_encrypted_member_is_refused(tmp_path):
    path = packed(tmp_path / "b.zip", FILES, GOOD)
    raw = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(mark) + place] |= 1
    path.write_bytes(raw)
    assert found(path) == {("error", "encrypted")}


def test_damage_in_a_file_that_is_read_is_named(tmp_path):
    path = packed(tmp_path / "b.zip", FILES, GOOD)
    raw = bytearray(path.read_bytes())
    at_ = raw.index(b"Be kind.")
    raw[at_] ^= 1
    path.write_bytes(raw)
    (problem,) = check_bundle(path)
    assert (problem.check, problem.place) == ("damaged", "terms.md")


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x05\x06" + bytes(10)])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "b.zip").write_bytes(content)
    assert found(tmp_path / "b.zip") == {("error", "zip")}


def test_a_list_that_claims_too_many_members_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MOST_MEMBERS", 3)
    assert found(packed(tmp_path / "b.zip", FILES, GOOD)) == {("error", "size")}


def test_a_bundle_packed_with_its_folder_is_told_where_the_file_lies(tmp_path):
    (problem,) = check_bundle(packed(tmp_path / "b.zip", {"mine/competition.yaml": b"version: 2"}))
    assert problem.check == "competition.yaml"
    assert "mine/competition.yaml" in problem.text


def test_an_empty_page_and_empty_terms_are_refused(tmp_path):
    for name, check in (("pages/overview.md", "page file"), ("terms.md", "terms")):
        assert found(packed(tmp_path / "b.zip", FILES | {name: b""}, GOOD)) == {("error", check)}
        assert found(packed(tmp_path / "b.zip", FILES | {name: b"\xff"}, GOOD)) == {("error", check)}


def test_programs_as_inner_archives_are_looked_into(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("score.py", "print()")
    content = at(GOOD, "tasks.0.scoring_program", "scoring.zip")
    assert found(packed(tmp_path / "b.zip", FILES | {"scoring.zip": inner.getvalue()}, content)) == {("error", "metadata")}
    with zipfile.ZipFile(inner, "a") as archive:
        archive.writestr("metadata.yaml", "command: python score.py")
    assert found(packed(tmp_path / "b.zip", FILES | {"scoring.zip": inner.getvalue()}, content)) == set()


@pytest.mark.parametrize("text", [b"command: ''", b"words", b"[", b"command: [a]"])
def test_a_program_without_a_command_is_refused(tmp_path, text):
    assert found(packed(tmp_path / "b.zip", FILES | {"scoring/metadata.yaml": text}, GOOD)) == {("error", "metadata")}


def test_a_logo_that_no_icon_can_be_made_of_is_refused(tmp_path):
    wide = FILES | {"logo.png": stored_png(np.zeros((1, 300), np.uint8))}
    assert found(packed(tmp_path / "b.zip", wide, GOOD)) == {("error", "image")}
    assert found(packed(tmp_path / "b.zip", FILES | {"logo.png": LOGO[:60]}, GOOD)) == {("error", "image")}


def test_the_verb_lists_everything_and_says_whether_the_server_takes_it(tmp_path, capsys):
    bad = at(at(GOOD, "title", DEL), "leaderboards.0.columns.0.precision", DEL)
    assert main(["export", "codabench", "--check", str(packed(tmp_path / "b.zip", FILES, bad))]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "competition.yaml: title" in said
    assert "would refuse it: 1 error, 1 warning" in said
    assert main(["export", "codabench", "--check", str(packed(tmp_path / "b.zip", FILES, GOOD)), "--json"]) == 0
