"""Packages are taken from the inbox into the queue: read once, checked whole, and kept under their digest.

A package that is not good is refused with the reason, and so is one that comes too late or too often. A judge that is killed while
it takes a package in finds it again: it leaves the inbox last, and the same package of the same participant is taken once.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from evaluator.errors import KitError
from evaluator.files import replaced, temporary_folder, write_bytes, write_text
from evaluator.judging import feedback
from evaluator.judging.final import FILE as CHOICE
from evaluator.judging.final import choose_by_file
from evaluator.judging.jobs import Sent
from evaluator.judging.place import Place
from evaluator.judging.queue import Queue
from evaluator.judging.requirements import LISTS, Asked, asked, installable
from evaluator.submission.package import ANSWER, CODE, Package, PackageError, file_digest, other_kind, read_package, unpack
from evaluator.submission.travel import showable
from evaluator.submission.validate import examine
from evaluator.text import name as harmless
from evaluator.text import one_line
from evaluator.track import Track

SECONDS = 20.0
"""Largest duration of parsing the sources of a submission."""
INCOMING = ".incoming-"
"""Begins the name of a package that is being copied."""
MOST = 1_000
"""Packages that are taken in at a time; the others wait."""
LOOKED_AT = 10_000
"""Names in the folder of a participant that are looked at; what lies beyond them waits until those are gone."""
OF_THE_MACHINE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What fails for all packages alike. Everything else is a matter of the one that is looked at, and the others go on."""
SETTLED = 2.0
"""Seconds for which a file must be left alone before it is taken in: it may be sent by a program that gives it its name at once."""
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Taken:
    """A file that left the inbox, or cannot leave it.

    Attributes:
        submission: the number of the package, 0 if it could not be kept, and for what is none; ``refused``: why, or empty.
        said: what else it was, in words.
        stuck: why the judge cannot take it, so that it stays; empty if it left. An organiser must mend it.
    """

    participant: str
    package: str
    submission: int
    refused: str
    said: str = ""
    stuck: str = ""


def closed(place: Place) -> Iterator[tuple[Path, str]]:
    """Folders of participants from which nothing is taken, and why."""
    for folder in _folders(place):
        if not showable(folder.name):
            yield folder, "the folder's name is no text that can be shown. Rename it"
        elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            yield folder, "the judge may not read and change the folder. Give it the rights"


def _folders(place: Place) -> list[Path]:
    return [
        folder
        for folder in sorted(place.inbox.iterdir())
        if not folder.is_symlink() and folder.is_dir() and not folder.name.startswith(".")
        if not place.rules.participants or folder.name in place.rules.participants
    ]


def waiting(place: Place, now: float) -> list[tuple[str, Path]]:
    """Participant and file of every package that waits. Hidden names are files that are still being sent.

    Participants take turns, each with its oldest first: whoever sends thousands, or sets back their dates, keeps nobody waiting.
    """
    found: list[tuple[int, float, str, Path]] = []
    shut = {folder for folder, _ in closed(place)}
    for folder in _folders(place):
        own = [] if folder in shut else sorted(_settled(folder, now))
        found += [(turn, came, folder.name, path) for turn, (came, path) in enumerate(own)]
    return [(participant, path) for _, _, participant, path in sorted(found)[:MOST]]


def _settled(folder: Path, now: float) -> Iterator[tuple[float, Path]]:
    """When it was changed last, and the path, of every file that has been left alone."""
    with os.scandir(folder) as entries:
        for entry in itertools.islice(entries, LOOKED_AT):
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # another judge was faster, or its sender took it back
                continue
            if not entry.name.startswith(".") and stat.S_ISREG(status.st_mode) and not 0 <= now - status.st_mtime < SETTLED:
                yield status.st_mtime, Path(entry.path)


def take_in(place: Place, queue: Queue, now: Callable[[], float], track: Track | None = None) -> Iterator[Taken]:
    """Take every package that waits into the queue, and write a receipt for each into the outbox.

    What cannot be read, removed or answered, because of rights or of what lies in its place, stays and is named (``stuck``): who
    may write into a single folder must not be able to keep the packages of all others waiting.

    Args:
        track: that is judged; None takes code only.

    Raises:
        OSError: this machine fails, e.g. no space is left; what was not taken in waits.
    """
    for folder, why in closed(place):
        yield Taken(harmless(folder.name), "inbox", 0, "", stuck=why)
    for participant, path in waiting(place, now()):
        try:
            yield taken(place, queue, participant, path, now(), track)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not path.exists():
                continue  # another judge was faster
            if error.errno in OF_THE_MACHINE:
                raise
            where = harmless(Path(str(error.filename or path)).name)
            yield Taken(
                participant, harmless(path.name), 0, "", stuck=f"{where}: {error.strerror}. Give the judge the rights, or remove it"
            )


