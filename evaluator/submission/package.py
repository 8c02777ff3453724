"""A submission as one file that can be sent: an archive that holds what travels, and a manifest with the digest of every file.

The archive is a zip file without compression, with names in order and one date for all of them, so that equal files give an equal
archive to the byte, whatever made it: compressors differ between libraries and versions. Inside lie

- ``submission.json``, the manifest of the package;
- ``aicrowd.json``, ``requirements.txt`` and ``apt.txt``, as far as they lie in the submission's folder or beside its file and do
  not travel by themselves;
- a folder of the submission's name with the files that travel (``travel``), and no others; or those of an answer (``answers``).

Whoever receives an archive believes nothing of it: names, sizes and digests are compared with the manifest while the files are
written, within the bounds of a submission (``tree``).
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from evaluator import __version__
from evaluator.bounded import BoundsError, Limits, parse_json, read_bytes
from evaluator.data.members import damaged, zip_list, zip_name
from evaluator.errors import ConfigurationError, SubmissionError
from evaluator.files import replaced
from evaluator.machine import LIBRARIES, versions
from evaluator.sandbox.scratch import scratch_folder
from evaluator.submission.answers import SOURCES, AnswerFiles
from evaluator.submission.environment import FILE as REQUIREMENTS
from evaluator.submission.manifest import manifest_file, read_manifest
from evaluator.submission.source import Submission, opened
from evaluator.submission.travel import MANIFEST, showable
from evaluator.submission.tree import MAX_BYTES, MAX_DEPTH, MAX_FILES, MAX_PATH_BYTES, MAX_SOURCE_BYTES
from evaluator.text import name as harmless
from evaluator.worker.loader import SubmissionNotFound, entry_name

FILE = "submission.json"
SCHEMA = 1
CODE, ANSWER = KINDS = ("code", "answer")
"""What a package holds."""
DATE = (1980, 1, 1, 0, 0, 0)
"""The date of every member, the earliest that a zip file can have."""
BESIDE = (MANIFEST, REQUIREMENTS, "apt.txt")
"""What describes a submission to a judge and does not decide what runs, by name."""
MAX_BESIDE = 64 * 1024
"""Bytes of each of them."""
REFUSED = frozenset({"metadata", "metadata.yaml", "metadata.yml"})
"""Names at the top of a submission that some platforms take for orders of their own: they run a command that stands in it."""
LIMITS = Limits(size=8 << 20, depth=6, values=60_000)
"""Of the manifest of a package."""
_KINDS_TEXT = {str: "a text", type(None): "null, for of an answer nothing runs"}
MAX_NAME_BYTES = 255
"""Of a name within a path: no common file system keeps longer names."""
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How members of an archive may be compressed; the other methods take as much memory as the archive says."""
MAX_LIST = LIMITS.size
"""Bytes of an archive's list of members. The manifest says more of each file than the list does."""
_CHUNK = 1 << 20
_OVERHEAD = 4 << 20
"""Bytes of an archive beside its files: the manifest, and a list of names."""


class PackageError(SubmissionError):
    """An archive is not what its manifest says, or breaks a bound. The message names the archive and the member."""


