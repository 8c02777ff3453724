"""Reads the tags of a stranger's git repository, and runs nothing of it.

What is in a repository is fetched into an empty one of ours and read object by object (``ls-tree``, ``cat-file``). Nothing is
checked out, so no filter, no ``export-subst`` and no end of line of a ``.gitattributes`` applies, no hook runs, and what is
judged is what was committed, to the byte. Submodules, links out of the submission, and pointers of git LFS are refused by name.

git runs with a configuration of ours alone, without a terminal, under limits of time, processor time, memory and bytes of a file,
and speaks ``file``, ``ssh`` and ``https`` only. A repository on this machine is served by ``git upload-pack``, which is made for
repositories that are not trusted; what another repository lends to it (alternates) is refused.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from evaluator.errors import ConfigurationError, KitError
from evaluator.submission.submit import PREFIX, without_credentials
from evaluator.submission.travel import MANIFEST, showable
from evaluator.submission.tree import MAX_BYTES, MAX_DEPTH, MAX_FILES, MAX_PATH_BYTES
from evaluator.text import name as harmless
from evaluator.text import one_line

FOLDER = "my_submission"
"""Where the submission lies in a copy of the kit."""
SECONDS = 120.0
"""Largest duration of a command of git."""
FETCHED = 512 << 20
"""Bytes of what is fetched for one tag."""
LISTED = 16 << 20
"""Bytes of a list of files or tags."""
MEMORY = 4 << 30
"""Bytes of address space of git."""
MOST_TAGS = 1_000
"""Tags of a repository that are looked at."""
_TAG = re.compile(rf"refs/tags/({PREFIX}[A-Za-z0-9][A-Za-z0-9._-]{{0,60}})")
_OBJECT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_ADDRESS = re.compile(
    r"/[A-Za-z0-9._/+@=-]+|file:///[A-Za-z0-9._/+@=-]+"
    r"|(?:ssh|https)://(?:[A-Za-z0-9._-]+@)?[A-Za-z0-9.-]+(?::[0-9]{1,5})?/[A-Za-z0-9._/~+@=-]+"
)
_PARTICIPANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@+-]{0,99}")
_LFS = b"version https://git-lfs.github.com/spec/"


class RepositoryError(KitError):
    """A repository or a tag of it cannot be judged, and its owner can mend that."""


class Unreached(Exception):
    """git failed, by whatever fault: the network, the address, a limit, or what is in the repository."""


@dataclass(frozen=True)
class Tag:
    """A tag. ``commit``: the hash that it leads to."""

    name: str
    commit: str


@dataclass(frozen=True)
class Entry:
    """A file of a commit. ``path``: below the folder that was listed; ``size``: in bytes."""

    mode: str
    kind: str
    object: str
    size: int
    path: str


def check_participant(name: str, allowed: Sequence[str]) -> None:
    """Check a name of the table ``[git]``.

    Raises:
        ConfigurationError: it cannot be the folder of a participant, or is none of ``allowed`` (empty: all are).
    """
    if not _PARTICIPANT.fullmatch(name) or name.endswith((" ", ".")):
        raise ConfigurationError(f"git: {name[:80]!r} is no name of a participant; expected that of a folder of the inbox")
    if allowed and name not in allowed:
        raise ConfigurationError(f"git: {name} is none of the participants. Add the name there, or take it out here")


def check_address(participant: str, address: str) -> None:
    """Check an address of the table ``[git]``.

    Raises:
        ConfigurationError: it is none that this kit fetches from, or holds a password.
    """
    if not _ADDRESS.fullmatch(address) or "/-" in address or "/../" in f"{address}/":
        raise ConfigurationError(
            f"git: {participant} is {without_credentials(address)[:200]!r}; expected /absolute/path, ssh://user@host/path or "
            "https://host/path, without a password"
        )


def tags(address: str) -> list[Tag]:
    """The tags ``submission-...`` of a repository, by name.

    Raises:
        RepositoryError: there are too many, or the repository borrows from another.
        Unreached: git failed.
    """
    _check_own(address)
    with _configured(address) as git:
        listed = git(["ls-remote", "--tags", "--", address, f"{PREFIX}*"], LISTED).decode("ascii", "replace")
    found: dict[str, str] = {}
    for line in listed.splitlines():
        commit, _, reference = line.partition("\t")
        match = _TAG.fullmatch(reference.removesuffix("^{}"))  # of a tag with a message, the commit stands in a line of its own
        if match is not None and _OBJECT.fullmatch(commit):
            found[match[1]] = commit
    if len(found) > MOST_TAGS:
        raise RepositoryError(f"it has {len(found):,} tags {PREFIX}*; at most {MOST_TAGS:,} are looked at. Remove old tags")
    return [Tag(name, commit) for name, commit in sorted(found.items())]


def bring(address: str, tag: Tag, target: Path) -> Path:
    """Write the submission of a tag below the empty folder ``target``.

    It is the folder ``my_submission`` where there is one, else everything. ``aicrowd.json`` beside that folder comes along.

    Returns:
        The submission's folder.

    Raises:
        RepositoryError: its files cannot be judged; the message names the file.
        Unreached: git failed. OSError: a file cannot be written.
    """
    _check_own(address)
    with _configured(address) as git, tempfile.TemporaryDirectory(prefix="dck-git-") as scratch:
        bare = Path(scratch) / "fetched.git"
        git(["init", "--quiet", "--bare", "--template=", str(bare)], LISTED)
        reference = f"+refs/tags/{tag.name}:refs/judged/tag"
        options = ["--quiet", "--no-tags", "--depth=1", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-maintenance"]
        git(["-C", str(bare), "fetch", *options, "--", address, reference], FETCHED)
        commit = git(["-C", str(bare), "rev-parse", "--verify", "--quiet", "refs/judged/tag^{commit}"], LISTED).decode().strip()
        if commit != tag.commit:
            raise Unreached(f"{tag.name} was moved while it was fetched")
        top = {entry.path: entry for entry in _listed(git, bare, commit, recursive=False)}
        inner = top.get(FOLDER)
        whole = inner is None or inner.kind != "tree"
        folder = target / ("submission" if whole else FOLDER)
        wanted = [("", folder, _listed(git, bare, commit if whole else f"{commit}:{FOLDER}"))]
        if not whole and MANIFEST in top:
            wanted.append(("", target, [top[MANIFEST]]))
        for _, place, entries in wanted:
            _check(entries)
            _write(git, bare, entries, place)
    return folder


class _Git:
    """Runs git in an environment of its own."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment

    def start(self, words: Sequence[str], most: int, **streams: int | IO[bytes]) -> subprocess.Popen[bytes]:
        """A process under limits. ``most``: bytes of a file that it writes."""
        # 512 bytes are a block of POSIX; a shell that counts in 1,024 allows twice as much.
        limits = f"ulimit -f {most // 512 + 1}; ulimit -v {MEMORY // 1024}; ulimit -t {int(SECONDS)}; ulimit -c 0"
        command = ["/bin/sh", "-c", f'{limits}; exec git "$@"', "git", *words]
        return subprocess.Popen(command, env=self._environment, cwd="/", start_new_session=True, **streams)  # type: ignore[call-overload]

    def __call__(self, words: Sequence[str], most: int) -> bytes:
        """What a command prints, at most ``most`` bytes.

        Raises:
            Unreached: it failed, or took too long.
        """
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as log:
            process = self.start(words, most, stdin=subprocess.DEVNULL, stdout=out, stderr=log)
            try:
                status = process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                raise Unreached(f"git {_verb(words)} did not end within {SECONDS:g} s") from None
            finally:
                kill(process)
            if status:
                log.seek(0)
                lines = [line for line in log.read(64 * 1024).decode("utf-8", "replace").splitlines() if line.strip()]
                why = "; ".join(without_credentials(line) for line in lines[-3:]) or f"status {status}"
                raise Unreached(f"git {_verb(words)} failed: {one_line(why, 500)}")
            if out.seek(0, os.SEEK_END) > most:
                raise Unreached(f"git {_verb(words)} printed more than {most:,} bytes")
            out.seek(0)
            return out.read()


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process, and all that it started in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()


