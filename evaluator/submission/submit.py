"""How a submission is sent: as a tag of git to a challenge's remote, or as a package into the inbox of a judge.

Every way is a list of steps that are known before the first is done, so ``--dry-run`` shows exactly what would happen. Nothing is
added to a repository but one tag; nothing is sent that is not committed; and an address is shown without what stands before its @
when that holds a password or a token.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from evaluator.errors import ConfigurationError
from evaluator.submission.manifest import manifest_file, read_manifest
from evaluator.submission.source import opened
from evaluator.submission.travel import MANIFEST, secret
from evaluator.text import as_command, one_line, without_logins
from evaluator.text import name as harmless

REMOTE = "aicrowd"
"""Name of the remote that AIcrowd's own documents use."""
PREFIX = "submission-"
"""Tags that begin with it start a judgement at AIcrowd."""
MAX_FILE = 100 << 20
"""Bytes of a committed file that servers of git commonly refuse without LFS."""
SECONDS = 600.0
"""Largest duration of one command."""
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")
_SSH = re.compile(r"ssh://(?P<host>(?:[A-Za-z0-9._-]+@)?[A-Za-z0-9.-]+(?::(?P<port>[0-9]{1,5}))?)(?P<path>/[A-Za-z0-9._/~+-]*)")
_NEW_HOST = re.compile(r"Warning: Permanently added .* to the list of known hosts")
"""What ssh says of a host that it meets for the first time, whatever comes of it."""


@dataclass(frozen=True)
class Target:
    """Where a submission goes.

    Attributes:
        kind: ``git`` (a tag, pushed to ``place``, the name of a remote), ``folder`` (a package, copied to ``place``), or ``ssh`` (a
            package, copied to the folder ``place`` on ``host``).
    """

    kind: str
    place: str
    host: str = ""
    port: str = ""


@dataclass(frozen=True)
class Step:
    """One thing that is done. ``said``: in words or as a command; ``do``: does it and returns what it printed.

    ``undo`` takes it back where a later step fails; nothing where there is nothing to take back.
    """

    said: str
    do: Callable[[], str]
    undo: Callable[[], None] | None = None


def target_of(text: str) -> Target:
    """The place that a text names: ``git`` or ``git:REMOTE``, ``ssh://user@host/folder``, or the path of a folder.

    Raises:
        ConfigurationError: it is none of them.
    """
    if text == "git" or text.startswith("git:"):
        remote = text.partition(":")[2] or REMOTE
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}", remote):
            raise ConfigurationError(
                f"--to {without_credentials(text)}: expected git:REMOTE with the name of a remote, e.g. git:{REMOTE}"
            )
        return Target("git", remote)
    if text.startswith("ssh:"):
        found = _SSH.fullmatch(text)
        if found is None or ".." in found["path"]:
            raise ConfigurationError(
                f"--to {without_credentials(text)}: expected ssh://user@host/folder, the folder "
                "absolute and of letters, digits and ._/~+-"
            )
        host = found["host"].rpartition(":")[0] if found["port"] else found["host"]
        return Target("ssh", found["path"], host, found["port"] or "")
    if "://" in text:
        raise ConfigurationError(f"--to {without_credentials(text)}: this kit sends to git, ssh:// or a folder. Name one of them")
    return Target("folder", str(Path(text).expanduser().absolute()))


def named_target(path: Path) -> str:
    """Where the manifest of the submission at ``path`` says that it goes (``submit_to``); empty where it says nothing.

    Raises:
        ConfigurationError: the manifest is not good.
    """
    found = read_manifest(path)
    return "" if found is None else found.submit_to


def without_credentials(text: str) -> str:
    """A text in which addresses have no user, password or token, in one line that is harmless to show."""
    return one_line(without_logins(text), 500)


def perform(steps: list[Step], said: Callable[[str], None]) -> None:
    """Do the steps in order. Where one fails, those before it are taken back in reverse order.

    Raises:
        ConfigurationError: a step failed; the message holds what it said.
    """
    done: list[Step] = []
    for step in steps:
        said(step.said)
        try:
            step.do()
        except (ConfigurationError, OSError) as error:
            for earlier in reversed(done):
                if earlier.undo is not None:
                    said(f"taken back: {earlier.said}")
                    earlier.undo()
            if isinstance(error, OSError):
                raise ConfigurationError(f"{step.said}: {error.strerror or error}. Nothing was sent") from None
            raise
        done.append(step)


