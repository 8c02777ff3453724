"""Tags of real repositories are taken in once; of a hostile repository nothing runs, and everything is bounded."""

import json
import os
import shutil
import sqlite3
import subprocess
import time
import zipfile
from pathlib import Path

import pytest

from evaluator.errors import ConfigurationError
from evaluator.judging import repositories, tags
from evaluator.judging.place import Place
from evaluator.judging.queue import Queue
from evaluator.judging.repositories import RepositoryError, Tag, Unreached, bring
from evaluator.judging.tags import Watch, watch

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")
RUN = b"""from run import ZEWDPCBaseRun


class Mine(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset, budget):
        pass
"""
ENVIRONMENT = {
    **{"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"},
    **{f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "a"), ("EMAIL", "a@b"))},
}


def git(folder: Path, *words: str, given: bytes = b"") -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], input=given, capture_output=True, check=True, env=ENVIRONMENT)
    return done.stdout.decode().strip()


class Repository:
    """A bare repository whose trees are written object by object, so that they may hold anything."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        git(path, "init", "--quiet", "--bare")

    def blob(self, content: bytes) -> str:
        return git(self.path, "hash-object", "-w", "--stdin", given=content)

    def tree(self, entries: dict[str, tuple[str, str]]) -> str:
        """``entries``: mode and object by name."""
        kinds = {"040000": "tree", "160000": "commit"}
        lines = [f"{mode} {kinds.get(mode, 'blob')} {name}\t{path}\0" for path, (mode, name) in entries.items()]
        return git(self.path, "mktree", "--missing", "-z", given="".join(lines).encode())

    def tag(self, name: str, files: dict[str, tuple[str, str]], beside: dict[str, tuple[str, str]] | None = None) -> Tag:
        """Commit a submission and tag it; ``beside``: files beside its folder, where it has a folder of its own."""
        tree = self.tree(files)
        if beside is not None:
            tree = self.tree({"my_submission": ("040000", tree), **beside})
        commit = git(self.path, "commit-tree", tree, "-m", "x")
        git(self.path, "update-ref", f"refs/tags/{name}", commit)
        return Tag(name, commit)

    def files(self, **more: bytes) -> dict[str, tuple[str, str]]:
        return {"run.py": ("100644", self.blob(RUN))} | {name: ("100644", self.blob(text)) for name, text in more.items()}


@pytest.fixture
def theirs(tmp_path):
    """The repository of the participant foxes."""
    return Repository(tmp_path / "foxes.git")


@pytest.fixture
def place(tmp_path, theirs):
    """A judge's folder that looks at it."""
    root = tmp_path / "judge"
    root.mkdir()
    text = f'name = "x"\nsandbox = "process"\n[quota]\na-day = 2\n[resources]\ndisk = 0\n[git]\nfoxes = "{theirs.path}"\n'
    (root / "judge.toml").write_text(text)
    (root / "public.toml").write_text("")
    made = Place.of(root)
    made.tags.mkdir()
    return made


@pytest.fixture
def queue(place):
    made = Queue(place.queue, place.rules.quota)
    yield made
    made.close()


@pytest.fixture
def look(place, queue):
    """Look at the repositories; what was taken in, and what was said."""
    said: list[str] = []
    watching = Watch(place, queue, said.append)

    def once():
        said.clear()
        return list(watching.look(time.time)), list(said)

    return once


def receipts(place) -> dict[str, dict]:
    return {path.name: json.loads(path.read_text()) for path in (place.outbox / "foxes").glob("*.json")}


def test_a_tag_is_taken_in_as_a_package_once(theirs, place, queue, look):
    theirs.tag("submission-v1", theirs.files(data=b"1,2\r\n"))
    theirs.tag("other-v1", theirs.files(data=b"no submission"))
    (taken,), said = look()
    assert (taken.participant, taken.package, taken.submission, taken.refused) == ("foxes", "submission-v1.zip", 1, "")
    assert said == []
    (package,) = place.packages.iterdir()
    with zipfile.ZipFile(package) as archive:
        assert archive.read("submission/data") == b"1,2\r\n"
    assert look() == ([], []), "once"
    assert queue.counts() == {"waiting": 1}
    (receipt,) = receipts(place).values()
    assert receipt["accepted"]
    assert "tag taken" in [event["what"] for event in queue.events()]