def _verb(words: Sequence[str]) -> str:
    return words[2] if words[0] == "-C" else words[0]


@contextmanager
def _configured(address: str) -> Iterator[_Git]:
    with tempfile.TemporaryDirectory(prefix="dck-git-") as home:
        local = _local(address)
        config = Path(home) / "config"
        config.write_text(_CONFIG + (f'[safe]\n\tdirectory = "{local}"\n' if local else ""))
        kept = {name: os.environ[name] for name in ("PATH", "SSH_AUTH_SOCK", "TMPDIR") if name in os.environ}
        yield _Git(
            kept
            | {
                "HOME": home,
                "LC_ALL": "C",
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_ATTR_NOSYSTEM": "1",
                "GIT_CONFIG_GLOBAL": str(config),
                "GIT_TERMINAL_PROMPT": "0",
                "GIT_ASKPASS": "true",
                "GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oConnectTimeout=20",
                "GIT_ALLOW_PROTOCOL": "file:ssh:https",
                "GIT_NO_LAZY_FETCH": "1",
                "GIT_OPTIONAL_LOCKS": "0",
                "GIT_LFS_SKIP_SMUDGE": "1",
            }
        )


_CONFIG = """[core]
\thooksPath = /dev/null
\tattributesFile = /dev/null
\tfsmonitor = false
\tbigFileThreshold = 16m
[transfer]
\tfsckObjects = true
\tunpackLimit = 1
[fetch]
\tunpackLimit = 1
\trecurseSubmodules = false
[submodule]
\trecurse = false
[credential]
\thelper =
[http]
\tfollowRedirects = false
[gc]
\tauto = 0
[maintenance]
\tauto = false
[pack]
\tthreads = 1
[protocol]
\tversion = 2
"""


