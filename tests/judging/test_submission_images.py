"""A judge that builds an image for each submission: before its clock, once for equal lists, and whoever is at fault is told so."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from evaluator.cli.main import build_parser, main
from evaluator.errors import ConfigurationError
from evaluator.judging import clean as cleaning
from evaluator.judging import health as healthy
from evaluator.judging import loop, work
from evaluator.judging.clean import clean, removals
from evaluator.judging.image_records import enter, file_of, read, records
from evaluator.judging.image_rules import ImageRules
from evaluator.judging.images import Builder, EngineState, Outcome, outcome_of
from evaluator.judging.inbox import take_in
from evaluator.judging.jobs import DAY
from evaluator.judging.loop import Judge
from evaluator.judging.place import Place
from evaluator.judging.queue import Queue
from evaluator.judging.work import LEASE, Form, Run, tell_what_is_owed
from evaluator.sandbox.docker import IMAGE_VARIABLE, VERSION_LABEL
from evaluator.sandbox.engine import EngineError
from evaluator.submission.image import LABEL, Needs
from evaluator.submission.package import write_package

ROOT = Path(__file__).resolve().parents[2]
RULES = 'name = "x"\nsandbox = "docker"\nrequirements = "image"\n[quota]\npause = 0\nattempts = 2\n[resources]\ndisk = 0\n'
RUN = """from run import ZEWDPCBaseRun


class Mine(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset, budget):
        pass
