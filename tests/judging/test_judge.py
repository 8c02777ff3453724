"""Packages are taken in and judged once; what goes back is what may go back, key by key; our faults are no participant's."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from evaluator.cli.main import main
from evaluator.errors import ConfigurationError
from evaluator.files import hold
from evaluator.judging import feedback, work
from evaluator.judging.inbox import take_in, waiting
from evaluator.judging.place import Place
from evaluator.judging.queue import Queue, Sent
from evaluator.submission.package import write_package

ROOT = Path(__file__).resolve().parents[2]
RUN = """from run import ZEWDPCBaseRun


class Mine(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset, budget):
        pass
"""
INTERVAL = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 3, "level": 0.95, "collapsed": 0, "without": None}
SECRETS = ("hidden-7:77", "0123fingerprint", "label-of-image-3", "/srv/judge", "other_team", "purchases", "deadbeef")


def summary(verdict="OK", trace="", printed=(), task="10:5") -> dict:
    """A summary as a sweep writes it, with what must never go back in every place where something could stand."""
    fault = {
        "submission": "x",
        "scored": False,
        "verdict": verdict,
        "reason": "ValueError in /srv/judge/submissions/abc/mine/run.py: bad",
        "trace": trace,
        "full_trace": "label-of-image-3",
        "printed": list(printed),
        "log": "/srv/judge/log",
        "count": 1,
        "cells": [{"task": task, "seed": 0, "pipeline": "proxy"}],
    }
    cell = {"cell": "deadbeef", "submission": "other_team", "pair": "10:5", "seed": 0, "pipeline": "proxy", "label_quality": 1.0}
    cell |= {
        "score_split": "validation",
        "verdict": verdict,
        "reason": "why",
        "fit_to_submit": True,
        "collapsed": False,
        "score": 0.5,
    }
    row = {"submission": "other_team", "pipeline": "proxy", "score_split": "validation", "verdicts": {verdict: 1}, "collapsed": 0}
    row |= {"score": {"macro_f1": INTERVAL | {"mean": 0.777}}, "public": {"macro_f1": INTERVAL}, "purchases": ["label-of-image-3"]}
    row["pairs"] = [
        {"pair": "10:5", "metrics": {"macro_f1": INTERVAL}, "bought": 9, "budget": 10, "seconds": 1.0, "indices": [3]},
        {"pair": "hidden-7:77", "metrics": {"macro_f1": INTERVAL}, "bought": 9, "budget": 10, "seconds": 1.0},
    ]
    return {
        "primary_metric": "macro_f1",
        "pairs": [{"pair": "10:5", "kind": "public"}, {"pair": "hidden-7:77", "kind": "hidden"}],
        "rows": [row],
        "cells": [cell, cell | {"pair": "hidden-7:77"}],
        "faults": [fault] if verdict != "OK" else [],
        "remarks": ["bought nothing in /srv/judge/submissions/abc/mine/run.py"],
        "warnings": ["other_team"],
        "data": {"validation": {"training": "digest", "validation": "digest"}},
        "seeds": 1,
        "secret": "0123fingerprint",
        "seconds": 1.0,
        "root_seed": 2022,
        "submissions": [{"folder": "/srv/judge"}],
    }


@pytest.fixture
def place(tmp_path):
    """A judge's folder without a private part."""
    root = tmp_path / "judge"
    root.mkdir()
    (root / "judge.toml").write_text('name = "Labels"\nsandbox = "process"\n[quota]\na-day = 2\nattempts = 2\npause = 0\n')
    (root / "public.toml").write_text('profile = "debug"\n')
    return Place.of(root)


@pytest.fixture
def queue(place):
    made = Queue(place.queue, place.rules.quota)
    yield made
    made.close()


@pytest.fixture
def send(place, tmp_path):
    """Put a package into the inbox; returns where."""

    def put(participant="foxes", text=RUN, track="purchase", name="mine", settled=True) -> Path:
        folder = tmp_path / "sources" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "run.py").write_text(text)
        (place.inbox / participant).mkdir(exist_ok=True)
        target = place.inbox / participant / f"{name}-{len(text)}.zip"
        write_package(folder, track, target)
        if settled:
            os.utime(target, (time.time() - 60,) * 2)
        return target

    return put


