"""The scoring program: what it judges, what it writes, and how it ends; on the toy track, in this process."""

import hashlib
import json
import os
import re
import zipfile
from dataclasses import replace

import pytest

from evaluator.errors import ConfigurationError, DataError, Verdict
from evaluator.export.codabench import scoring
from evaluator.export.codabench.details import details
from evaluator.export.codabench.order import FILE, OPTIONS, Order, columns_of, floor_of
from evaluator.records import CellResult
from evaluator.submission.package import write_package
from evaluator.tables import Metric
from evaluator.track import Judged
from tests.toy_track import GUESS, GuessTrack

ORDER = Order(
    track="guess",
    metric="closeness",
    word="task",
    sandbox="process",
    seconds=600,
    columns=columns_of(GUESS.metric("closeness")),
    floor=floor_of(GUESS.metric("closeness")),
)
RUN = "GUESS = 0.5\n"


@pytest.fixture
def app(tmp_path, monkeypatch):
    """The folders of a scoring step, as the compute worker lays them out."""
    monkeypatch.setattr(scoring, "_undumpable", lambda: None)
    monkeypatch.setattr(scoring, "tier_of", lambda weakest: scoring.choose("process"))
    root = tmp_path / "app"
    for folder in ("program", "input/ref", "input/res", "output", "shared"):
        (root / folder).mkdir(parents=True)
    (root / "program" / FILE).write_bytes(ORDER.as_json())
    (root / "input" / "ref" / OPTIONS).write_text("seeds = 2\npublic-seeds = true\n")
    (root / "input" / "ref" / "labels.csv").write_text("hidden")
    (root / "input" / "res" / "run.py").write_text(RUN)
    (root / "input" / "res" / "metadata").write_text("exitCode: null\n")  # the worker's own
    (root / "output" / "scores.json").write_text('{"closeness": 1.0}')  # forged
    (root / "output" / "left").mkdir()
    return root


def judged(app, track=GUESS, capfd=None):
    status = scoring.main(app, lambda name: track)
    scores = app / "output" / "scores.json"
    return status, json.loads(scores.read_text()) if scores.exists() else None


def test_a_submission_is_judged_and_what_was_forged_is_gone(app, capfd):
    status, scores = judged(app)
    assert status == scoring.SCORED
    assert set(scores) == {"closeness", "closeness_low", "closeness_high", "failed_cells"}
    assert scores["closeness_low"] <= scores["closeness"] <= scores["closeness_high"]
    assert 0.5 < scores["closeness"] < 0.9, "a half too much; the forged score was 1"
    assert scores["failed_cells"] == 0
    assert sorted(os.listdir(app / "output")) == ["detailed_results.html", "scores.json"]
    assert not (app / "input" / "ref").exists()
    assert capfd.readouterr().out == "judged\n"
    page = (app / "output" / "detailed_results.html").read_text()
    assert "macro" not in page
    assert "closeness" in page
    assert str(app) not in page


class Watching(GuessTrack):
    """Sees what is there when a worker would start."""

    def obtain(self, spec, inputs, progress):
        self.seen = self.ref.exists()
        print("LABEL 17 of the hidden data")
        return super().obtain(spec, inputs, progress)


def test_the_hidden_data_are_gone_before_a_worker_starts_and_prints_are_kept_back(app, capfd):
    track = Watching()
    track.ref = app / "input" / "ref"
    assert judged(app, track)[0] == scoring.SCORED
    assert track.seen is False
    out, err = capfd.readouterr()
    assert "LABEL" not in out + err
    assert "LABEL 17" in (app / "shared" / scoring.LOG).read_text()


class Holding(GuessTrack):
    """A track that reads its data late, and is asked to hold them."""

    held = ""

    def hold(self, data, cells):
        self.held = (self.ref / "labels.csv").read_text()
        assert len(cells) == 4


def test_a_track_is_asked_to_hold_its_data_first(app):
    track = Holding()
    track.ref = app / "input" / "ref"
    assert judged(app, track)[0] == scoring.SCORED
    assert track.held == "hidden"


class Failing(GuessTrack):
    verdict = Verdict.TIME_LIMIT

    def judge(self, spec, data, answer, progress, **rest):
        if spec.seed:
            return Judged(CellResult.of(spec, answer, self.verdict, reason="the clock of /srv/judge/labels.csv ran out"))
        return super().judge(spec, data, answer, progress, **rest)