def taken(place: Place, queue: Queue, participant: str, path: Path, now: float, track: Track | None = None) -> Taken:
    """Take a single file in, and remove it. ``track``: as of ``take_in``.

    Raises:
        FileNotFoundError: it is gone. OSError: this machine fails; the file stays.
    """
    seen = path.lstat()
    if path.name == CHOICE:
        return _chosen(place, queue, participant, path, now)
    if queue.refused(participant, now) >= queue.quota.refused:
        return _not_kept(place, queue, participant, path, now)
    # When it came decides, and not when a judge found the time, or the room, to look: a sender can set back every date but this.
    came = min(now, seen.st_ctime)
    kept, digest, refused = _kept(place, path)
    package: Package | None = None
    findings: list[str] = []
    if not refused:
        try:
            package = unpacked_once(place, kept, digest)
        except PackageError as error:
            refused = one_line(str(error).replace(str(kept), path.name).replace(kept.name, path.name), 1_000)
    if package is not None and package.track != place.rules.track:
        refused = f"it is made for the track {harmless(package.track)}; here {place.rules.track} is judged. Pack it with --track"
    elif package is not None:
        folder, image = place.submissions / digest / package.name, place.rules.requirements == "image"
        found = (
            examine(folder, package.track, SECONDS, image=image) if track is None else track.examined(folder, SECONDS, image=image)
        )
        findings = [finding.line for finding in found.found]
        answer = package.kind == ANSWER
        wanted = Asked() if answer else installable(folder) if image else asked(place.submissions / digest, package.name)
        findings += wanted.notes
        refused = wanted.refused
        if answer and not place.rules.answers:
            refused = "it is an answer, and this round judges code. Send code, or ask the organiser"
        elif found.errors:
            refused = f"it is not fit to submit: {one_line(found.errors[0].line, 1_000)}"
        elif not refused:
            refused = other_kind(package.kind, track is not None and track.source(folder).answer)
    sent = Sent(
        sha256=digest,
        participant=participant,
        name=harmless(package.name if package else path.stem),
        track=package.track if package else "",
        digest=package.digest if package else "",
        received=came,
    )
    number, refused = queue.receive(sent, place.rules.version, refused=refused, deadline=place.rules.deadline)
    told = feedback.receipt(harmless(path.name, 300), digest if kept != path else "", came, refused, findings, number)
    write_feedback(place, participant, f"{digest[:16]}-receipt", told)
    _remove(path, seen)
    return Taken(participant, harmless(path.name), number, refused)


def _not_kept(place: Place, queue: Queue, participant: str, path: Path, now: float) -> Taken:
    """Whoever sends without end fills neither disk nor queue: there is one receipt, which is written again."""
    why = f"{queue.quota.refused} packages were refused today, so no more are looked at; a new day begins at 0:00 UTC"
    seen = path.lstat()
    write_feedback(place, participant, "too-many-receipt", feedback.receipt(harmless(path.name, 300), "", now, why, []))
    _remove(path, seen)
    return Taken(participant, harmless(path.name), 0, why)


def _chosen(place: Place, queue: Queue, participant: str, path: Path, now: float) -> Taken:
    seen = path.lstat()
    numbers, refused = choose_by_file(place, queue, participant, path, now)
    write_feedback(place, participant, "choice", feedback.choice(numbers, now, refused))
    _remove(path, seen)
    said = f"chosen for the private part: {', '.join(map(str, numbers)) or 'none'}"
    return Taken(participant, harmless(path.name), 0, refused, said)


def _remove(path: Path, seen: os.stat_result) -> None:
    """Remove a file that was taken, unless its sender has put another in its place, or changed it: that waits for its own turn."""
    with contextlib.suppress(FileNotFoundError):
        now = path.lstat()
        if (now.st_dev, now.st_ino, now.st_ctime_ns) == (seen.st_dev, seen.st_ino, seen.st_ctime_ns):
            path.unlink()


def _kept(place: Place, path: Path) -> tuple[Path, str, str]:
    """A copy of a package that nobody else can change, its digest, and why it is not kept, or empty.

    Of a file that is too large nothing is read: its path is returned, and a digest of its name and size in the place of its own.
    """
    size = path.lstat().st_size
    if size > place.rules.largest:
        why = f"it has {size:,} bytes; a package may have {place.rules.largest:,}. Leave out what no run needs"
        return path, hashlib.sha256(os.fsencode(f"{path.name}, {size}")).hexdigest(), why
    copy = place.packages / f"{INCOMING}{secrets.token_hex(8)}.zip"
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        # Its sender may change it meanwhile: what was measured is copied, and no more.
        with open(descriptor, "rb") as file, replaced(copy, "wb", permissions=0o600) as out:
            for start in range(0, size, _CHUNK):
                out.write(file.read(min(_CHUNK, size - start)))
        digest = file_digest(copy)
        kept = place.packages / f"{digest}.zip"
        os.replace(copy, kept)
    finally:
        copy.unlink(missing_ok=True)
    return kept, digest, ""


def unpacked_once(place: Place, archive: Path, digest: str) -> Package:
    """The manifest of a package, whose files then lie in ``submissions/<digest>``, whole.

    Raises:
        PackageError: it is not what its manifest says.
    """
    folder = place.submissions / digest
    if not folder.is_dir():
        with temporary_folder(place.submissions, digest) as fresh:
            unpack(archive, fresh)
            try:
                os.rename(fresh, folder)
            except OSError:
                if not folder.is_dir():  # another judge was faster
                    raise
    package = read_package(archive)
    if place.rules.requirements == "image" and package.kind == CODE:
        _bring_lists(folder, package.name)
    return package


def _bring_lists(folder: Path, name: str) -> None:
    """Copy the lists that lie beside a submission of one file into its folder: with images they decide how it runs, so they belong
    to what results know it by."""
    for list_name in LISTS:
        beside, inside = folder / list_name, folder / name / list_name
        if beside.is_file() and not inside.exists():
            write_bytes(inside, beside.read_bytes())


def write_feedback(place: Place, participant: str, name: str, content: dict) -> None:
    """Write what goes back to a participant, whole or not at all."""
    folder = place.outbox / participant
    folder.mkdir(exist_ok=True)
    write_text(folder / f"{name}.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def unpack_again(place: Place, digest: str) -> Path:
    """The folder of a submission that was taken in before; unpacked anew where it is gone.

    Raises:
        KitError: the package is gone, or not what it was.
    """
    archive = place.packages / f"{digest}.zip"
    if not archive.is_file() or file_digest(archive) != digest:
        raise KitError(f"{archive}: the package is gone, or not what it was; restore it from a backup")
    return place.submissions / digest / unpacked_once(place, archive, digest).name