"""
CELL = {"cell": "c", "pair": "10:5", "seed": 0, "pipeline": "proxy", "score_split": "validation", "verdict": "OK", "score": 0.5}
SUMMARY = {
    "primary_metric": "macro_f1",
    "pairs": [{"pair": "10:5", "kind": "public"}],
    "rows": [{"pipeline": "proxy", "score_split": "validation", "verdicts": {"OK": 1}, "collapsed": 0, "score": None}],
    "cells": [CELL | {"collapsed": False}],
    "faults": [],
    "remarks": [],
    "data": {},
    "seeds": 1,
    "secret": "",
    "seconds": 0.1,
}
SUMMARY["rows"][0] |= {"public": None, "pairs": []}
MADE = {"image": "data-centric-kit-submission:aa", "id": "sha256:aa", "bytes": 7, "built": True, "seconds": 1.0}
FAULT = {"verdict": "RUNTIME_ERROR", "reason": "requirements.txt: the image could not be built"}
LOG = "Step 1/2 : FROM registry.example/kit:1\nERROR: No matching distribution found for absent\n"


@dataclass(eq=False)
class Prints(Builder):
    """A builder whose process prints what the test says, and leaves a log."""

    says: dict = field(default_factory=lambda: dict(MADE))
    status: int = 0
    seconds: float = 0.0
    asked: int = 0
    missing: str = ""

    def command(self, folder: Path, log: Path) -> list[str]:
        self.asked += 1
        text = (
            f"import sys, time; open({str(log)!r}, 'w').write({LOG!r}); time.sleep({self.seconds});"
            f" sys.stdout.write({json.dumps(self.says)!r}); sys.exit({self.status})"
        )
        return [sys.executable, "-S", "-c", text]

    def _lacks(self) -> str:
        return self.missing

    full = _lacks


class FakeEngine:
    """An engine that knows images, and which of them a container uses."""

    def __init__(self, images=(), used=()) -> None:
        self.images = {"data-centric-kit": image("sha256:base", 100), **{name: image(f"id-{name}", 150) for name in images}}
        self.used, self.removed = set(used), []

    def image(self, name):
        return self.images.get(name)

    def ask(self, method, path, body=None, **query):
        if method == "DELETE":
            self.removed.append(path.removeprefix("/images/"))
            if self.images.pop(self.removed[-1], None) is None:
                raise EngineError(404, "no such image")
        if path == "/containers/json":
            return [of for of in self.used if of in query["filters"]["ancestor"]]
        if path == "/images/json":
            assert query["filters"]["label"] == [LABEL]
            return [of for name, of in self.images.items() if name != "data-centric-kit"]
        return {"DockerRootDir": "/"} if path == "/info" else None


def image(name: str, size: int) -> dict:
    from evaluator import __version__

    return {"Id": name, "Size": size, "Config": {"Labels": {VERSION_LABEL: __version__}}}


@pytest.fixture
def place(tmp_path):
    return place_of(tmp_path)


def place_of(tmp_path: Path, more: str = "", rules: str = RULES) -> Place:
    root = tmp_path / "judge"
    root.mkdir(exist_ok=True)
    (root / "judge.toml").write_text(rules + more)
    (root / "public.toml").write_text('profile = "debug"\n')
    return Place.of(root)


@pytest.fixture
def queue(place):
    made = Queue(place.queue, place.rules.quota)
    yield made
    made.close()


@pytest.fixture
def send(place, queue, tmp_path):
    """Send a submission with these lists, and take it in; what the receipt says."""

    def put(participant="foxes", requirements: str | None = "pressed>=1\n", single=False, text=RUN) -> dict:
        source = tmp_path / "sources" / participant
        source.mkdir(parents=True, exist_ok=True)
        (source / "run.py").write_text(text)
        if requirements is not None:
            (source / "requirements.txt").write_text(requirements)
        (place.inbox / participant).mkdir(exist_ok=True)
        target = place.inbox / participant / "mine.zip"
        write_package(source / "run.py" if single else source, "purchase", target)
        os.utime(target, (1, 1))
        list(take_in(place, queue, time.time))
        (path,) = (place.outbox / participant).glob("*-receipt.json")
        return json.loads(path.read_text())

    return put


@pytest.fixture
def swept(monkeypatch):
    """What the sweep does instead of a real one: it prints a summary, and notes in which image it runs."""
    text = f"import os, sys; sys.stderr.write('in ' + os.environ.get({IMAGE_VARIABLE!r}, 'none')); "
    monkeypatch.setattr(
        work, "sweep_command", lambda *_: [sys.executable, "-S", "-c", f"{text}sys.stdout.write({json.dumps(SUMMARY)!r})"]
    )
    monkeypatch.setattr(work, "POLL", 0.02)
    monkeypatch.setattr(loop, "POLL", 0.02)
    monkeypatch.setattr(loop, "IDLE", 0.02)


def judged(place, queue, builder):
    return work.work(place, queue, queue.claim("a", time.time(), 60), "pair", builder=builder)


def told(place, participant="foxes") -> dict:
    (path,) = (place.outbox / participant).glob("*-public-v1.json")
    return json.loads(path.read_text())


# -- a job


def test_the_run_happens_in_the_image_and_the_trail_names_it(place, queue, send, swept):
    assert send()["accepted"]
    assert judged(place, queue, builder := Prints(place)).verdict == "OK"
    assert builder.asked == 1
    assert (place.runs / "1-1.log").read_text() == "in sha256:aa"
    (done,) = [event for event in queue.events() if event["what"] == "done"]
    assert done["detail"]["image"] == MADE["image"]
    ((_, record),) = records(place.images)
    assert (record.image, record.bytes, len(record.packages)) == (MADE["image"], 7, 1)


def test_a_submission_that_asks_for_nothing_runs_in_the_base(place, queue, send, swept, tmp_path):
    send(requirements=None)
    assert judged(place, queue, builder := Prints(place)).verdict == "OK"
    assert (builder.asked, (place.runs / "1-1.log").read_text()) == (0, "in none")
    place = place_of(tmp_path, '[image]\nbase = "mine:3"\n')
    queue.rescore(2, time.time())
    judged(place, queue, Prints(place))
    assert (place.runs / "2-1.log").read_text() == "in mine:3"


def test_an_answer_never_builds_whatever_lies_beside_it(place, queue, send, monkeypatch):
    send()
    (folder,) = [path / "foxes" for path in place.submissions.iterdir()]
    job = queue.claim("a", time.time(), 60)
    assert Builder(place).wanted(job, folder)
    from evaluator.judging import images

    class Answer:
        kind = "answer"

    monkeypatch.setattr(images, "read_package", lambda path: Answer)
    assert not Builder(place).wanted(job, folder)


def test_the_lists_beside_a_single_file_count(place, queue, send, swept):
    send(single=True)
    (folder,) = [path / "run" for path in place.submissions.iterdir()]
    assert (folder / "requirements.txt").read_text() == "pressed>=1\n"
    assert judged(place, queue, builder := Prints(place)).verdict == "OK"
    assert builder.asked == 1


def test_what_the_lists_bring_may_be_imported(send):
    assert send(text="import pressed\n" + RUN)["accepted"]
    assert not send("owls", requirements=None, text="import pressed\n" + RUN)["accepted"]


def test_what_can_never_be_installed_is_refused_in_the_receipt(place, queue, send):
    receipt = send(requirements="numpy\n--index-url https://evil\n")
    assert "requirements.txt, line 2" in receipt["reason"]
    assert queue.used("foxes", time.time()) == 0


def test_lists_that_were_taken_in_under_other_rules_are_a_result(place, queue, send, swept):
    send()
    (folder,) = [path / "foxes" for path in place.submissions.iterdir()]
    (folder / "requirements.txt").write_text("-e .\n")
    assert judged(place, queue, builder := Prints(place)).verdict == "RUNTIME_ERROR"
    assert "line 1" in told(place)["faults"][0]["reason"]
    assert builder.asked == 0


def test_a_fault_of_the_lists_is_a_result_with_the_own_log_and_counts(place, queue, send, swept):
    send()
    done = judged(place, queue, Prints(place, says=FAULT, status=1))
    assert (done.verdict, queue.counts()) == ("RUNTIME_ERROR", {"done": 1})
    form = told(place)
    (fault,) = form["faults"]
    assert (form["verdict"], form["rows"], form["cells"], fault["cells"]) == ("RUNTIME_ERROR", [], [], 0)
    assert "No matching distribution found for absent" in fault["printed"]
    assert queue.used("foxes", time.time()) == 1
    assert not (place.runs / "1-1.json").exists(), "nothing ran"
    assert main(["judge", "board", str(place.root)]) == 0
    page = (place.root / "site" / "submissions" / "1.html").read_text()
    assert "could not be installed, so nothing ran" in page


def test_a_fault_of_the_engine_is_tried_again_and_burns_no_quota(place, queue, send, swept):
    send()
    ours = Prints(place, says={"verdict": "INFRASTRUCTURE", "reason": "no network"}, status=1)
    assert (judged(place, queue, ours).why, queue.counts()) == ("no network", {"waiting": 1})
    killed = Prints(place, status=137)
    assert "ended with status 137" in judged(place, queue, killed).why
    assert queue.counts() == {"failed": 1}
    assert "not your fault" in told(place)["reason"]
    assert queue.used("foxes", time.time()) == 0


@pytest.mark.parametrize("text", ["", "[]", '{"image": 3}', '{"verdict": "GREAT", "reason": "x"}', '{"verdict": "OK"'])
def test_an_outcome_that_is_none_is_our_fault(tmp_path, text):
    (tmp_path / "1-1.image.json").write_text(text)
    assert outcome_of(f"{tmp_path}/1-1", 0).verdict == "INFRASTRUCTURE"
    assert not outcome_of(f"{tmp_path}/9-9").theirs


def test_the_lease_is_renewed_while_an_image_is_built(place, queue, send, swept):
    send()
    start = time.time()
    job = queue.claim("a", start, LEASE)
    run = Run(place, queue, job, Form("pair"), start, Prints(place, seconds=60))
    try:
        for minute in range(1, 11):
            assert run.step(start + 40 * minute) is None
            assert queue.claim("b", start + 40 * minute, LEASE) is None, "nobody else gets it"
    finally:
        run.end()


def test_a_build_is_ended_where_the_disk_of_the_engine_runs_full(place, queue, send, swept):
    send()
    start = time.time()
    run = Run(place, queue, queue.claim("a", start, LEASE), Form("pair"), start, builder := Prints(place, seconds=60))
    assert run.step(start + 10) is None
    builder.missing = "0.1 GiB of the disk are free"
    done = run.step(start + 20)
    assert (done.verdict, "0.1 GiB" in done.why, queue.counts()) == ("INFRASTRUCTURE", True, {"waiting": 1})


def test_a_judge_without_an_engine_begins_nothing_and_says_why(place, queue, send, swept):
    send()
    said: list[str] = []
    builder = Prints(place, missing="no Docker engine answers at /x")
    assert not Judge(place, queue, Form("pair"), said.append, lambda: None, builder=builder).run(once=True)
    assert (queue.counts(), "no Docker engine answers" in said[-1]) == ({"waiting": 1}, True)


def test_what_a_killed_judge_did_not_say_of_a_build_is_said_by_the_next(place, queue, send):
    send()
    job = queue.claim("a", time.time(), 60)
    (place.runs / "1-1.image.json").write_text(json.dumps(FAULT))
    (place.runs / "1-1.image.log").write_text(LOG)
    queue.finish(job, time.time(), "RUNTIME_ERROR", {"unbuilt": True})
    assert tell_what_is_owed(place, queue, Form("pair")) == 1
    assert "No matching distribution" in told(place)["faults"][0]["printed"]


JUDGE = """
import json, sys, time
from pathlib import Path
from evaluator.judging import loop, work
from evaluator.judging.images import Builder
from evaluator.judging.place import Place
from evaluator.judging.queue import Queue
loop.POLL = loop.IDLE = 0.02
root, made, summary = sys.argv[1:]
place = Place.of(Path(root))
build = '''
import sys, time
marks = open(sys.argv[1], "a", 1)
print("begun", file=marks)
time.sleep(0.5)
print("built", file=marks)
sys.stdout.write(sys.argv[2])
'''
class Slow(Builder):
    def command(self, folder, log):
        return [sys.executable, "-S", "-c", build, str(place.root / "marks"), made]
    def _lacks(self):
        return ""