def test_a_submission_that_ran_and_failed_gets_the_floor_and_counts(app):
    status, scores = judged(app, Failing())
    assert status == scoring.SCORED
    assert scores == {"closeness": 0.0, "closeness_low": 0.0, "closeness_high": 0.0, "failed_cells": 2.0}
    page = (app / "output" / "detailed_results.html").read_text()
    assert "TIME_LIMIT" in page
    assert "the clock of" not in page, "a submission can write what it bought into its reasons"


def test_texts_of_a_submission_are_shown_where_the_organiser_says_so_and_redacted(app):
    (app / "program" / FILE).write_bytes(replace(ORDER, texts=True).as_json())
    assert judged(app, Failing())[0] == scoring.SCORED
    page = (app / "output" / "detailed_results.html").read_text()
    assert "the clock of" in page
    assert "/srv/judge" not in page, "paths of the judge do not go back"


@pytest.mark.parametrize("error", [DataError("labels.csv: row 3 holds 1,0,1"), RuntimeError("labels 1,0,1"), OSError("disk")])
def test_a_fault_of_ours_ends_with_a_status_that_counts_for_nothing(app, capfd, error):
    class Broken(GuessTrack):
        def judge(self, *args, **rest):
            raise error

    status, scores = judged(app, Broken())
    assert status == scoring.OURS
    assert scores == {"closeness": 1.0}, "nothing was written; the platform does not read it after such a status"
    out, err = capfd.readouterr()
    assert "counted" in err
    assert "1,0,1" not in out + err


def test_an_error_before_the_run_names_no_hidden_value(app, capfd):
    class Broken(GuessTrack):
        def plan(self, choices, step):
            raise DataError("labels.csv: row 3 holds 1,0,1")

    assert judged(app, Broken())[0] == scoring.OURS
    out, err = capfd.readouterr()
    assert "DataError" in err
    assert "1,0,1" not in out + err
    assert "1,0,1" in (app / "shared" / scoring.LOG).read_text()


@pytest.mark.parametrize(
    ("files", "said"),
    [({}, "nothing arrived"), ({"run.py": "class X(:\n"}, "does not compile"), ({"other.txt": "x"}, "")],
)
def test_what_cannot_run_is_refused_and_counts_for_nothing(app, capfd, files, said):
    (app / "input" / "res" / "run.py").unlink()
    for name, text in files.items():
        (app / "input" / "res" / name).write_text(text)
    assert judged(app)[0] == scoring.REFUSED
    assert said in capfd.readouterr().err


def sent(app, tmp_path):
    """A package of the kit in place of the plain files."""
    source = tmp_path / "source" / "mine"
    source.mkdir(parents=True)
    (source / "run.py").write_text(RUN)
    write_package(source, "guess", tmp_path / "mine.zip")
    res = app / "input" / "res"
    (res / "run.py").unlink()
    with zipfile.ZipFile(tmp_path / "mine.zip") as archive:
        archive.extractall(res)
    return res


def test_a_package_of_the_kit_is_held_against_its_manifest(app, tmp_path):
    res = sent(app, tmp_path)
    assert scoring.submitted(res) == res / "mine"
    (res / "mine" / "more.py").write_text("x = 1\n")
    with pytest.raises(scoring.Refused, match="does not name"):
        scoring.submitted(res)
    (res / "mine" / "more.py").unlink()
    (res / "mine" / "run.py").write_text("GUESS = 0.0\n")
    with pytest.raises(scoring.Refused, match="not those of the manifest"):
        scoring.submitted(res)
    (res / "mine" / "run.py").unlink()
    with pytest.raises(scoring.Refused, match="is not there"):
        scoring.submitted(res)


def test_a_manifest_that_leads_out_is_refused(app, tmp_path):
    res = sent(app, tmp_path)
    secret = app / "input" / "ref" / "labels.csv"
    manifest = json.loads((res / "submission.json").read_text())
    digest = hashlib.sha256(secret.read_bytes()).hexdigest()
    manifest["files"].append({"path": "../ref/labels.csv", "bytes": 6, "sha256": digest})
    (res / "submission.json").write_text(json.dumps(manifest))
    with pytest.raises(scoring.Refused):
        scoring.submitted(res)
    manifest["files"].pop()
    manifest["name"] = "../ref"
    (res / "submission.json").write_text(json.dumps(manifest))
    with pytest.raises(scoring.Refused):
        scoring.submitted(res)