@pytest.fixture
def swept(monkeypatch):
    """What the sweep prints, and its exit status, instead of a real sweep."""

    def prints(content, status=0, before=""):
        text = f"import sys, time\n{before}\nsys.stdout.write({json.dumps(content)!r})\nsys.exit({status})"
        monkeypatch.setattr(work, "sweep_command", lambda *_: [sys.executable, "-c", text])
        monkeypatch.setattr(work, "POLL", 0.02)

    return prints


def taken(place, queue):
    return list(take_in(place, queue, time.time))


def returned(place, participant="foxes") -> dict[str, dict]:
    found = {path.name: json.loads(path.read_text()) for path in (place.outbox / participant).glob("*.json")}
    return {name.split("-", 1)[1].removesuffix(".json"): content for name, content in found.items()}


def test_a_package_is_taken_in_once_with_a_receipt(place, queue, send):
    sent = send()
    content = sent.read_bytes()
    assert [row.refused for row in taken(place, queue)] == [""]
    assert not sent.exists()
    assert [path.read_bytes() for path in place.packages.iterdir()] == [content]
    assert returned(place)["receipt"]["accepted"]
    send()
    assert [row.submission for row in taken(place, queue)] == [1], "the same again is the same submission"
    assert queue.counts() == {"waiting": 1}


def test_a_file_that_is_still_being_sent_waits(place, queue, send):
    send(settled=False)
    (place.inbox / "foxes" / ".half.zip").write_bytes(b"PK")
    (place.inbox / "foxes" / "link.zip").symlink_to("/etc/passwd")
    assert waiting(place, time.time()) == []


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"text": "class Mine(:"}, "not fit to submit"),
        ({"track": "cleaning"}, "made for the track cleaning"),
    ],
)
def test_what_cannot_be_judged_is_refused_with_the_reason(place, queue, send, how, said):
    send(**how)
    (row,) = taken(place, queue)
    assert said in row.refused
    receipt = returned(place)["receipt"]
    assert not receipt["accepted"]
    assert said in receipt["reason"]
    assert str(place.root) not in json.dumps(receipt)
    assert queue.claim("a", time.time(), 60) is None


@pytest.mark.parametrize("content", [b"no zip at all", b""])
def test_what_is_no_package_is_refused(place, queue, content):
    (place.inbox / "foxes").mkdir()
    (place.inbox / "foxes" / "x.zip").write_bytes(content)
    os.utime(place.inbox / "foxes" / "x.zip", (1, 1))
    (row,) = taken(place, queue)
    assert "no zip archive" in row.refused
    assert str(place.root) not in row.refused


def test_the_quota_of_a_day_is_said_in_the_receipt(place, queue, send):
    for number in range(3):
        send(text=RUN + f"# {'x' * number}\n")
    refused = [row.refused for row in taken(place, queue)]
    assert [bool(why) for why in refused] == [False, False, True]
    assert "2 a day are allowed" in refused[2]


def test_who_sends_bad_packages_without_end_fills_nothing(place, queue):
    object.__setattr__(queue.quota, "refused", 3)
    (place.inbox / "foxes").mkdir()
    for number in range(6):
        bad = place.inbox / "foxes" / f"{number}.zip"
        bad.write_bytes(b"no zip" + b"x" * number)
        os.utime(bad, (number, number))
    refused = [row.refused for row in taken(place, queue)]
    assert ["were refused today" in why for why in refused] == [False] * 3 + [True] * 3
    assert (len(list(place.packages.iterdir())), len(queue.events())) == (3, 3)
    assert len(list((place.outbox / "foxes").iterdir())) == 4
    assert list((place.inbox / "foxes").iterdir()) == []