work.sweep_command = lambda *_: [sys.executable, "-S", "-c", "import sys; sys.stdout.write(sys.argv[1])", summary]
queue = Queue(place.queue, place.rules.quota)
loop.Judge(place, queue, work.Form("pair"), lambda text: None, lambda: None, builder=Slow(place)).run(once=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_judge_that_is_killed_while_it_builds_leaves_the_job_to_the_next(place, queue, send, how):
    send()
    marks = place.root / "marks"
    command = [sys.executable, "-c", JUDGE, str(place.root), json.dumps(MADE), json.dumps(SUMMARY)]
    first = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not (marks.exists() and marks.read_text()) and time.monotonic() < end and first.poll() is None:
        time.sleep(0.02)
    first.send_signal(how)
    first.wait()
    subprocess.run(command, cwd=ROOT, check=True, timeout=120)
    assert marks.read_text().split() == ["begun", "begun", "built"], "the build that was killed did not go on"
    assert queue.counts() == {"done": 1}
    assert [event["what"] for event in queue.events()].count("done") == 1
    assert queue.check().faults == ()


# -- the rules


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (RULES.replace("docker", "bubblewrap"), 'line 2: requirements is "image"; images are for the tier docker'),
        (RULES.replace("docker", "auto"), "images are for the tier docker"),
        (RULES.replace('"image"', '"fixed"') + "[image]\nseconds = 5\n", "image is a table on how images are built"),
        (RULES + '[image]\nnetwork = "hots"\n', "network is 'hots'; did you mean 'host'"),
        (RULES + '[image]\nindex = "https://me:word@host/simple"\n', "without user, password"),
        (RULES + '[image]\nindex = "https://h; id"\n', "index is no address"),
        (RULES + '[image]\nindex = "https://h"\nwheels = "w"\n', "Leave one out"),
        (RULES + '[image]\nwheels = "w"\n', r"wheels names w, which is no folder"),
        (RULES + "[image]\nseconds = 0\n", "seconds is 0"),
        (RULES + "[image]\nlargest = -1\n", "largest is -1"),
        (RULES + '[image]\nbase = "a b"\n', "base is 'a b'"),
        (RULES + "[image]\nsecond = 1\n", "did you mean"),
        (RULES + "[retention]\nimages = -1\n", "images is -1"),
    ],
)
def test_a_slip_in_the_rules_is_named_before_anything_is_built(tmp_path, text, said):
    with pytest.raises(ConfigurationError, match=said) as error:
        place_of(tmp_path, rules=text)
    assert "word@" not in str(error.value)