def test_a_copy_of_the_kit_is_sent_by_its_folder(theirs, place, look):
    beside = {"aicrowd.json": ("100644", theirs.blob(b'{"team": "foxes"}')), "run.py": ("100644", theirs.blob(b"raise SystemExit"))}
    theirs.tag("submission-v1", theirs.files(), beside)
    look()
    (package,) = place.packages.iterdir()
    with zipfile.ZipFile(package) as archive:
        assert sorted(archive.namelist()) == ["aicrowd.json", "my_submission/run.py", "submission.json"]


def test_a_tag_that_is_moved_is_not_judged_again_and_that_is_said_once(theirs, place, queue, look):
    theirs.tag("submission-v1", theirs.files())
    look()
    moved = theirs.tag("submission-v1", theirs.files(more=b"better"))
    (taken,), _ = look()
    assert "a tag is judged once" in taken.refused
    assert look() == ([], [])
    assert queue.counts() == {"waiting": 1}
    assert moved.commit[:12] in receipts(place)["submission-v1-moved.json"]["reason"]
    theirs.tag("submission-v1", theirs.files(more=b"better still"))
    assert len(look()[0]) == 1, "another move is another thing to say"


def test_a_tag_with_a_message_is_its_commit(theirs, look, queue):
    tag = theirs.tag("submission-v1", theirs.files())
    git(theirs.path, "tag", "-f", "-a", "-m", "submission of mine", "submission-v1", tag.commit)
    look()
    git(theirs.path, "tag", "-f", "-a", "-m", "another message", "submission-v1", tag.commit)
    assert look() == ([], []), "the same commit is no move"
    assert queue.rows("SELECT object FROM tag")[0]["object"] == tag.commit


def test_the_quota_counts_tags_as_packages(theirs, look):
    for number in range(3):
        theirs.tag(f"submission-v{number}", theirs.files(more=b"x" * number))
    refused = [taken.refused for taken in look()[0]]
    assert [bool(why) for why in refused] == [False, False, True]
    assert "2 a day are allowed" in refused[2]


def test_attributes_change_no_byte_and_hide_no_file(theirs, place, look):
    attributes = b"* text eol=crlf\n* export-subst filter=evil\nsecret.dat export-ignore\n"
    files = theirs.files(**{"form.dat": b"$Format:%H$\n", "secret.dat": b"kept"})
    files[".gitattributes"] = ("100644", theirs.blob(attributes))
    theirs.tag("submission-v1", files)
    git(theirs.path, "config", "filter.evil.smudge", "touch /tmp/evil")
    look()
    (package,) = place.packages.iterdir()
    with zipfile.ZipFile(package) as archive:
        assert archive.read("submission/form.dat") == b"$Format:%H$\n"
        assert archive.read("submission/run.py") == RUN
        assert "submission/secret.dat" in archive.namelist()


def test_nothing_of_a_repository_runs(theirs, tmp_path, look):
    """Hooks, helpers and commands that a configuration can name, in the participant's own repository."""
    mark = tmp_path / "ran"
    tag = theirs.tag("submission-v1", theirs.files())
    names = ("post-checkout", "pre-receive", "update", "post-update", "reference-transaction", "fsmonitor-watchman")
    for hook in names:
        path = theirs.path / "hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\ntouch {mark}\n")
        path.chmod(0o755)
    for key in (
        *("uploadpack.packObjectsHook", "core.sshCommand", "core.fsmonitor", "core.alternateRefsCommand", "core.gitProxy"),
        *("core.pager", "core.editor", "credential.helper", "diff.external", "gpg.program", "transfer.credentialsInUrl"),
    ):
        git(theirs.path, "config", key, f"touch {mark}; true")
    (taken,), _ = look()
    assert taken.refused == ""
    assert not mark.exists()
    git(theirs.path, "update-ref", "refs/tags/other", tag.commit)
    assert mark.exists(), "whoever works in that repository runs its hooks"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (("160000", "1" * 40), "it is a submodule"),
        (("120000", b"/etc/passwd"), "leads out of the submission"),
        (("120000", b"../../../../../etc/passwd"), "leads out of the submission"),
        (("120000", b"nowhere"), "leads to nothing"),
        (("120000", b"x" * 5000), "its link has 5,000 bytes"),
        (("100644", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n"), "a pointer of git LFS"),
    ],
    ids=["submodule", "absolute link", "link out", "link to nothing", "long link", "LFS"],
)
def test_what_cannot_be_judged_is_refused_by_name(theirs, place, queue, look, entry, said):
    mode, content = entry
    name = content if isinstance(content, str) else theirs.blob(content)
    theirs.tag("submission-v1", theirs.files() | {"odd": (mode, name)})
    (taken,), _ = look()
    assert said in taken.refused
    assert "odd" in taken.refused
    assert str(place.root) not in json.dumps(receipts(place))
    assert look() == ([], []), "it is not fetched again and again"
    assert queue.counts() == {}
    assert "tag refused" in [event["what"] for event in queue.events()]


