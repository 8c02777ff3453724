"""The stand-in of the compute worker: both steps with their folders, and what comes of honest and of hostile submissions."""

import json
import os
import textwrap
import zipfile

import pytest

from evaluator.cli.main import main
from evaluator.errors import ConfigurationError
from evaluator.export.codabench import stand_in
from evaluator.export.codabench.stand_in import try_bundle
from tests.bundles import FILES, GOOD, at, packed

SCORE = """
import json, os
app = os.environ.get("DCK_APP", "/app")
def tree(folder):
    return sorted(os.path.relpath(os.path.join(p, n), folder) for p, _, names in os.walk(folder) for n in names)
seen = {name: tree(os.path.join(app, "input", name)) for name in ("ref", "res")}
seen["output"] = tree(os.path.join(app, "output"))
seen["cwd"], seen["pid"] = os.getcwd(), os.getpid()
print(json.dumps(seen))
CODE
"""
SCORES = 'json.dump({"score": 0.25, "low": 0.1, "other": 1}, open(app + "/output/scores.json", "w"))'


def bundle(tmp_path, code=SCORES, content=GOOD, **more):
    score = SCORE.replace("CODE", textwrap.dedent(code)).encode()
    files = FILES | {"scoring/score.py": score, "scoring/metadata.yaml": b"command: python /app/program/score.py"}
    return packed(tmp_path / "b.zip", files | more, content)


def submission(tmp_path, **files):
    path = tmp_path / "s.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "."), text)
    return path


def seen(tried):
    return json.loads(tried.steps[-1].out.splitlines()[0])


def test_a_plain_submission_is_copied_and_scored(tmp_path):
    tried = try_bundle(bundle(tmp_path), submission(tmp_path, run__py="x = 1"))
    assert (tried.status, tried.counts, tried.why) == ("Finished", True, "")
    assert tried.row == {"score": 0.25, "low": 0.1}
    assert tried.ignored == ("other",)
    assert [(step.name, step.code) for step in tried.steps] == [("prediction", None), ("scoring", 0)]
    there = seen(tried)
    assert there["ref"] == ["labels.csv"]
    assert there["res"] == ["metadata", "run.py"], "the worker adds a file of its own"
    assert there["output"] == []


def test_a_folder_is_taken_as_a_zip_file_is(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "run.py").write_text("x = 1")
    assert seen(try_bundle(bundle(tmp_path), tmp_path / "mine"))["res"] == ["metadata", "run.py"]
    with pytest.raises(ConfigurationError, match="neither a folder nor a zip"):
        try_bundle(bundle(tmp_path), tmp_path / "mine" / "run.py")


def test_metadata_without_a_command_is_passed_on_to_nobody(tmp_path):
    for name in ("metadata", "metadata__yaml"):
        tried = try_bundle(bundle(tmp_path), submission(tmp_path, **{name: "note: x", "run__py": "x"}))
        assert (tried.status, tried.counts, tried.row) == ("Failed", False, None)
        assert len(tried.steps) == 1


LOOK = """
import os, json
app = os.environ.get("DCK_APP", "/app")
found = [os.path.join(p, n) for p, _, names in os.walk(app) for n in names]
open(os.path.join(app, "output", "found.json"), "w").write(json.dumps(found))
open(os.path.join(app, "output", "scores.json"), "w").write('{"score": 1.0}')
open(os.path.join(app, "output", "run.py"), "w").write("x = 1")
"""


def test_a_metadata_command_runs_without_data_and_its_forged_scores_are_a_file_of_the_submission(tmp_path):
    sent = submission(tmp_path, metadata__yaml="command: python /app/program/look.py", look__py=LOOK)
    code = f'print(open(app + "/input/res/found.json").read())\n{SCORES}'
    tried = try_bundle(bundle(tmp_path, code), sent)
    assert tried.steps[0].code == 0
    assert tried.row == {"score": 0.25, "low": 0.1}, "not the forged score"
    found = json.loads(tried.steps[1].out.splitlines()[1])
    assert not [path for path in found if "labels" in path or "ref" in path], "no hidden data in the prediction step"