def test_the_rules_are_options_of_the_command(tmp_path):
    (tmp_path / "judge" / "w").mkdir(parents=True)
    more = '[image]\nbase = "kit:1"\nnetwork = "none"\nwheels = "w"\nsources = true\nseconds = 5\nmemory = 1\nlargest = 2\n'
    command = Builder(place_of(tmp_path, more)).command(Path("/x"), Path("/log"))
    given = dict(pairwise(command))
    assert (given["--base"], given["--network"], given["--wheels"]) == ("kit:1", "none", str(tmp_path / "judge" / "w"))
    assert (given["--seconds"], given["--memory"], given["--largest"], "--sources" in command) == ("5", "1", "2", True)
    assert build_parser().parse_args(command[3:]).largest == 2


def test_a_judge_without_an_engine_or_a_base_is_not_started(place, monkeypatch, capsys):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{place.root}/none.sock")
    assert main(["judge", "run", str(place.root), "--once"]) == 2
    assert 'requirements is "image"; no Docker engine answers' in capsys.readouterr().err
    engine = FakeEngine()
    engine.images = {}
    with pytest.raises(ConfigurationError, match="no image data-centric-kit"):
        Builder(place, engine).check()
    engine.images = {"data-centric-kit": {"Id": "x", "Config": {"Labels": {}}}}
    with pytest.raises(ConfigurationError, match="names no version of the kit"):
        Builder(place, engine).check()
    Builder(place, FakeEngine()).check()
    for verb in ("status", "trail", "pause", "clean"):
        assert main(["judge", verb, str(place.root)]) == 0, "what builds nothing needs no engine"


