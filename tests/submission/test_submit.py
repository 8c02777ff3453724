"""What is sent is what is committed, every step is known before the first, and no token is ever shown."""

import json
import os
import stat
import subprocess
import zipfile
from pathlib import Path

import pytest

from evaluator.cli.main import main
from evaluator.errors import ConfigurationError
from evaluator.submission.submit import Step, inbox_name, perform, target_of, without_credentials

RUN = """from run import ZEWDPCBaseRun


class Mine(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset, budget):
        pass
"""
HOOK = """#!/bin/sh
# A challenge's server: takes tags of submissions, and nothing else; says so with the address that it was reached by.
while read old new ref; do
  case "$ref" in
    refs/tags/submission-bad*) echo "no quota left for https://fox:ghp_secrettoken@host/x"; exit 1;;
    refs/tags/submission-*) git cat-file -e "$new^{tree}:aicrowd.json" || exit 1; echo "$ref" >> received;;
    *) echo "only tags"; exit 1;;
  esac
done
"""


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=Fox", "-c", "user.email=fox@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", "-C", str(folder), *who, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A participant's repository with a remote of a challenge, whose hook takes tags of submissions only."""
    for name, value in {
        "GIT_AUTHOR_NAME": "Fox",
        "GIT_AUTHOR_EMAIL": "f@x",
        "GIT_COMMITTER_NAME": "Fox",
        "GIT_COMMITTER_EMAIL": "f@x",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    here, there = tmp_path / "mine", tmp_path / "challenge.git"
    (here / "sub").mkdir(parents=True)
    there.mkdir()
    git(there, "init", "-q", "--bare")
    hook = there / "hooks" / "pre-receive"
    hook.write_text(HOOK)
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)
    git(here, "init", "-q")
    (here / "sub" / "run.py").write_text(RUN)
    (here / "aicrowd.json").write_text(json.dumps({"authors": ["fox"], "challenge_id": "labels"}))
    (here / "notes").write_text("not committed")
    git(here, "add", "sub/run.py", "aicrowd.json")
    git(here, "commit", "-qm", "first")
    git(here, "remote", "add", "aicrowd", f"file://{there}")
    return here, there


def received(there: Path) -> list[str]:
    return (there / "received").read_text().splitlines() if (there / "received").exists() else []


