"""Whoever may write into one folder of an inbox keeps no judge from the packages of the others."""

import errno
import hashlib
import itertools
import json
import os
import shutil
import sqlite3
import time
import zipfile
from dataclasses import replace

import pytest

from evaluator.judging import inbox, work
from evaluator.judging.inbox import take_in, waiting
from evaluator.judging.loop import Judge
from evaluator.judging.place import Place
from evaluator.judging.queue import Queue
from evaluator.judging.work import Form
from evaluator.purchase.track import PURCHASE
from evaluator.submission.package import write_package

RUN = """from run import ZEWDPCBaseRun


class Mine(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset, budget):
        pass
"""


@pytest.fixture
def place(tmp_path):
    root = tmp_path / "judge"
    root.mkdir()
    (root / "judge.toml").write_text('name = "Labels"\nsandbox = "process"\n[resources]\ndisk = 0\n')
    (root / "public.toml").write_text('profile = "debug"\n')
    return Place.of(root)


@pytest.fixture
def queue(place):
    made = Queue(place.queue, place.rules.quota)
    yield made
    made.close()


@pytest.fixture
def send(place, tmp_path):
    """Put a package into an inbox; ``extra``: paths that are added to it, with an honest manifest."""

    def put(participant, extra=()):
        folder = tmp_path / "sources" / participant / "mine"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "run.py").write_text(f"{RUN}\n# {participant}\n")
        made = tmp_path / f"{participant}.zip"
        write_package(folder, "purchase", made)
        target = place.inbox / participant / "mine.zip"
        target.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(made) as old, zipfile.ZipFile(target, "w") as new:
            manifest = json.loads(old.read("submission.json"))
            manifest["files"] += [{"path": path, "bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()} for path in extra]
            for name in old.namelist():
                new.writestr(name, json.dumps(manifest) if name == "submission.json" else old.read(name))
            for path in extra:
                new.writestr(path, "x")
        os.utime(target, (time.time() - 60,) * 2)
        return target

    return put


@pytest.mark.parametrize(
    ("path", "said"),
    [("mine/" + "a" * 256, "more than 255 bytes"), ("mine/run.py/x", "a file as well as a folder"), ("mine/" + "ä" * 128, "255")],
    ids=["long", "file and folder", "long in bytes"],
)
def test_paths_that_no_disk_can_hold_are_refused_and_the_next_is_taken(place, queue, send, path, said):
    send("eve", [path])
    send("fox")
    first, second = take_in(place, queue, time.time)
    assert said in first.refused
    assert (second.participant, second.refused) == ("fox", "")


def test_a_file_that_cannot_be_read_waits_and_the_others_are_taken(place, queue, send, monkeypatch):
    bad = send("eve")
    send("fox")
    real = os.open

    def opens(path, *args, **kwargs):
        if str(path) == str(bad):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(inbox.os, "open", opens)
    eve, fox = take_in(place, queue, time.time)
    assert "Permission denied" in eve.stuck
    assert str(place.root) not in eve.stuck
    assert (fox.participant, fox.refused, fox.stuck) == ("fox", "", "")
    assert bad.exists()
    assert len(os.listdir(place.packages)) == 1, "no half copy stays"


def test_a_full_disk_is_a_matter_of_the_machine(place, queue, send, monkeypatch):
    send("eve")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(inbox, "_copied", full)
    with pytest.raises(OSError, match="No space"):
        list(take_in(place, queue, time.time))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_an_outbox_that_is_full_keeps_only_its_own_participant_waiting(place, queue, send, monkeypatch, number):
    """It may be a disk of its own, or have a quota."""
    bad = send("eve")
    send("fox")
    real = inbox.write_text

    def full(path, text):
        if path.parent.name == "eve":
            raise OSError(number, os.strerror(number))
        real(path, text)

    monkeypatch.setattr(inbox, "write_text", full)
    for _ in range(2):
        (eve,) = [of for of in list(take_in(place, queue, time.time)) if of.participant == "eve"]
        assert eve.stuck.startswith(f"its receipt cannot be written: {os.strerror(number)}. Make room in its outbox")
    assert waiting(place, time.time()) == [("eve", bad)]
    assert len(list((place.outbox / "fox").glob("*-receipt.json"))) == 1
    monkeypatch.undo()
    (eve,) = take_in(place, queue, time.time)
    assert (eve.participant, eve.refused, eve.stuck) == ("eve", "", "")
    assert queue.counts() == {"waiting": 2}, "and it counts once"


@pytest.mark.parametrize("ahead", [0.02, 1.0, 600.0])
def test_a_file_that_grows_on_a_server_whose_clock_is_ahead_is_not_taken_in_half(place, queue, send, ahead):
    path = send("eve")
    os.utime(path, (time.time() + ahead,) * 2)
    assert list(take_in(place, queue, time.time)) == []
    (taken,) = take_in(place, queue, lambda: time.time() + ahead + inbox.SETTLED)
    assert taken.refused == ""


def test_a_date_of_a_far_future_keeps_no_package_waiting(place, queue, send):
    path = send("eve")
    os.utime(path, (time.time() + 1e6,) * 2)
    (taken,) = take_in(place, queue, time.time)
    assert taken.refused == ""


def test_a_folder_that_the_judge_may_not_read_is_named_once_and_the_others_are_judged(place, queue, send, monkeypatch):
    send("eve")
    monkeypatch.setattr(inbox.os, "access", lambda path, rights: path.name != "eve")
    said = []
    judge = Judge(place, queue, Form("pair"), said.append, lambda: None)
    judge._take_in()
    send("fox")
    judge._take_in()
    assert [line for line in said if line.startswith("eve")] == [
        "eve: inbox: it waits: the judge may not read and change the folder. Give it the rights"
    ]
    assert any(line.startswith("fox") and "submission" in line for line in said)
    assert judge.failed
    assert waiting(place, time.time()) == []


def test_a_package_that_grows_while_it_is_copied_is_copied_as_it_was_measured(place, queue, send, monkeypatch):
    path = send("eve")
    size = path.stat().st_size
    real = inbox.replaced

    def grows(*args, **kwargs):
        with open(path, "ab") as file:
            file.write(b"x" * 100_000)
        return real(*args, **kwargs)

    monkeypatch.setattr(inbox, "replaced", grows)
    (taken,) = take_in(place, queue, time.time)
    assert taken.refused == ""
    (kept,) = place.packages.glob("*.zip")
    assert kept.stat().st_size == size


def test_names_that_are_no_text_keep_no_other_waiting(place, queue, send):
    path = send("eve")
    os.rename(path, os.fsencode(path.parent) + b"/x\xff.zip")
    os.mkdir(os.fsencode(place.inbox) + b"/owl\xff\x1b")
    send("fox")
    taken = list(take_in(place, queue, time.time))
    assert [(of.participant, of.refused) for of in taken if not of.stuck] == [("eve", ""), ("fox", "")]
    (owl,) = [of for of in taken if of.stuck]
    assert "Rename it" in owl.stuck
    assert owl.participant.isprintable()
    (receipt,) = (place.outbox / "eve").glob("*.json")
    assert json.loads(receipt.read_text())["accepted"]


def test_when_a_package_came_decides_and_its_sender_cannot_set_that_back(place, queue, send):
    path = send("fox")
    came = path.stat().st_ctime
    rules = {"late": came + 500, "early": came - 1}
    for name, deadline in rules.items():
        send(name)
        os.utime(place.inbox / name / "mine.zip", (came - 1e6, came - 1e6))
        judged = Place(place.root, replace(place.rules, deadline=deadline, participants=(name,)))
        rules[name] = next(iter(take_in(judged, queue, lambda: came + 1_000))).refused
    assert rules == {"late": "", "early": "it came after the deadline"}


def test_a_damaged_member_is_a_refusal_and_the_next_is_taken(place, queue, send):
    path = send("eve")
    plain = path.read_bytes()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(place.root / "deflated.zip", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with zipfile.ZipFile(place.root / "deflated.zip") as file:
        start = file.getinfo("submission.json").header_offset + 30 + len("submission.json")
    content = bytearray((place.root / "deflated.zip").read_bytes())
    content[start : start + 8] = b"\xff" * 8
    assert content != plain
    path.write_bytes(content)
    os.utime(path, (time.time() - 60,) * 2)
    send("fox")
    assert [(of.participant, bool(of.refused), of.stuck) for of in take_in(place, queue, time.time)] == [
        ("eve", True, ""),
        ("fox", False, ""),
    ]


def test_participants_take_turns_however_much_waits_and_whatever_its_dates(place, send, monkeypatch):
    first = send("eve")
    for number in range(30):
        (first.parent / f"{number}.zip").write_bytes(b"x")
        os.utime(first.parent / f"{number}.zip", (number, number))
    send("fox")
    order = [participant for participant, _ in waiting(place, time.time())]
    assert order.index("fox") == 1
    assert len(order) == 32
    assert waiting(place, time.time())[0][1].name == "0.zip", "of each the oldest comes first"
    monkeypatch.setattr(inbox, "LOOKED_AT", 5)
    assert [participant for participant, _ in waiting(place, time.time())].count("eve") == 5


def test_a_file_that_is_replaced_while_it_is_looked_at_waits_for_its_own_turn(place, queue, send, monkeypatch):
    path = send("eve")
    real = inbox.unpack

    def replaces(*args):
        (path.parent / ".new").write_bytes(b"another")
        os.replace(path.parent / ".new", path)
        return real(*args)

    monkeypatch.setattr(inbox, "unpack", replaces)
    (taken,) = take_in(place, queue, time.time)
    assert taken.refused == ""
    assert path.read_bytes() == b"another"
    monkeypatch.undo()
    os.utime(path, (time.time() - 60,) * 2)
    (again,) = take_in(place, queue, time.time)
    assert "no zip archive" in again.refused
    assert not path.exists()


def test_each_file_that_is_too_large_has_a_receipt_of_its_own(place, queue, send):
    small = Place(place.root, replace(place.rules, largest=10))
    folder = send("eve").parent
    (folder / "mine.zip").unlink()
    for name in ("too-large-1.zip", "too-large-2\x1b[2J.zip"):
        (folder / name).write_bytes(b"x" * 20)
        os.utime(folder / name, (time.time() - 60,) * 2)
    assert all("20 bytes" in of.refused for of in take_in(small, queue, time.time))
    receipts = sorted((place.outbox / "eve").iterdir())
    assert len(receipts) == 2
    assert all(path.name.isprintable() for path in receipts)
    assert [json.loads(path.read_text())["sha256"] for path in receipts] == ["", ""], "nothing of them was read"


def test_whatever_lies_in_the_inbox_what_runs_is_looked_at_in_time(place, queue, monkeypatch):
    """Each package takes 10 s; a job's lease is renewed between two looks, and nothing that waits is forgotten."""
    clock = iter(range(1_000_000, 2_000_000, 10))
    here = [0]

    def now():
        return float(here[0])

    def slow(*_):
        while left:
            here[0] = next(clock)
            yield inbox.Taken("eve", f"{left.pop()}.zip", 1, "")

    left = list(range(7))
    monkeypatch.setattr("evaluator.judging.loop.take_in", slow)
    monkeypatch.setattr("evaluator.judging.loop.POLL", 0)
    looks = []
    judge = Judge(place, queue, Form("pair"), lambda line: None, lambda: None, now)
    here[0] = next(clock)
    monkeypatch.setattr(judge, "_begin", lambda me: looks.append(now()) or "")
    assert judge.run(once=True)
    assert left == []
    assert len(looks) >= 3
    assert max(after - before for before, after in itertools.pairwise(looks)) <= 30


def poisoned(path, tag=b""):
    """Let an archive's end place its list a gigabyte too far, so that its members lie before the begin of the file."""
    raw = bytearray(path.read_bytes())
    end = raw.rfind(b"PK\x05\x06")
    raw[end + 16 : end + 20] = (int.from_bytes(raw[end + 16 : end + 20], "little") + 1_000_000_000).to_bytes(4, "little")
    raw[-2:] = len(tag).to_bytes(2, "little")
    path.write_bytes(raw + tag)
    os.utime(path, (time.time() - 60,) * 2)


def test_an_archive_with_impossible_places_is_refused_counted_and_leaves_the_inbox(place, queue, send):
    path = send("eve")
    poisoned(path)
    (eve,) = take_in(place, queue, time.time)
    assert "it is no zip archive, or it is damaged" in eve.refused
    assert not path.exists()
    assert queue.refused("eve", time.time()) == 1
    (receipt,) = (place.outbox / "eve").glob("*-receipt.json")
    assert not json.loads(receipt.read_text())["accepted"]


def test_what_is_stuck_leaves_no_copy_ends_a_look_in_time_and_comes_last_at_the_next(place, queue, send, monkeypatch):
    """Each package takes longer than a look may; what waits behind those that cannot be taken has its turn all the same."""
    for number in range(3):
        shutil.copy2(send("eve"), place.inbox / "eve" / f"{number}.zip")
    os.unlink(place.inbox / "eve" / "mine.zip")
    real = inbox.write_feedback

    def closed_outbox(place, participant, *rest):
        if participant == "eve":
            raise PermissionError(13, "Permission denied", "eve")
        return real(place, participant, *rest)

    monkeypatch.setattr(inbox, "unpack", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied", "submissions")))
    monkeypatch.setattr("evaluator.judging.loop.TAKING", 0)
    said = []
    judge = Judge(place, queue, Form("pair"), said.append, lambda: None)
    judge._take_in()
    assert len(said) == 1, "one package, and the look ends"
    assert judge._left
    assert list(place.packages.iterdir()) == list(place.submissions.iterdir()) == []
    monkeypatch.undo()
    monkeypatch.setattr("evaluator.judging.loop.TAKING", 0)
    monkeypatch.setattr(inbox, "write_feedback", closed_outbox)
    send("fox")
    judge._take_in()
    judge._take_in()
    judge._take_in()
    assert any(line.startswith("fox: mine.zip: submission") for line in said)


def test_of_what_is_refused_nothing_stays_unpacked(place, queue, send):
    path = send("eve", ["mine/zeros.bin"])
    with zipfile.ZipFile(path) as old:
        files = {name: old.read(name) for name in old.namelist()}
    zeros, list_of = bytes(4 << 20), b"no-such-package-of-this-name\n"
    manifest = json.loads(files["submission.json"])
    manifest["files"] = [of for of in manifest["files"] if of["path"] != "mine/zeros.bin"]
    for name, content in {"mine/zeros.bin": zeros, "mine/requirements.txt": list_of}.items():
        manifest["files"].append({"path": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()})
        files[name] = content
    files["submission.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in files.items():
            new.writestr(name, content)
    os.utime(path, (time.time() - 60,) * 2)
    send("fox")
    eve, fox = take_in(place, queue, time.time)
    assert "packages that this judge does not have" in eve.refused
    assert fox.refused == ""
    (kept,) = place.submissions.iterdir()
    assert (kept / "mine" / "run.py").read_text().endswith("# fox\n")


def test_a_package_that_was_accepted_is_not_spoilt_by_a_fault_when_it_comes_again(place, queue, send, monkeypatch):
    send("fox")
    (first,) = take_in(place, queue, time.time)
    (folder,) = place.submissions.iterdir()
    shutil.rmtree(folder)
    send("fox")
    monkeypatch.setattr(inbox, "examine", lambda *_, **__: 1 / 0)
    (again,) = take_in(place, queue, time.time)
    assert (again.submission, again.refused) == (first.submission, "")
    assert list(place.submissions.iterdir()) == []


FAULTS = [
    RecursionError("deep"),
    KeyError("x"),
    ZeroDivisionError(),
    MemoryError(),
    AssertionError("no"),
    OSError(22, "Invalid argument"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("where", ["unpack", "examine", "asked", "other_kind"])
def test_whatever_a_package_makes_the_kit_raise_it_is_refused_and_the_judge_goes_on(place, queue, send, monkeypatch, where, fault):
    real = getattr(inbox, where)

    def raises(*args, **named):
        if not done:
            done.append(1)
            raise fault
        return real(*args, **named)

    done = []
    monkeypatch.setattr(inbox, where, raises)
    path = send("eve")
    send("fox")
    eve, fox = take_in(place, queue, time.time)
    assert f"the judge met a fault of its own ({type(fault).__name__} in test_hostile_inbox.py" in eve.refused
    assert "may be without fault" in eve.refused
    assert (fox.participant, fox.refused) == ("fox", "")
    assert not path.exists()
    (receipt,) = (place.outbox / "eve").glob("*-receipt.json")
    assert "fault of its own" in json.loads(receipt.read_text())["reason"]
    assert len(list(place.submissions.iterdir())) == 1


def test_ctrl_c_goes_through_and_leaves_no_copy(place, queue, send, monkeypatch):
    path = send("eve")
    monkeypatch.setattr(inbox, "examine", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        list(take_in(place, queue, time.time))
    assert path.exists()
    assert list(place.packages.iterdir()) == list(place.submissions.iterdir()) == []


def test_a_queue_that_cannot_be_written_is_no_fault_of_a_package(place, queue, send, monkeypatch):
    send("eve")
    monkeypatch.setattr(queue, "receive", lambda *_, **__: (_ for _ in ()).throw(sqlite3.OperationalError("disk I/O error")))
    with pytest.raises(sqlite3.OperationalError):
        list(take_in(place, queue, time.time))


def test_a_job_that_the_kit_fails_on_is_our_fault_and_the_judge_goes_on(place, queue, send, monkeypatch):
    send("eve")
    list(take_in(place, queue, time.time))
    monkeypatch.setattr(work, "unpack_again", lambda *_: (_ for _ in ()).throw(RecursionError("deep")))
    job = queue.claim("me", time.time(), 100)
    done = work.work(place, queue, job, "pair")
    assert done.verdict == "INFRASTRUCTURE"
    assert "a fault of its own (RecursionError" in done.why
    assert queue.counts() == {"waiting": 1}
    monkeypatch.undo()
    job = queue.claim("me", time.time() + 1_000, 100)
    run = work.Run(place, queue, job, Form("pair"), time.time())
    monkeypatch.setattr(run, "_step", lambda now: (_ for _ in ()).throw(IndexError("x")))
    assert run.step(time.time()).verdict == "INFRASTRUCTURE"


def test_what_is_owed_of_one_job_keeps_no_judge_from_its_begin(place, queue, send, monkeypatch, capsys):
    send("eve")
    list(take_in(place, queue, time.time))
    job = queue.claim("me", time.time(), 100)
    queue.finish(job, time.time(), "OK", {})
    monkeypatch.setattr(work, "outcome_of", lambda *_: (_ for _ in ()).throw(IndexError("x")))
    assert work.tell_what_is_owed(place, queue, Form("pair")) == 1
    assert "is lost" in capsys.readouterr().err
    assert work.tell_what_is_owed(place, queue, Form("pair")) == 0


def test_a_board_that_cannot_be_made_ends_no_judge_and_is_said_once(place, queue):
    said = []
    judge = Judge(place, queue, Form("pair"), said.append, lambda: [][0])
    assert not judge.run(once=True)
    judge._write_board()
    assert [line for line in said if "board" in line] == [said[0]]
    assert said[0].startswith("the board was not written: the judge met a fault of its own (IndexError")


def test_a_receipt_tells_nothing_of_the_files_of_the_judges_machine(place, queue, send, tmp_path, monkeypatch):
    """Constants that look like paths, of which one is there: the answer to all of them is the same."""
    monkeypatch.setattr("evaluator.submission.validate.SYSTEM", ())
    there = tmp_path / "there.bin"
    there.write_text("x")
    folder = tmp_path / "paths" / "mine"
    folder.mkdir(parents=True)
    paths = [
        str(there),
        f"{tmp_path}/absent.bin",
        str(place.root / "judge.toml"),
        "/root/.bashrc",
        "~/.bashrc",
        "/opt/../etc/passwd",
    ]
    (folder / "run.py").write_text(f"{RUN}\nPATHS = {paths}\n")
    write_package(folder, "purchase", tmp_path / "paths.zip")
    (place.inbox / "eve").mkdir()
    shutil.copy(tmp_path / "paths.zip", place.inbox / "eve" / "mine.zip")
    os.utime(place.inbox / "eve" / "mine.zip", (time.time() - 60,) * 2)
    for track in (None, PURCHASE):
        (eve,) = take_in(place, queue, time.time, track)
        (receipt,) = (place.outbox / "eve").glob("*-receipt.json")
        assert (eve.refused, json.loads(receipt.read_text())["findings"]) == ("", [])
        shutil.copy(tmp_path / "paths.zip", place.inbox / "eve" / "mine.zip")
        os.utime(place.inbox / "eve" / "mine.zip", (time.time() - 60,) * 2)