def test_a_link_within_the_submission_is_followed(theirs, place, look):
    theirs.tag("submission-v1", theirs.files(real=b"1") | {"link": ("120000", theirs.blob(b"real"))})
    assert look()[0][0].refused == ""
    (package,) = place.packages.iterdir()
    with zipfile.ZipFile(package) as archive:
        assert archive.read("submission/link") == b"1"


@pytest.mark.parametrize("name", ["..", ".git", ".GIT", ".", "a\nb", "\x1b[31m"])
def test_a_name_that_leads_elsewhere_is_refused(theirs, tmp_path, name):
    """git's own check refuses some while they are fetched; the rest is refused before anything is written."""
    inner = theirs.tree({"evil.py": ("100644", theirs.blob(b"x"))}) if name in ("..", ".git", ".GIT", ".") else ""
    entry = ("040000", inner) if inner else ("100644", theirs.blob(b"x"))
    raw = b"".join(
        f"{mode.lstrip('0')} {path}".encode() + b"\0" + bytes.fromhex(of)
        for path, (mode, of) in sorted({**theirs.files(), name: entry}.items())
    )
    tree = git(theirs.path, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", given=raw)
    commit = git(theirs.path, "commit-tree", tree, "-m", "x")
    git(theirs.path, "update-ref", "refs/tags/submission-v1", commit)
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises((RepositoryError, Unreached)):
        bring(str(theirs.path), Tag("submission-v1", commit), target)
    assert list(tmp_path.rglob("evil.py")) == []


def test_sizes_and_numbers_are_bounded_before_anything_is_written(theirs, tmp_path, monkeypatch):
    target = tmp_path / "target"
    tag = theirs.tag("submission-v1", theirs.files(big=b"x" * 3_000))
    monkeypatch.setattr(repositories, "MAX_BYTES", 2_000)
    with pytest.raises(RepositoryError, match="more than 2,000 bytes"):
        bring(str(theirs.path), tag, target)
    monkeypatch.setattr(repositories, "MAX_BYTES", 10_000)
    monkeypatch.setattr(repositories, "MAX_FILES", 1)
    with pytest.raises(RepositoryError, match="2 files; at most 1"):
        bring(str(theirs.path), tag, target)
    assert not target.exists()


def test_a_fetch_is_bounded(theirs, tmp_path, monkeypatch):
    tag = theirs.tag("submission-v1", theirs.files(big=os.urandom(400_000)))
    monkeypatch.setattr(repositories, "FETCHED", 100_000)
    with pytest.raises(Unreached, match="git fetch failed"):
        bring(str(theirs.path), tag, tmp_path / "target")


def test_a_tree_that_holds_itself_many_times_ends(theirs, tmp_path, monkeypatch):
    """A bomb: ten levels of ten equal folders are ten thousand million files in a handful of objects."""
    tree = theirs.tree({"run.py": ("100644", theirs.blob(RUN))})
    for _ in range(10):
        tree = theirs.tree({f"d{n}": ("040000", tree) for n in range(10)})
    commit = git(theirs.path, "commit-tree", tree, "-m", "x")
    git(theirs.path, "update-ref", "refs/tags/submission-v1", commit)
    monkeypatch.setattr(repositories, "LISTED", 1 << 20)
    start = time.monotonic()
    with pytest.raises(RepositoryError, match="cannot be listed"):
        bring(str(theirs.path), Tag("submission-v1", commit), tmp_path / "target")
    assert time.monotonic() - start < 60


def test_a_repository_that_borrows_from_another_is_refused(theirs, look, tmp_path):
    theirs.tag("submission-v1", theirs.files())
    (theirs.path / "objects" / "info").mkdir(exist_ok=True)
    (theirs.path / "objects" / "info" / "alternates").write_text(str(tmp_path / "rival.git" / "objects") + "\n")
    taken, said = look()
    assert taken == []
    assert "borrows objects of another repository" in said[0]


def test_what_cannot_be_reached_is_said_once_and_others_go_on(place, queue, theirs, tmp_path):
    rules = (place.root / "judge.toml").read_text()
    (place.root / "judge.toml").write_text(rules + f'owls = "{tmp_path}/nothing.git"\n')
    theirs.tag("submission-v1", theirs.files())
    said: list[str] = []
    watching = Watch(Place.of(place.root), queue, said.append)
    assert len(list(watching.look())) == 1
    assert list(watching.look()) == []
    assert len(said) == 1
    assert "repository of owls: git ls-remote failed" in said[0]
    Repository(tmp_path / "nothing.git")
    list(watching.look())
    assert said[1].endswith("it can be read again")


def test_a_tag_that_cannot_be_fetched_is_given_up(theirs, place, look, monkeypatch):
    theirs.tag("submission-v1", theirs.files())
    monkeypatch.setattr(tags, "bring", lambda *_: (_ for _ in ()).throw(Unreached("the line is cut")))
    assert [look()[0] for _ in range(2)] == [[], []]
    (taken,), _ = look()
    assert "could not be fetched: the line is cut" in taken.refused
    assert look() == ([], [])


def test_tags_are_looked_at_again_when_a_queue_can_be_written_again(theirs, place, queue, monkeypatch):
    theirs.tag("submission-v1", theirs.files())
    said: list[str] = []
    slept: list[float] = []
    other = sqlite3.connect(place.queue, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    queue.wait_at_most(0.01)

    def sleep(seconds: float) -> None:
        if seconds != tags.EVERY:  # of another who waits
            return
        slept.append(seconds)
        if len(slept) == 2:
            other.execute("ROLLBACK")
        elif queue.counts():
            raise KeyboardInterrupt

    monkeypatch.setattr(tags.time, "sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        watch(place, queue, said.append)
    assert ["another process keeps the queue locked" in line for line in said] == [True, False]
    assert queue.counts() == {"waiting": 1}
    other.close()


def test_one_judge_looks_at_a_time_and_a_full_disk_begins_nothing(theirs, place, queue):
    theirs.tag("submission-v1", theirs.files())
    said: list[str] = []
    object.__setattr__(place.rules.resources, "disk", 900_000.0)
    watch(place, queue, said.append, once=True)
    assert (said, queue.counts()) == ([], {})
    object.__setattr__(place.rules.resources, "disk", 0.0)
    watch(place, queue, said.append, once=True)
    assert queue.counts() == {"waiting": 1}


@pytest.mark.parametrize(
    "address",
    [
        *(
            "ext::sh -c touch% /tmp/x",
            "-oProxyCommand=x",
            "ssh://-oProxyCommand=x/y",
            "http://host/x",
            "git://host/x",
            "relative/path",
        ),
        *("https://user:password@host/x", "/a/../b", "ssh://host/-x", "/a b", "file://host/x", "/x\n"),
    ],
)
def test_an_address_that_could_run_something_is_refused(address):
    with pytest.raises(ConfigurationError, match="without a password") as raised:
        repositories.check_address("foxes", address)
    assert "password@" not in str(raised.value)


@pytest.mark.parametrize("address", ["/srv/git/foxes.git", "ssh://git@host:22/x/y.git", "https://host/x.git", "file:///srv/x.git"])
def test_addresses(address):
    repositories.check_address("foxes", address)


@pytest.mark.parametrize("name", ["../x", ".hidden", "a/b", "", "-x"])
def test_a_participant_is_a_folder(name):
    with pytest.raises(ConfigurationError, match="no name of a participant"):
        repositories.check_participant(name, ())