def test_a_tag_of_what_is_committed_reaches_the_challenge(repository, capsys):
    here, there = repository
    before = git(here, "status", "--porcelain")
    assert main(["submit", str(here / "sub"), "--to", "git", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "would do: git tag -a submission-v1" in shown
    assert "git push aicrowd refs/tags/submission-v1" in shown
    assert (received(there), git(here, "tag")) == ([], "")
    assert main(["submit", str(here / "sub"), "--to", "git"]) == 0
    assert main(["submit", str(here / "sub"), "--to", "git"]) == 0
    assert received(there) == ["refs/tags/submission-v1", "refs/tags/submission-v2"]
    assert git(there, "show", "submission-v1:sub/run.py") == RUN.strip()
    assert git(here, "status", "--porcelain") == before, "nothing was added or committed"


def test_the_number_follows_the_tags_of_both_sides(repository):
    here, there = repository
    git(here, "tag", "submission-v7")
    git(here, "push", "-q", "aicrowd", "submission-v7")
    git(here, "tag", "-d", "submission-v7")
    git(here, "tag", "submission-v3")
    assert main(["submit", str(here / "sub"), "--to", "git"]) == 0
    assert received(there)[-1] == "refs/tags/submission-v8"


def test_a_tag_that_the_challenge_refuses_is_taken_back_and_no_token_is_shown(repository, capsys):
    here, there = repository
    assert main(["submit", str(here / "sub"), "--to", "git", "--version", "bad1"]) == 2
    shown = capsys.readouterr()
    assert "no quota left for https://host/x" in " ".join((shown.out + shown.err).split())
    assert "ghp_secrettoken" not in shown.out + shown.err
    assert (received(there), git(here, "tag")) == ([], "")


def changed(here: Path) -> None:
    (here / "sub" / "run.py").write_text(RUN + "# more\n")


def untracked(here: Path) -> None:
    (here / "sub" / "more.py").write_text("x = 1\n")


def staged(here: Path) -> None:
    untracked(here)
    git(here, "add", "sub/more.py")


def secret(here: Path) -> None:
    (here / "deploy.pem").write_text("key")
    git(here, "add", "deploy.pem")
    git(here, "commit", "-qm", "oops")


def without_manifest(here: Path) -> None:
    git(here, "rm", "-q", "aicrowd.json")
    git(here, "commit", "-qm", "gone")


def tagged(here: Path) -> None:
    git(here, "tag", "submission-v0.3")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (changed, "not committed as it is here: sub/run.py"),
        (untracked, "git add sub/more.py && git commit"),
        (staged, "not committed as it is here: sub/more.py"),
        (secret, "deploy.pem is committed, and secret by name"),
        (without_manifest, "there is no aicrowd.json"),
        (tagged, "submission-v0.3 is there already"),
        (lambda here: git(here, "remote", "rename", "aicrowd", "origin"), "has no remote of that name; there are origin"),
    ],
)
def test_what_would_not_arrive_as_it_is_here_is_refused(repository, capsys, spoil, said):
    here, there = repository
    spoil(here)
    assert main(["submit", str(here / "sub"), "--to", "git", "--version", "v0.3"]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert received(there) == []


def test_a_folder_that_is_no_repository_is_refused(tmp_path, capsys):
    (tmp_path / "run.py").write_text(RUN)
    assert main(["submit", str(tmp_path / "run.py"), "--to", "git"]) == 2
    assert "not a git repository" in " ".join(capsys.readouterr().err.split())


# -- a judge's inbox


def test_a_package_reaches_the_inbox_that_the_manifest_names(repository, tmp_path, capsys):
    here, _ = repository
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (here / "aicrowd.json").write_text(json.dumps({"authors": ["fox"], "submit_to": str(inbox)}))
    assert main(["submit", str(here / "sub"), "--dry-run"]) == 0
    assert list(inbox.iterdir()) == []
    assert main(["submit", str(here / "sub")]) == 0
    (sent,) = inbox.iterdir()
    with zipfile.ZipFile(sent) as file:
        assert file.testzip() is None
        assert json.loads(file.read("submission.json"))["owner"] == "fox"
    assert main(["submit", str(here / "sub")]) == 2
    assert "sent already" in capsys.readouterr().err
    assert main(["submit", str(sent), "--to", str(tmp_path)]) == 0, "a package is sent as it is"
    assert (tmp_path / sent.name).read_bytes() == sent.read_bytes()


def test_by_ssh_it_has_a_hidden_name_until_it_is_whole(repository, tmp_path, monkeypatch, capsys):
    here, _ = repository
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    programs = tmp_path / "bin"
    programs.mkdir()
    log = tmp_path / "log"
    # The other machine is this one: the address is cut off, and what ssh is told to run is run here.
    for name, body in {
        "rsync": 'for last; do :; done; for file; do test "$file" != "$last" && from=$file; done; cp "$from" "${last#*:}"',
        "ssh": 'for last; do :; done; sh -c "$last"',
    }.items():
        (programs / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {log}\n{body}\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    assert main(["submit", str(here / "sub"), "--to", f"ssh://fox@judge.example:2222{inbox}"]) == 0
    (sent,) = inbox.iterdir()
    assert not sent.name.startswith(".")
    lines = log.read_text().splitlines()
    assert lines[0].startswith("rsync --partial --checksum -e ssh -p 2222")
    assert lines[1].startswith("ssh -p 2222 fox@judge.example mv -n")


@pytest.mark.parametrize(
    ("text", "kind"),
    [("git", "git"), ("git:origin", "git"), ("inbox", "folder"), ("/srv/inbox", "folder"), ("ssh://fox@host/srv/in", "ssh")],
)
def test_places_are_told_apart(text, kind):
    assert target_of(text).kind == kind


@pytest.mark.parametrize(
    "text",
    [
        "git:-x",
        "git:a b",
        "https://fox:token@host/x",
        "ssh://host",
        "ssh://host/a;rm",
        "ssh://-oProxyCommand=x/a/..",
        "ssh://h/../x",
    ],
)
def test_a_place_that_is_none_is_refused_without_showing_a_token(text):
    with pytest.raises(ConfigurationError) as caught:
        target_of(text)
    assert "token" not in str(caught.value)


def test_an_address_shows_no_credentials():
    assert without_credentials("To https://fox:ghp_abc@host/x.git") == "To https://host/x.git"
    assert without_credentials("https://fox:a@b@host/x@1") == "https://host/x@1", "a password may hold the sign"


@pytest.mark.parametrize("name", ["mine", ".hidden", "a/b c", "ü" * 80])
def test_names_in_an_inbox_are_plain(name):
    made = inbox_name(name, "0123456789abcdef0123")
    assert made.endswith("-0123456789abcdef.zip")
    assert made.isascii()
    assert "/" not in made
    assert not made.startswith(".")


def test_where_a_step_fails_those_before_it_are_taken_back_in_reverse_order():
    told: list[str] = []

    def fail() -> str:
        raise OSError(28, "No space left on device")

    steps = [Step(name, lambda: "", lambda name=name: told.append(name)) for name in ("a", "b")]
    with pytest.raises(ConfigurationError, match="c: No space left on device"):
        perform([*steps, Step("c", fail)], lambda text: None)
    assert told == ["b", "a"]