def test_a_job_is_judged_and_what_goes_back_holds_nothing_hidden(place, queue, send, swept):
    send()
    taken(place, queue)
    swept(summary())
    done = work.work(place, queue, queue.claim("a", time.time(), 60), "pair")
    assert done.verdict == "OK"
    told = returned(place)["public-v1"]
    text = json.dumps(told)
    assert [name for name in SECRETS if name in text] == []
    assert set(told) == set(feedback.KEYS["public"])
    assert told["rows"] == [
        {
            "pipeline": "proxy",
            "score": {"macro_f1": {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 3, "level": 0.95}},
            "tasks": [
                {
                    "pair": "10:5",
                    "score": {"macro_f1": {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 3, "level": 0.95}},
                    "bought": 9,
                    "budget": 10,
                    "seconds": 1.0,
                }
            ],
        }
    ]
    assert told["cells"] == [{"pair": "10:5", "seed": 0, "verdict": "OK", "score": 0.5, "collapsed": False}]
    (row,) = queue.results("public")
    assert row["result"]["cells"][0]["score"] == 0.5


def test_a_failure_goes_back_with_the_own_traceback_and_without_paths(place, queue, send, swept):
    send()
    taken(place, queue)
    own = next(place.submissions.iterdir()) / "mine"
    trace = f'  File "{own}/run.py", line 5\n    x\nValueError: bad\n  File "/srv/judge/kit/evaluator/x.py", line 1'
    swept(summary("RUNTIME_ERROR", trace, [f"opened {own}/a.txt", "hello"]), status=1)
    assert work.work(place, queue, queue.claim("a", time.time(), 60), "pair").verdict == "RUNTIME_ERROR"
    (fault,) = returned(place)["public-v1"]["faults"]
    assert './run.py", line 5' in fault["traceback"]
    assert "hello" in fault["printed"]
    assert "/srv/judge" not in json.dumps(fault)
    assert str(place.root) not in json.dumps(fault)
    assert queue.counts() == {"done": 1}, "a submission that fails is judged"


def test_a_fault_at_a_hidden_task_stays_here():
    told = feedback.public(summary("RUNTIME_ERROR", "label-of-image-3", task="hidden-7:77"), "pair", "", 1)
    assert told["faults"] == []


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (summary("INFRASTRUCTURE"), 1, "INFRASTRUCTURE"),
        (summary() | {"cells": [summary()["cells"][0] | {"verdict": None}]}, 130, "status 130"),
        (summary(), 2, "status 2"),
        ({}, 0, "no summary"),
        ("text", 0, "no summary"),
    ],
    ids=["a cell of ours", "interrupted", "options", "empty", "no object"],
)
def test_our_own_faults_are_tried_again_and_then_said_to_be_ours(place, queue, send, swept, content, status, said):
    send()
    taken(place, queue)
    swept(content, status)
    first = work.work(place, queue, queue.claim("a", time.time(), 60), "pair")
    assert (first.verdict, said in first.why) == ("INFRASTRUCTURE", True)
    assert "public-v1" not in returned(place)
    work.work(place, queue, queue.claim("a", time.time(), 60), "pair")
    assert queue.counts() == {"failed": 1}
    assert "not your fault" in returned(place)["public-v1"]["reason"]
    assert queue.used("foxes", time.time()) == 0


def test_a_run_that_takes_too_long_is_ended(place, queue, send, swept, monkeypatch):
    send()
    taken(place, queue)
    swept(summary(), before="time.sleep(600)")
    job = queue.claim("a", time.time(), 60)
    clock = iter([5.0, 5.0, *([5.0 + 13 * 3600] * 50)])
    done = work.work(place, queue, job, "pair", clock=lambda: next(clock))
    assert "took more than 12 hours" in done.why


def test_a_fault_that_the_queue_did_not_take_is_told_when_it_does(place, queue, send, swept, monkeypatch):
    send()
    taken(place, queue)
    swept(summary(), before="time.sleep(600)")
    clock = iter([0.0, 13 * 3600.0])
    run = work.Run(place, queue, queue.claim("a", time.time(), 60), work.Form("pair"), time.time(), clock=lambda: next(clock))
    give_back = queue.give_back
    monkeypatch.setattr(queue, "give_back", lambda *_: (_ for _ in ()).throw(sqlite3.OperationalError("database or disk is full")))
    with pytest.raises(sqlite3.OperationalError):
        run.step(time.time())
    monkeypatch.setattr(queue, "give_back", give_back)
    done = run.step(time.time())
    assert "took more than 12 hours" in done.why
    assert queue.counts() == {"waiting": 1}