def test_the_disk_of_the_engine_has_the_floor_of_the_judge(place):
    builder = Builder(place, FakeEngine())
    assert builder.lack(0.0) == ""
    object.__setattr__(place.rules.resources, "disk", 900_000.0)
    assert builder.lack(1.0) == "", "what was seen a second ago holds"
    assert "[resources] disk keeps 900000" in builder.lack(60.0)
    assert Builder(place, FakeEngine()).full() == "", "before the engine said where its disk is"


# -- health, and what is kept


def test_health_shows_the_engine_and_its_images(place, queue, monkeypatch):
    builder = Builder(place, FakeEngine(["a", "b"]))
    monkeypatch.setattr(healthy, "builder_of", lambda place: builder)
    found = healthy.health(place, queue, time.time())
    assert found.as_dict()["builder"] == {"engine": True, "why": "", "images": 2, "bytes": 100}
    assert ("images", "2 images of submissions, 100 B; the engine answers") in found.rows()
    monkeypatch.setattr(Builder, "state", lambda self: EngineState("no Docker engine answers"))
    assert ("images", "no Docker engine answers") in healthy.health(place, queue, time.time()).rows()


NEEDS = Needs((), ("pressed>=1",))


def test_the_record_of_an_image_names_every_package_that_asked(place):
    enter(place.images, NEEDS, "a" * 64, 1.0)
    enter(place.images, NEEDS, "a" * 64, 2.0, "kit:x", 50)
    enter(place.images, NEEDS, "b" * 64, 3.0)
    ((file, record),) = records(place.images)
    assert file == file_of(place.images, NEEDS)
    assert (record.image, record.bytes, record.used, record.packages) == ("kit:x", 50, 3.0, ("a" * 64, "b" * 64))
    other = json.loads(file.read_text()) | {"node": "elsewhere"}
    (place.images / "x.json").write_text(json.dumps(other))
    (place.images / "y.json").write_text("{")
    assert [path for path, _ in records(place.images)] == [file], "of other machines, and what is not understood, nothing is known"
    assert file_of(place.images, NEEDS, "elsewhere") != file_of(place.images, Needs(("pressed",)))
    assert socket.gethostname() == record.node