# -- a tag of git


def git_steps(path: Path, target: Target, version: str = "") -> list[Step]:
    """The steps of a submission as a tag.

    Args:
        version: of the tag ``submission-VERSION``; empty for the next number (v1, v2, ...).

    Raises:
        ConfigurationError: no repository, no such remote, something that is not committed, a committed secret, or a tag that is
            there already. Nothing was changed.
    """
    if shutil.which("git") is None:
        raise ConfigurationError("--to git: there is no command git here. Install git, or send a package to a folder or by ssh")
    root = Path(_git(path if path.is_dir() else path.parent, "rev-parse", "--show-toplevel"))
    remotes = _git(root, "remote").split()
    if target.place not in remotes:
        known = f"; there are {', '.join(remotes)}" if remotes else ""
        advice = f"Add it: {as_command('git', 'remote', 'add', target.place, 'ADDRESS')}, or name another by --to git:REMOTE"
        raise ConfigurationError(f"--to git:{target.place}: the repository {root} has no remote of that name{known}. {advice}")
    _check_committed(root, path)
    tags = {*_git(root, "tag", "--list", f"{PREFIX}*").split()}
    there = _git(root, "ls-remote", "--tags", "--refs", target.place, f"{PREFIX}*")
    tags |= {line.rpartition("refs/tags/")[2] for line in there.splitlines()}
    if version and not _VERSION.fullmatch(version):
        raise ConfigurationError(f"--version is {version!r}; expected letters, digits and ._- such as v0.3")
    tag = PREFIX + (version or _next(tags))
    if tag in tags:
        raise ConfigurationError(f"--version: the tag {tag} is there already, here or at {target.place}. Choose another")
    head = _git(root, "rev-parse", "--short", "HEAD")
    address = without_credentials(_git(root, "remote", "get-url", target.place))
    message = f"submission of {harmless(path.resolve().name)}"
    return [
        Step(
            as_command("git", "tag", "-a", tag, "-m", message, head),
            lambda: _git(root, "tag", "-a", tag, "-m", message, "HEAD"),
            lambda: void(_git(root, "tag", "-d", tag)),
        ),
        Step(
            f"{as_command('git', 'push', target.place, f'refs/tags/{tag}')}    # to {address}",
            lambda: _git(root, "push", target.place, f"refs/tags/{tag}"),
        ),
    ]


def void(_: object) -> None:
    """Nothing of a value."""


def _check_committed(root: Path, path: Path) -> None:
    """Everything that travels, and the manifest, stands in the last commit as it is on disk; and no secret does."""
    if not _git_says(root, "rev-parse", "--verify", "--quiet", "HEAD"):
        raise ConfigurationError(f"{root}: the repository has no commit yet. Commit the submission: git add FILES, git commit")
    listed = _git(root, "ls-tree", "-r", "-l", "-z", "HEAD").split("\0")
    committed: dict[str, str] = {}
    for line in filter(None, listed):
        facts, _, name = line.partition("\t")
        committed[name] = facts.split()[3]
    leaked = sorted(name for name in committed if any(map(secret, name.split("/"))))
    if leaked:
        shown = ", ".join(harmless(name, 200) for name in leaked[:5])
        raise ConfigurationError(
            f"{root}: {shown} {'is' if len(leaked) == 1 else 'are'} committed, and secret by name; a push sends it to all who "
            "read the repository. Take it out of the history (git rm --cached, git filter-repo), and change the secret"
        )
    large = sorted(name for name, size in committed.items() if size.isdigit() and int(size) > MAX_FILE)
    if large:
        raise ConfigurationError(
            f"{harmless(large[0], 200)} has more than {MAX_FILE:,} bytes; servers refuse such a file. Use git LFS"
        )
    base = path.resolve() if path.is_dir() else path.resolve().parent
    with opened(path) as submission:
        needed = [base.joinpath(*item.real).relative_to(root.resolve()).as_posix() for item in submission.items]
    manifest = manifest_file(path)
    if manifest is None:
        raise ConfigurationError(
            f"{path}: there is no {MANIFEST} in it or beside it; a challenge knows by it whose submission it is. Write it"
        )
    needed.append(manifest.resolve().relative_to(root.resolve()).as_posix())
    changed = {name for name in _git(root, "diff", "--name-only", "-z", "HEAD", "--").split("\0") if name}
    lacking = sorted(name for name in set(needed) if name not in committed or name in changed)
    if lacking:
        shown = ", ".join(harmless(name, 200) for name in lacking[:5]) + (
            f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
        )
        advice = "git add " + " ".join(shlex.quote(name) for name in lacking[:5]) + " && git commit"
        raise ConfigurationError(
            f"not committed as it is here: {shown}; what is not committed is not sent. Commit it: {one_line(advice)}"
        )