@dataclass(frozen=True, order=True)
class Member:
    """A file of a package. ``path``: with slashes, below the top of the archive; ``sha256``: of its bytes, in hexadecimal."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Package:
    """What the manifest of a package says.

    Attributes:
        kind: ``code``, or ``answer`` where the files are what code would have answered (``answers``).
        name: of the submission; ``track``: for which it is meant; ``digest``: by which results know it.
        entry: its main file, below the folder of its name; None for an answer, of which nothing runs.
        owner, challenge: of its ``aicrowd.json``; empty where that says nothing.
        kit, versions: of the machine that made the package: of the kit, of Python and of the libraries.
        files: every other file of the archive, by path.
    """

    kind: str
    name: str
    track: str
    digest: str
    entry: str | None
    owner: str
    challenge: str
    kit: str
    versions: dict[str, str]
    files: tuple[Member, ...]

    @property
    def bytes(self) -> int:
        """Of all files together."""
        return sum(member.bytes for member in self.files)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "schema": SCHEMA,
            "kind": self.kind,
            "name": self.name,
            "track": self.track,
            "digest": self.digest,
            "entry": self.entry,
            "owner": self.owner,
            "challenge": self.challenge,
            "kit": self.kit,
            "versions": dict(sorted(self.versions.items())),
            "files": [{"path": member.path, "bytes": member.bytes, "sha256": member.sha256} for member in self.files],
        }

    @classmethod
    def from_dict(cls, content: Any, name: str) -> Package:
        """Of what a manifest holds. ``name``: of the archive, for messages.

        Raises:
            PackageError: a key is missing, unknown or of another kind.
        """
        kinds: dict[str, type] = {
            **dict.fromkeys(("kind", "name", "track", "digest", "owner", "challenge", "kit"), str),
            "entry": type(None) if isinstance(content, dict) and content.get("kind") == ANSWER else str,
            "schema": int,
            "versions": dict,
            "files": list,
        }
        if not isinstance(content, dict) or set(content) != set(kinds):
            raise _broken(name, FILE, f"its keys are not those of a package ({', '.join(sorted(kinds))})")
        for key, kind in kinds.items():
            if type(content[key]) is not kind:
                raise _broken(name, FILE, f"{key} is not {_KINDS_TEXT.get(kind, f'of the kind {kind.__name__}')}")
        if content["kind"] not in KINDS:
            raise _broken(name, FILE, f"kind is {harmless(content['kind'])!r}; expected {' or '.join(KINDS)}")
        if content["schema"] != SCHEMA:
            raise _broken(name, FILE, f"it has schema {content['schema']}; this kit reads {SCHEMA}. Use the kit that made it")
        if not all(isinstance(value, str) for value in content["versions"].values()):
            raise _broken(name, FILE, "versions holds something that is no text")
        texts = [content[key] for key, kind in kinds.items() if kind is str]
        if not all(showable(text) and len(text) <= MAX_PATH_BYTES for text in (*texts, *content["versions"].values())):
            raise _broken(name, FILE, "a text in it is too long, or cannot be shown")
        members = tuple(_member(of, name) for of in content["files"])
        if len({member.path for member in members}) != len(members):
            raise _broken(name, FILE, "it names a file twice")
        rest = {key: content[key] for key in kinds if key not in ("schema", "files")}
        return cls(**rest, files=members)


@dataclass(frozen=True)
class Preview:
    """What would be packed. ``left``: what stays at home, by path, with the reason."""

    package: Package
    left: tuple[tuple[str, str], ...]


def preview(path: Path, track: str, answer: AnswerFiles | None = None) -> Preview:
    """What a package of the submission at ``path`` would hold; every file is read, nothing is written.

    Args:
        answer: the files of ``path``, if they are an answer (``Track.given``); None for code.

    Raises:
        SubmissionError: it cannot be read, or may not travel.
        ConfigurationError: its ``aicrowd.json`` is not good, or a file beside it is too large.
    """
    with _opened(path, answer) as submission:
        return _previewed(submission, track, _beside(path, answer is not None), answer)


def write_package(path: Path, track: str, archive: Path, answer: AnswerFiles | None = None) -> tuple[Preview, str]:
    """Write the package of the submission at ``path`` to the file ``archive``, whole or not at all.

    Args:
        answer: as of ``preview``.

    Returns:
        What was packed, and the SHA-256 of the archive in hexadecimal. Equal files and versions give equal archives.

    Raises:
        SubmissionError, ConfigurationError: as ``preview``; nothing is written.
        OSError: the archive cannot be written.
    """
    beside = _beside(path, answer is not None)
    with _opened(path, answer) as submission:
        shown = _previewed(submission, track, beside, answer)
        members = {member.path: member for member in shown.package.files}
        head = json.dumps(shown.package.as_dict(), indent=1, ensure_ascii=False).encode() + b"\n"
        if len(head) > LIMITS.size:
            raise SubmissionError(
                f"{path}: the list of its files has {len(head):,} bytes; at most {LIMITS.size:,} are read. Pack data into one file"
            )
        with replaced(archive, "wb") as raw, zipfile.ZipFile(raw, "w", zipfile.ZIP_STORED) as file:
            file.writestr(_info(FILE), head)
            for name, content in beside.items():
                file.writestr(_info(name), content)
            for item in submission.items:
                member = members[f"{submission.name}/{item.name}"]
                digest = hashlib.sha256()
                with file.open(_info(member.path, item.size), "w") as out:
                    for part in submission.tree.read(item):
                        digest.update(part)
                        out.write(part)
                if digest.hexdigest() != member.sha256:
                    raise SubmissionError(
                        f"{path}: {item.name} changed while it was packed. Run again, and change nothing meanwhile"
                    )
    return shown, file_digest(archive)


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def other_kind(kind: str, answer: bool) -> str:
    """Why what a package holds is not of the kind that its manifest names, in words; empty if it is."""
    if (kind == ANSWER) == answer:
        return ""
    seen = "an answer, and code lies in it, or nothing of the track's" if kind == ANSWER else "code, and an answer lies in it"
    return f"its kind is {seen}. Make the package anew with python -m evaluator package"


def is_package(path: Path) -> bool:
    """Whether a path names an archive, by its ending and kind; what it holds is not looked at."""
    return path.suffix.lower() == ".zip" and path.is_file()


@contextmanager
def unpacked(archive: Path) -> Iterator[tuple[Package, Path]]:
    """The manifest of an archive, and its submission as a folder that is removed at the end.

    Raises:
        PackageError: it is no package, not what its manifest says, or beyond a bound.
        OSError: it cannot be read, or there is no space.
    """
    with scratch_folder() as scratch:
        package = unpack(archive, scratch)
        yield package, scratch / package.name


def read_package(archive: Path) -> Package:
    """What the manifest of an archive says; the files are not looked at.

    Raises:
        PackageError: it is no package.
        OSError: it cannot be read.
    """
    try:
        _check_list(archive)
        with zipfile.ZipFile(archive) as file:
            return _manifest(archive.name, file)
    except Exception as error:
        if not damaged(error):
            raise
        raise _no_package(archive, error) from None


def unpack(archive: Path, folder: Path) -> Package:
    """Write the files of an archive below ``folder``, which exists, and hold each against the manifest.

    Raises:
        PackageError: as ``unpacked``. What was written until then lies in the folder, which the caller removes.
        OSError: the archive cannot be read, or a file cannot be written.
    """
    size = archive.stat().st_size
    if size > MAX_BYTES + _OVERHEAD + LIMITS.size:
        raise PackageError(
            f"{archive} has {size:,} bytes; a package has at most {MAX_BYTES:,} of files. Leave out what no run needs"
        )
    try:
        _check_list(archive)
        with zipfile.ZipFile(archive) as file:
            return _unpacked(archive.name, file, folder)
    except Exception as error:
        if not damaged(error):
            raise
        raise _no_package(archive, error) from None


def _check_list(archive: Path) -> None:
    """Refuse an archive whose list would fill the memory before its length can be seen."""
    count, size = zip_list(archive)
    if size > MAX_LIST:
        raise PackageError(
            f"{archive.name} lists {count:,} files in {size:,} bytes; a list may have {MAX_LIST:,} bytes. Pack data into one file"
        )


def _no_package(archive: Path, error: Exception) -> PackageError:
    if isinstance(error, BoundsError):
        return PackageError(f"{archive.name}: {error}")
    why = "it is no zip archive, or it is damaged"
    return PackageError(f"{archive}: {why}; a package was expected. Make one with python -m evaluator package PATH")


def _manifest(name: str, file: zipfile.ZipFile) -> Package:
    info = next((info for info in file.infolist() if info.filename == FILE), None)
    if info is None:
        raise PackageError(f"{name} holds no {FILE}, so it is no package. Make one with python -m evaluator package PATH")
    return Package.from_dict(parse_json(_read(file, info, LIMITS.size, name), f"{FILE} in {name}", LIMITS), name)


def _unpacked(name: str, file: zipfile.ZipFile, folder: Path) -> Package:
    infos = file.infolist()
    if len(infos) > MAX_FILES + len(BESIDE) + 1:
        raise PackageError(f"{name} holds {len(infos):,} files; a submission has at most {MAX_FILES:,}. Pack data into one file")
    named = {zip_name(info): info for info in infos}
    if len(named) != len(infos):
        raise PackageError(f"{name} names a file twice; every file once was expected. Make it anew")
    package = _manifest(name, file)
    _check_names(package, named, name)
    total = 0
    for member in package.files:
        total += member.bytes
        if total > MAX_BYTES:
            raise _broken(name, member.path, f"with it the submission has more than {MAX_BYTES:,} bytes")
        if member.path.endswith(".py") and member.bytes > MAX_SOURCE_BYTES:
            raise _broken(name, member.path, f"it has {member.bytes:,} bytes; a source may have {MAX_SOURCE_BYTES:,}")
        place = folder.joinpath(*member.path.split("/"))
        place.parent.mkdir(parents=True, exist_ok=True)
        _write(file, named[member.path], member, place, name)
    return package


def _check_names(package: Package, named: dict[str, zipfile.ZipInfo], archive: str) -> None:
    if len(PurePosixPath(package.name).parts) != 1 or package.name in ("", ".", "..") or package.name in BESIDE:
        raise _broken(archive, FILE, f"{package.name!r} is no name of a submission")
    held = {FILE, *(member.path for member in package.files)}
    for path in sorted(held ^ set(named)):
        raise _broken(archive, path, "it is in the archive and not in the manifest" if path in named else "it is missing")
    for member in package.files:
        parts = tuple(member.path.split("/"))
        inside = (len(parts) == 1 and member.path in BESIDE) or (len(parts) > 1 and parts[0] == package.name)
        if not inside or {"", ".", ".."} & set(parts) or "\\" in member.path or not showable(member.path):
            raise _broken(
                archive, member.path, f"it lies neither in {package.name}/ nor is it {', '.join(BESIDE[:-1])} or {BESIDE[-1]}"
            )
        if len(parts) > MAX_DEPTH + 1 or len(os.fsencode(member.path)) > MAX_PATH_BYTES + len(os.fsencode(package.name)) + 1:
            raise _broken(archive, member.path, "its path is too long or too deep")
        if any(len(os.fsencode(part)) > MAX_NAME_BYTES for part in parts):
            raise _broken(archive, member.path, f"a name in its path has more than {MAX_NAME_BYTES} bytes")
        for folder in ("/".join(parts[:n]) for n in range(1, len(parts))):
            if folder in held:
                raise _broken(archive, member.path, f"{harmless(folder, 200)} is a file as well as a folder")
        if len(parts) == 2 and parts[1].lower() in REFUSED:
            raise _broken(archive, member.path, "platforms take a file of that name for an order of their own. Rename it")
    if package.kind == ANSWER:
        for member in package.files:
            if member.path.lower().endswith(SOURCES):
                raise _broken(archive, member.path, "the manifest says that the package is an answer, and this is code")
        return
    top = {member.path.split("/")[1] for member in package.files if member.path.count("/") == 1}
    if package.entry is None or package.entry not in top:
        raise _broken(archive, package.entry or FILE, "the manifest names it as the main file, and it is not there")


def _write(file: zipfile.ZipFile, info: zipfile.ZipInfo, member: Member, place: Path, archive: str) -> None:
    digest, size = hashlib.sha256(), 0
    _check_plain(info, archive)
    with file.open(info) as stream, open(place, "xb") as out:
        while part := stream.read(min(_CHUNK, member.bytes - size + 1)):
            size += len(part)
            if size > member.bytes:
                break
            digest.update(part)
            out.write(part)
    if size != member.bytes or digest.hexdigest() != member.sha256:
        raise _broken(
            archive, member.path, "its bytes are not those that the manifest names; the archive was changed after it was made"
        )


def _read(file: zipfile.ZipFile, info: zipfile.ZipInfo, most: int, archive: str) -> bytes:
    _check_plain(info, archive)
    with file.open(info) as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise _broken(archive, info.filename, f"it has more than {most:,} bytes")
    return content


def _check_plain(info: zipfile.ZipInfo, archive: str) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.flag_bits & 1 or kind not in (0, stat.S_IFREG) or info.is_dir():
        raise _broken(archive, info.filename, "it is encrypted, a folder, a link or a device; plain files were expected")
    if info.compress_type not in METHODS:
        raise _broken(archive, info.filename, "it is compressed by another method than deflate; a package needs none")


def _member(content: Any, archive: str) -> Member:
    good = isinstance(content, dict) and set(content) == {"path", "bytes", "sha256"}
    if not good or type(content["path"]) is not str or type(content["sha256"]) is not str or type(content["bytes"]) is not int:
        raise _broken(archive, FILE, "files holds something that is no file with path, bytes and sha256")
    if content["bytes"] < 0:
        raise _broken(archive, FILE, "a file has fewer than 0 bytes")
    return Member(**content)


def _broken(archive: str, member: str, text: str) -> PackageError:
    return PackageError(
        f"{archive}: {harmless(member, 200)}: {text.rstrip('.')}. Make the package anew with python -m evaluator package"
    )


def _opened(path: Path, answer: AnswerFiles | None) -> AbstractContextManager[Submission]:
    return opened(path) if answer is None else answer.opened()


def _previewed(submission: Submission, track: str, beside: dict[str, bytes], answer: AnswerFiles | None) -> Preview:
    for item in submission.items:
        if len(item.place) == 1 and item.name.lower() in REFUSED:
            raise SubmissionError(
                f"{submission.path / item.name}: some platforms take a file of that name for an order of their own. Rename it"
            )
    described = read_manifest(submission.path)
    files = [Member(name, len(content), hashlib.sha256(content).hexdigest()) for name, content in beside.items()]
    for item in submission.items:
        digest = hashlib.sha256()
        for part in submission.tree.read(item):
            digest.update(part)
        files.append(Member(f"{submission.name}/{item.name}", item.size, digest.hexdigest()))
    package = Package(
        kind=CODE if answer is None else ANSWER,
        name=submission.name,
        track=track,
        digest=submission.digest(),
        entry=_entry(submission) if answer is None else None,
        owner="" if described is None else described.owner,
        challenge="" if described is None else described.challenge_id,
        kit=__version__,
        versions={name: version for name, version in versions().items() if name in ("python", *LIBRARIES)},
        files=tuple(files),
    )
    return Preview(package, tuple(sorted(submission.tree.left.items())) if answer is None else answer.left)


def _entry(submission: Submission) -> str:
    if not submission.path.is_dir():
        name = submission.path.name
        top = {item.name for item in submission.items if len(item.place) == 1}
        try:
            found = entry_name(top, submission.name, lambda: b"")
        except SubmissionNotFound:
            found = ""
        if found != name:  # as a folder it would begin elsewhere
            raise SubmissionError(
                f"{submission.path}: in a folder, {found or 'no file'} would be the main file, and not {name}. "
                "Make a folder with a run.py"
            )
        return name
    items = {item.name: item for item in submission.items if len(item.place) == 1}
    return entry_name(items, submission.name, lambda: submission.tree.content(items["__init__.py"]))


def _beside(path: Path, answer: bool) -> dict[str, bytes]:
    """The files that describe a submission and do not travel with it, by name, in the order of ``BESIDE``; an answer needs no
    packages, so it has its manifest alone."""
    path = path.expanduser().absolute()
    found: dict[str, bytes] = {}
    for name in BESIDE[:1] if answer else BESIDE:
        own = None if path.is_dir() else path.parent / name  # of a folder it lies inside, and travels
        place = manifest_file(path) if name == MANIFEST else own
        if place is None or not place.is_file() or place.is_symlink():
            continue
        try:
            found[name] = read_bytes(place, MAX_BESIDE)
        except OSError as error:
            raise ConfigurationError(f"{place} cannot be read ({error.strerror}); mend it or remove it") from None
    return found


def _info(name: str, size: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, DATE)
    info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_STORED, 3, (stat.S_IFREG | 0o644) << 16
    info.file_size = size
    return info