def test_old_images_go_unless_somebody_needs_them(place, queue, send, swept, tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    place = place_of(tmp_path, "[retention]\nimages = 10\n")
    send()
    judged(place, queue, Prints(place, says=MADE | {"image": "kit:x"}))
    engine, later = FakeEngine(["kit:x"], used=["id-kit:x"]), time.time() + 11 * DAY
    (number,) = [row["id"] for row in queue.rows("SELECT id FROM submission")]

    def found(shown=()):
        return [of for of in removals(place, queue, shown, later) if of.image]

    assert removals(place, queue, (), time.time() + 9 * DAY) == []
    assert found([number]) == [], "a board shows it"
    (removal,) = found()
    assert (removal.kind, removal.bytes) == ("image", 7)
    assert ["a container uses its image" in line for line in clean(place, queue, [removal], later, Builder(place, engine))] == [
        True
    ]
    assert "removed" not in [event["what"] for event in queue.events()], "nor does the trail say that it went"
    assert ["no Docker engine answers" in line for line in clean(place, queue, [removal], later)] == [True]
    queue.rescore(2, later)
    assert found() == [], "a job wants it"
    engine.used = set()
    assert clean(place, queue, [removal], later, Builder(place, engine)) == []
    assert engine.removed == [], "neither where the job came after the preview"
    queue.finish(queue.claim("w", later, 60), later, "OK", {})
    assert clean(place, queue, found(), later, Builder(place, engine)) == []
    assert (engine.removed, records(place.images)) == (["kit:x"], [])
    assert queue.events()[-1]["detail"]["image"] == "kit:x"
    queue.choose("foxes", [number], later)
    enter(place.images, NEEDS, json.loads((place.outbox / "foxes").glob("*receipt.json").__next__().read_text())["sha256"], 1.0)
    assert found() == [], "it was chosen"


def test_an_image_that_is_gone_already_is_no_fault(place, queue):
    enter(place.images, NEEDS, "a" * 64, 1.0, "kit:gone", 5)
    place_rules = place.rules.retention
    object.__setattr__(place_rules, "images", 1.0)
    (removal,) = removals(place, queue, (), time.time())
    assert clean(place, queue, [removal], time.time(), Builder(place, FakeEngine())) == []
    assert read(removal.paths[0]) is None
    assert cleaning.records(place.images) == []


def test_whose_fault_a_build_is():
    assert Outcome(verdict="RUNTIME_ERROR").theirs
    assert not Outcome(verdict="INFRASTRUCTURE").theirs
    assert not Outcome(image="x").theirs
    assert ImageRules().hidden() == ()
    assert ImageRules(index="https://pypi.in:8443/simple", base="b").hidden()[:3] == (
        "https://pypi.in:8443/simple",
        "pypi.in:8443",
        "pypi.in",
    )