@pytest.mark.parametrize("jump", [13 * 3600, -13 * 3600])
def test_the_time_of_day_jumps_and_the_hours_of_a_run_do_not(place, queue, send, swept, jump):
    send()
    taken(place, queue)
    swept(summary(), before="time.sleep(0.3)")
    start = time.time()
    days = iter([start, start])
    job = queue.claim("a", start, 60)
    done = work.work(place, queue, job, "pair", lambda: next(days, start + jump), clock=lambda: 5.0)
    assert done.verdict == "OK"


def test_a_lease_is_renewed_when_the_time_of_day_was_set_back(place, queue, send, swept):
    send()
    taken(place, queue)
    swept(summary(), before="time.sleep(60)")
    now = time.time()
    job = queue.claim("a", now + 86_400, work.LEASE)
    run = work.Run(place, queue, job, work.Form("pair"), now + 86_400)
    try:
        assert run.step(now) is None
        (row,) = queue.rows("SELECT lease FROM job")
        assert row["lease"] == now + work.LEASE
    finally:
        run.end()


def test_a_job_that_was_given_away_is_not_counted(place, queue, send, swept):
    send()
    taken(place, queue)
    swept(summary())
    job = queue.claim("a", time.time(), 60)
    assert queue.claim("b", time.time() + 61, 60).attempt == 2
    assert work.work(place, queue, job, "pair").verdict == ""
    assert "public-v1" not in returned(place)
    assert queue.counts() == {"running": 1}


def test_a_package_that_was_changed_on_the_judge_is_our_fault(place, queue, send, swept):
    send()
    taken(place, queue)
    (kept,) = place.packages.iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])
    swept(summary())
    assert "not what it was" in work.work(place, queue, queue.claim("a", time.time(), 60), "pair").why