def test_a_metadata_command_that_leaves_metadata_fails(tmp_path):
    text = "import os\nopen(os.environ.get('DCK_APP', '/app') + '/output/metadata', 'w').write('x')\n"
    sent = submission(tmp_path, metadata="command: python /app/program/x.py", x__py=text)
    tried = try_bundle(bundle(tmp_path), sent)
    assert (tried.status, tried.counts) == ("Failed", False)
    assert "already contains a metadata file" in tried.why


def test_input_data_are_seen_by_a_submissions_own_program_which_is_why_there_are_none(tmp_path):
    content = at(GOOD, "tasks.0.input_data", "reference")
    sent = submission(tmp_path, metadata="command: python /app/program/look.py", look__py=LOOK)
    code = f'print(open(app + "/input/res/found.json").read())\n{SCORES}'
    tried = try_bundle(bundle(tmp_path, code, content), sent)
    assert "labels.csv" in tried.steps[1].out.splitlines()[1]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("raise SystemExit(3)", "status 3"),
        ("pass", "Could not find scores file"),
        ('open(app + "/output/scores.json", "w").write("{")', "Could not decode"),
        ('open(app + "/output/scores.json", "w").write("[1]")', "no keys"),
        ('open(app + "/output/scores.json", "w").write(\'{"score": NaN}\')', "Could not decode"),
        ('open(app + "/output/scores.json", "w").write(\'{"score": null}\')', "cannot store"),
        ('open(app + "/output/scores.json", "w").write(\'{"score": 1e10}\')', "cannot store"),
        ('os.symlink("/dev/zero", app + "/output/scores.json")', "Could not find scores file"),
        (f'{SCORES}\nopen(app + "/output/metadata", "w")', "already contains a metadata file"),
    ],
)
def test_what_the_worker_refuses_counts_for_nothing(tmp_path, code, why):
    tried = try_bundle(bundle(tmp_path, code), submission(tmp_path, run__py="x"))
    assert (tried.status, tried.counts) == ("Failed", False)
    assert why in tried.why


def test_a_program_that_takes_too_long_is_ended(tmp_path):
    tried = try_bundle(bundle(tmp_path, "import time; time.sleep(60)"), submission(tmp_path, run__py="x"), seconds=1)
    assert tried.status == "Failed"
    assert "Time Limit" in tried.why


@pytest.mark.parametrize("room", [True, False])
def test_processes_that_outlive_a_program_are_ended(tmp_path, monkeypatch, room):
    if not room:
        monkeypatch.setattr(stand_in, "_room", lambda shown: None)
    code = f"""
    {SCORES}
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execvp("sleep", ["sleep", "61.5"])
        os._exit(0)
    """
    tried = try_bundle(bundle(tmp_path, code), submission(tmp_path, run__py="x"))
    assert tried.status == "Finished"
    alive = [pid for pid in filter(str.isdigit, os.listdir("/proc")) if b"61.5" in cmdline(pid)]
    assert alive == []
    if not room:
        assert tried.steps[-1].left == ("sleep 61.5",), "where there is no room, they are found and named"


def cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def test_a_bundle_with_errors_is_not_tried(tmp_path):
    with pytest.raises(ConfigurationError, match="--check lists everything"):
        try_bundle(bundle(tmp_path, content=at(GOOD, "title", "")), submission(tmp_path, run__py="x"))
    with pytest.raises(ConfigurationError, match="no task of index 5"):
        try_bundle(bundle(tmp_path), submission(tmp_path, run__py="x"), index=5)


def test_the_verb_shows_what_came_out(tmp_path, capsys):
    paths = [str(bundle(tmp_path)), str(submission(tmp_path, run__py="x"))]
    assert main(["export", "codabench", "--try", *paths]) == 0
    said = capsys.readouterr().out
    assert "status: Finished; it counts against the quota" in said
    assert "board: score 0.2500, low 0.1000; ignored: ('other',)" in said
    bad = str(bundle(tmp_path, "raise SystemExit(3)"))
    assert main(["export", "codabench", "--try", bad, paths[1], "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["counts"] is False