def _next(tags: set[str]) -> str:
    numbers = [int(found[1]) for tag in tags if (found := re.fullmatch(rf"{PREFIX}v([0-9]{{1,9}})", tag))]
    return f"v{max(numbers, default=0) + 1}"


def _git(folder: Path, *words: str) -> str:
    """What a command of git prints.

    Raises:
        ConfigurationError: it failed; the message has what it said, without credentials.
    """
    return _run(["git", "-C", str(folder), "-c", "core.quotepath=off", *words], "git " + " ".join(words[:2]))


def _git_says(folder: Path, *words: str) -> bool:
    try:
        _git(folder, *words)
    except ConfigurationError:
        return False
    return True


# -- a package into an inbox


def inbox_name(name: str, digest: str) -> str:
    """The name of a package in an inbox: that of the submission, and the beginning of the archive's SHA-256."""
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', name)[:60].lstrip('.') or 'submission'}-{digest[:16]}.zip"


def folder_steps(archive: Path, name: str, digest: str, target: Target) -> list[Step]:
    """The steps of a package into a folder: it gets its name when it is whole.

    Raises:
        ConfigurationError: there is no such folder, or it cannot be written, or the package is there already.
    """
    folder = Path(target.place)
    if not folder.is_dir():
        raise ConfigurationError(f"--to {folder}: there is no such folder. The organiser of a judge says where its inbox is")
    if not os.access(folder, os.W_OK):
        raise ConfigurationError(f"--to {folder}: you may not write there. Ask the organiser")
    place = folder / inbox_name(name, digest)
    if place.exists():
        raise ConfigurationError(f"{place}: the same package was sent already. Change the submission, or wait for its result")

    def send() -> str:
        from evaluator.files import replaced

        with replaced(place, "wb") as out, open(archive, "rb") as file:
            shutil.copyfileobj(file, out)
        return ""

    return [Step(f"copy the package to {place}", send)]


def ssh_steps(archive: Path, name: str, digest: str, target: Target) -> list[Step]:
    """The steps of a package to another machine by rsync or scp: under a hidden name first, which then is changed."""
    rsync = shutil.which("rsync")
    if rsync is None and shutil.which("scp") is None:
        raise ConfigurationError("--to ssh: neither rsync nor scp is installed here. Install one, or send to a folder")
    final = inbox_name(name, digest)
    hidden = f".{final}.part"
    folder = target.place.rstrip("/")
    port = [] if not target.port else ["-p", target.port]
    remote = f"{target.host}:{folder}/{hidden}"
    if rsync:
        shell = " ".join(["ssh", *port])
        copy = ["rsync", "--partial", "--checksum", "-e", shell, str(archive), remote]
    else:
        copy = ["scp", "-q", *(["-P", target.port] if target.port else []), str(archive), remote]
    move = ["ssh", *port, target.host, f"mv -n {shlex.quote(f'{folder}/{hidden}')} {shlex.quote(f'{folder}/{final}')}"]
    return [Step(shlex.join(command), partial(_run, command, command[0])) for command in (copy, move)]


def _run(command: list[str], called: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise ConfigurationError(f"{called} did not end within {SECONDS:g} s. Look at the connection, and run it again") from None
    except OSError as error:
        raise ConfigurationError(f"{called} could not be started ({error.strerror})") from None
    if done.returncode:
        lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip() and not _NEW_HOST.match(line)]
        why = "; ".join(without_credentials(line) for line in lines[-6:])
        # rsync loses what the other side says where that ends first.
        why = why or f"status {done.returncode}, and it said nothing. Look whether the folder is there and you may write into it"
        raise ConfigurationError(f"{called} failed: {why}")
    return done.stdout.decode(errors="replace").strip("\n")