def test_another_version_of_the_kit_judges_nothing(app, capfd):
    (app / "program" / FILE).write_bytes(replace(ORDER, kit="0.0.1").as_json())
    assert judged(app)[0] == scoring.OURS
    assert "0.0.1" in capfd.readouterr().err


def test_no_tier_is_silently_weaker_than_the_organiser_asked_for(monkeypatch):
    asked = []

    def none(name):
        asked.append(name)
        raise ConfigurationError(f"{name} does not work")

    monkeypatch.setattr(scoring, "choose", none)
    with pytest.raises(scoring.Ours, match="no isolation"):
        scoring.tier_of("landlock")
    assert asked == ["bubblewrap", "landlock"], "and never process"


def test_an_order_is_read_as_it_was_written(tmp_path):
    (tmp_path / FILE).write_bytes(ORDER.as_json())
    assert Order.read(tmp_path / FILE) == ORDER
    (tmp_path / FILE).write_text('{"schema": 1}')
    with pytest.raises(ConfigurationError, match="not those of an order"):
        Order.read(tmp_path / FILE)


def row(low=0.4, cells=4, scored=4, mean=0.5):
    return {"score": {"closeness": {"mean": mean, "low": low, "high": 0.6}}, "cells": cells, "scored": scored}


def test_scores_fit_into_the_servers_numbers():
    assert ORDER.scores(row())["closeness"] == 0.5
    assert ORDER.scores(row(mean=1 / 3))["closeness"] == 0.3333333333
    assert ORDER.scores({"score": None, "cells": 4, "scored": 1})["failed_cells"] == 3
    for mean in (float("nan"), float("inf"), 1e11):
        with pytest.raises(ConfigurationError, match="do not fit"):
            ORDER.scores(row(mean=mean))


def test_a_loss_sorts_upwards_and_its_floor_is_its_largest_value():
    loss = Metric("hamming_loss", "Hamming loss", higher_is_better=False, low=0, high=1)
    assert [column.sorting for column in columns_of(loss)] == ["asc"] * 4
    assert floor_of(loss)["hamming_loss"] == 1.0
    with pytest.raises(ConfigurationError, match="no worst value"):
        floor_of(Metric("gain", "gain"))
    with pytest.raises(ConfigurationError, match="no key of a column"):
        replace(ORDER, columns=columns_of(Metric("x" * 40, "long", low=0)), floor=floor_of(Metric("x" * 40, "long", low=0)))


def test_the_page_escapes_what_a_submission_wrote():
    told = {
        "kind": "public",
        "metric": "closeness",
        "rows": [{"pipeline": "near", "score": None, "tasks": [{"task": "guess-3", "score": None}]}],
        "cells": [{"task": "guess-3", "seed": 0, "verdict": "RUNTIME_ERROR", "score": None, "collapsed": False}],
        "faults": [
            {"verdict": "RUNTIME_ERROR", "reason": "<script>alert(1)</script>", "traceback": "a\nb<i>", "printed": "", "cells": 1}
        ],
        "warnings": ["<b>"],
    }
    page = details(told, "task", failed=True, tier="landlock")
    assert not re.search(r"<(script|i|b)>", page)
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "http" not in page
    assert "nothing more" in details({"kind": "private"}, "task", failed=False, tier="landlock").lower()


def test_the_page_marks_scores_of_models_that_learnt_nothing():
    cells = [{"task": "guess-3", "seed": seed, "verdict": "OK", "score": 0.25, "collapsed": seed == 1} for seed in range(3)]
    told = {"kind": "public", "metric": "closeness", "rows": [], "cells": cells, "faults": [], "warnings": []}
    page = details(told, "task", failed=False, tier="landlock")
    assert page.count("<td>0.2500!</td>") == 1
    assert "1 cell of 3 collapsed" in page
    whole = details(told | {"cells": cells[:1]}, "task", failed=False, tier="landlock")
    assert "collapsed" not in whole.partition("<body>")[2]


def test_the_watchdog_ends_the_process_before_the_platform_does(tmp_path):
    import subprocess
    import sys

    code = "import time\nfrom evaluator.export.codabench.scoring import _watchdog\nwith _watchdog(0.1):\n    time.sleep(30)\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=25, check=False)
    assert done.returncode == scoring.OURS
    assert "the judge failed" in done.stderr