def _local(address: str) -> str:
    path = address.removeprefix("file://")
    return path if path.startswith("/") else ""


def _check_own(address: str) -> None:
    local = _local(address)
    if not local:
        return
    for inner in ("objects", ".git/objects"):
        for lent in ("alternates", "http-alternates"):
            if os.path.lexists(os.path.join(local, inner, "info", lent)):
                raise RepositoryError(f"it borrows objects of another repository ({inner}/info/{lent}). Run git repack -a -d there")


def _listed(git: _Git, bare: Path, tree: str, *, recursive: bool = True) -> list[Entry]:
    try:
        raw = git(["-C", str(bare), "ls-tree", *(["-r"] if recursive else []), "-l", "-z", "--full-tree", tree], LISTED)
    except Unreached as error:  # what was fetched lies here: only its form can be at fault
        raise RepositoryError(
            f"its files cannot be listed within {LISTED:,} bytes and {SECONDS:g} s ({error}). Commit fewer"
        ) from None
    found = []
    for line in filter(None, raw.split(b"\0")):
        facts, _, path = line.partition(b"\t")
        mode, kind, name, size = facts.decode("ascii").split()
        found.append(Entry(mode, kind, name, int(size) if size.isdigit() else 0, os.fsdecode(path)))
    return found


def _check(entries: Sequence[Entry]) -> None:
    """Refuse what cannot be judged before anything is written."""
    if len(entries) > MAX_FILES:
        raise RepositoryError(f"its submission has {len(entries):,} files; at most {MAX_FILES:,} are allowed. Commit fewer")
    total = 0
    for entry in entries:
        total += entry.size
        shown = harmless(entry.path, 200)
        parts = entry.path.split("/")
        if not showable(entry.path) or {"", ".", ".."} & set(parts) or any(part.lower() == ".git" for part in parts):
            raise RepositoryError(f"{shown}: this is no name of a file that can be judged. Rename it")
        if len(parts) > MAX_DEPTH or len(os.fsencode(entry.path)) > MAX_PATH_BYTES:
            raise RepositoryError(f"{shown}: its path is too long or too deep. Move it up")
        if entry.kind == "commit":
            raise RepositoryError(f"{shown}: it is a submodule, which is not fetched. Commit its files themselves")
        if entry.kind != "blob" or entry.mode not in ("100644", "100755", "120000"):
            raise RepositoryError(f"{shown}: it is neither a file nor a link (mode {entry.mode}). Commit plain files")
        if total > MAX_BYTES:
            raise RepositoryError(f"{shown}: with it the submission has more than {MAX_BYTES:,} bytes. Commit less")
    if len({entry.path for entry in entries}) != len(entries):
        raise RepositoryError("its submission names a file twice. Commit it anew")


def _write(git: _Git, bare: Path, entries: Sequence[Entry], folder: Path) -> None:
    """Files first and links last: while files are written, there is no link that they could be written through."""
    folder.mkdir(exist_ok=True)
    process = git.start(
        ["-C", str(bare), "cat-file", "--batch"], LISTED, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    timer = threading.Timer(SECONDS, kill, [process])
    timer.start()
    try:
        for entry in sorted(entries, key=lambda entry: (entry.mode == "120000", entry.path)):
            path = folder / entry.path
            path.parent.mkdir(parents=True, exist_ok=True)
            if entry.mode == "120000":
                _link(process, entry, path)
                continue
            with open(path, "xb") as out:
                _copy(process, entry, out)
            path.chmod(0o644)
    except (BrokenPipeError, EOFError):
        raise Unreached("git cat-file ended before every file was read") from None
    finally:
        timer.cancel()
        kill(process)
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]


def _copy(process: subprocess.Popen[bytes], entry: Entry, out: IO[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{entry.object}\n".encode())
    process.stdin.flush()
    head = process.stdout.readline(200).split()
    if len(head) != 3 or head[1] != b"blob" or int(head[2]) != entry.size:
        raise EOFError
    left, first = entry.size, b""
    while left:
        part = process.stdout.read(min(left, 1 << 20))
        if not part:
            raise EOFError
        first = first or part[:200]
        out.write(part)
        left -= len(part)
    process.stdout.read(1)
    if entry.size < 1_024 and first.startswith(_LFS):
        shown = harmless(entry.path, 200)
        raise RepositoryError(f"{shown}: it is a pointer of git LFS, whose file is not fetched. Commit the file, or send a package")


def _link(process: subprocess.Popen[bytes], entry: Entry, path: Path) -> None:
    if entry.size > MAX_PATH_BYTES:
        raise RepositoryError(f"{harmless(entry.path, 200)}: its link has {entry.size:,} bytes. Copy the file instead")
    with tempfile.TemporaryFile() as target:
        _copy(process, entry, target)
        target.seek(0)
        text = target.read()
    if b"\0" in text or not text:
        raise RepositoryError(f"{harmless(entry.path, 200)}: its link leads nowhere. Copy the file instead")
    os.symlink(text, path)