def test_the_sweep_ends_with_the_judge_that_started_it(place, tmp_path):
    """A judge that is killed leaves no run behind that would take time from the next run's clock."""
    script = (
        f"import sys, time; sys.path.insert(0, {str(ROOT)!r}); from evaluator.judging.work import started; "
        "p = started([sys.executable, '-c', 'import time; time.sleep(300)'], sys.stderr.buffer, sys.stderr.buffer); "
        "print(p.pid, flush=True); time.sleep(300)"
    )
    judge = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    child = int(judge.stdout.readline())
    judge.kill()
    judge.wait()
    end = time.monotonic() + 20
    while time.monotonic() < end and Path(f"/proc/{child}").exists() and " Z " not in Path(f"/proc/{child}/stat").read_text():
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists() or " Z " in Path(f"/proc/{child}/stat").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no key name"),
        ('name = "x"\nsandbx = "docker"', "did you mean"),
        ('name = "x"\nsandbox = "none"', "sandbox is 'none'"),
        ('name = "x"\ndeadline = "tomorrow"', "no time with a time zone"),
        ('name = "x"\npublic = "../other.toml"', "beside judge.toml"),
        ('name = "x"\nprivate = "private.toml"', "which is not there"),
        ('name = "x"\n[quota]\na-day = 0', "a_day is 0"),
        ('name = "x"\n[quota]\nday = 1', "has no key"),
    ],
)
def test_a_slip_in_the_rules_is_named(place, text, said):
    (place.root / "judge.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        Place.of(place.root)


def test_the_verbs_of_an_organiser(place, send, swept, capsys):
    send()
    swept(summary())
    folder = str(place.root)
    assert main(["judge", "run", folder, "--once"]) == 0
    assert "foxes, submission 1, public part: OK" in capsys.readouterr().out
    assert main(["judge", "pause", folder]) == main(["judge", "status", folder]) == 0
    assert "(paused)" in capsys.readouterr().out
    assert main(["judge", "resume", folder]) == 0
    assert main(["judge", "finish", folder]) == 2
    (place.root / "private.toml").write_text("")
    rules = (place.root / "judge.toml").read_text()
    (place.root / "judge.toml").write_text('private = "private.toml"\nversion = 2\n' + rules)
    assert (
        main(["judge", "choose", folder, "foxes", "1"])
        == main(["judge", "finish", folder])
        == main(["judge", "rescore", folder])
        == 0
    )
    assert main(["judge", "run", folder, "--once"]) == 0
    told = returned(place)
    assert told["private-v2"] == {"schema": 1, "kind": "private", "version": 2, "judged": True}
    assert told["public-v2"]["rows"] == told["public-v1"]["rows"]
    capsys.readouterr()
    assert main(["judge", "trail", folder]) == 0
    shown = capsys.readouterr().out
    assert [word in shown for word in ("received", "claimed", "done", "chosen")] == [True] * 4
    assert main(["judge", "status", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["jobs"] == {"done": 3}


@pytest.mark.endurance
def test_a_real_submission_is_judged_from_the_inbox_to_the_outbox(place, send, tmp_path):
    text = RUN.replace("pass", "unlabelled_dataset.purchase_labels(range(budget))\n        raise KeyError('mine')")
    cache = f'cache = "{tmp_path / "cache"}"'
    (place.root / "public.toml").write_text(f'profile = "debug"\npipelines = ["proxy"]\npairs = "621:17"\n{cache}\n')
    send(text=text)
    send("owls", text=text.replace("\n        raise KeyError('mine')", ""))
    assert main(["judge", "run", str(place.root), "--once"]) == 0
    assert returned(place)["public-v1"]["cells"][0]["verdict"] == "RUNTIME_ERROR"
    assert "KeyError" in returned(place)["public-v1"]["faults"][0]["traceback"]
    (cell,) = returned(place, "owls")["public-v1"]["cells"]
    assert (cell["verdict"], 0 <= cell["score"] <= 1) == ("OK", True)
    pages = {path.name: path.read_text() for path in (place.root / "site" / "submissions").iterdir()}
    assert sorted("F1 of each class" in text for text in pages.values()) == [False, True]
    assert "owls" in (place.root / "site" / "index.html").read_text()


BUYS = RUN.replace("pass", "unlabelled_dataset.purchase_labels(range(budget))")


@pytest.mark.endurance
def test_two_real_submissions_side_by_side_are_judged_as_one_after_the_other(place, send, tmp_path):
    """Two jobs at once share a results folder, and a clock is alone; a rescore then runs nothing and says so."""
    rules = (place.root / "judge.toml").read_text()
    (place.root / "public.toml").write_text(
        f'profile = "debug"\npipelines = ["proxy"]\npairs = "621:17"\nseeds = 2\nsecret = "s"\ncache = "{tmp_path / "cache"}"\n'
    )
    (place.root / "s").write_text("0123456789abcdef" * 2 + "\n")
    scores = []
    for jobs in (1, 2):
        (place.root / "judge.toml").write_text(rules + f"[resources]\njobs = {jobs}\ndisk = 0\n")
        for name in ("foxes", "owls"):
            send(name, text=BUYS + f"# {name} {jobs if jobs == 2 else ''}\n")
        assert main(["judge", "run", str(place.root), "--once"]) == 0
        queue = Queue(place.queue)
        scores.append([[cell["score"] for cell in row["result"]["cells"]] for row in queue.results("public")[-2:]])
        rows = queue.rows("SELECT began, ended, peak FROM job ORDER BY id")[-2:]
        assert (rows[1]["began"] < rows[0]["ended"]) is (jobs == 2), "the second begins before the first has ended"
        assert queue.check().faults == ()
        queue.close()
    assert scores[0] == scores[1]
    (place.root / "judge.toml").write_text("version = 2\n" + (place.root / "judge.toml").read_text())
    assert main(["judge", "rescore", str(place.root)]) == main(["judge", "run", str(place.root), "--once"]) == 0
    queue = Queue(place.queue)
    told = [event["detail"] for event in queue.events() if event["what"] == "done"]
    assert [(of["stored"], of["new"]) for of in told] == [(0, 2)] * 4 + [(2, 0)] * 4
    queue.close()


@pytest.mark.endurance
def test_a_judge_whose_parts_name_a_cluster_runs_its_cells_there(place, send, tmp_path):
    """``ray = "local"`` starts a cluster of this machine's cores for each job; an address is the same option."""
    pytest.importorskip("ray")
    cache = f'cache = "{tmp_path / "cache"}"'
    text = f'profile = "debug"\npipelines = ["proxy"]\npairs = "621:17"\nray = "local"\n{cache}\n'
    (place.root / "public.toml").write_text(text)
    send(text=BUYS)
    assert main(["judge", "run", str(place.root), "--once"]) == 0
    (cell,) = returned(place)["public-v1"]["cells"]
    assert (cell["verdict"], 0 <= cell["score"] <= 1) == ("OK", True)
    log = next(place.runs.glob("*.log")).read_text()
    print(log[-500:])


def test_a_judge_whose_options_no_sweep_takes_begins_nothing(place, queue, send, capsys):
    """Otherwise every submission would fail by our fault, once for each of its attempts."""
    send()
    options = place.sweep("public").read_text()
    place.sweep("public").write_text(options + 'pairs = ["621:x"]\n')
    assert main(["judge", "run", str(place.root), "--once"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "public.toml" in said
    assert "the pair '621:x' was not understood" in said
    assert queue.rows("SELECT id FROM job WHERE state = 'failed'") == []
    assert [path.suffix for path in (place.inbox / "foxes").iterdir()] == [".zip"], "it still waits"


@pytest.fixture
def reachable(place):
    """The judge's folder where every user of the machine comes to it; temporary folders of tests are their owner's alone."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        root = Path(folder) / "judge"
        shutil.copytree(place.root, root)
        for one in (Path(folder), root):
            one.chmod(0o755)
        rules = root / "judge.toml"
        rules.write_text('private = "private.toml"\n' + rules.read_text())
        (root / "public.toml").write_text('profile = "debug"\n')
        (root / "private.toml").write_text('profile = "debug"\nsecret = "hidden"\n')
        (root / "hidden").write_text("0123456789abcdef" * 2 + "\n")
        yield Place.of(root)


def test_what_decides_hidden_tasks_and_may_be_read_by_others_is_named(reachable, swept, capsys):
    hidden = [reachable.root / "private.toml", reachable.root / "hidden"]
    for file, rights in zip(hidden, (0o640, 0o604), strict=True):
        file.chmod(rights)
    assert reachable.exposed() == tuple(hidden)
    main(["judge", "run", str(reachable.root), "--once"])
    said = " ".join(capsys.readouterr().err.split())
    assert [f"{file}: other users of this machine may read it" in said for file in hidden] == [True, True]
    hidden[0].chmod(0o600)
    assert reachable.exposed() == (hidden[1],)
    reachable.root.chmod(0o700)
    assert reachable.exposed() == (), "nobody else comes into the folder"


def test_a_queue_that_was_damaged_ends_every_verb_in_words(place, queue, capsys):
    queue.receive(Sent("a" * 64, "foxes", "x", "purchase", "d", time.time()), 1)
    queue.close()
    content = bytearray(place.queue.read_bytes())
    content[4096:] = b"\x55" * (len(content) - 4096)  # its first page, with the version of the tables, is as it was
    place.queue.write_bytes(content)
    for action in (["status"], ["run", "--once"]):
        assert main(["judge", action[0], str(place.root), *action[1:]]) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert "the queue is damaged" in said
        assert "restore a backup" in said


def test_a_private_part_that_could_not_be_judged_is_said_early_and_never_opened(place, queue, send, swept, capsys):
    swept(summary())
    rules = place.root / "judge.toml"
    rules.write_text('private = "private.toml"\n' + rules.read_text())
    (place.root / "private.toml").write_text('profile = "none of that name"\n')
    send()
    assert main(["judge", "run", str(place.root), "--once"]) == 0
    assert "the private part could not be judged now" in " ".join(capsys.readouterr().err.split())
    assert main(["judge", "finish", str(place.root)]) == 2
    assert queue.rows("SELECT id FROM job WHERE part = 'private'") == []


def test_who_may_read_the_site_cannot_stop_a_judge_by_a_lock_on_it(place, monkeypatch):
    """A lock needs no more than to open the folder, which is made to be read by everybody."""

    def waits(_):
        raise AssertionError("the board waits for a reader")

    assert main(["judge", "board", str(place.root)]) == 0
    monkeypatch.setattr("evaluator.files.time.sleep", waits)
    site = place.root / "site"
    readers = [hold(folder, shared=True) for folder in (site, site / "submissions")]
    try:
        assert main(["judge", "board", str(place.root)]) == 0
    finally:
        for reader in readers:
            os.close(reader)
    assert place.runs.stat().st_mode & 0o077 == 0
