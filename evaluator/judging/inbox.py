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
import sqlite3
import stat
import traceback
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
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
from evaluator.text import one_line, say
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
AHEAD = 3600.0
"""Seconds that the clock of a file server may be ahead of the judge's: a file of that future counts as just written."""
_CHUNK = 1 << 20


class UnansweredError(OSError):
    """Nothing can be written into the outbox of a participant, which may be a disk, or have a quota, of its own."""


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
    with contextlib.suppress(OSError), os.scandir(folder) as entries:  # closed since it was looked at: the next look says so
        for entry in itertools.islice(entries, LOOKED_AT):
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:  # another judge was faster, or its sender took it back, or the rights to it
                continue
            if not entry.name.startswith(".") and stat.S_ISREG(status.st_mode) and not -AHEAD <= now - status.st_mtime < SETTLED:
                yield status.st_mtime, Path(entry.path)


def take_in(
    place: Place,
    queue: Queue,
    now: Callable[[], float],
    track: Track | None = None,
    last: Collection[tuple[str, str]] = (),
) -> Iterator[Taken]:
    """Take every package that waits into the queue, and write a receipt for each into the outbox.

    What cannot be read, removed or answered, because of rights or of what lies in its place, stays and is named (``stuck``): who
    may write into a single folder must not be able to keep the packages of all others waiting.

    Args:
        track: that is judged; None takes code only.
        last: participants and packages, as ``Taken`` names them, that come after all others: those that were stuck.

    Raises:
        OSError: this machine fails, e.g. no space is left; what was not taken in waits.
        sqlite3.Error: the queue cannot be read or written.
    """
    for folder, why in closed(place):
        yield Taken(harmless(folder.name), "inbox", 0, "", stuck=why)
    # The sort is stable: within both halves the turns stay.
    for participant, path in sorted(waiting(place, now()), key=lambda of: (of[0], harmless(of[1].name)) in last):
        try:
            yield taken(place, queue, participant, path, now(), track)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not path.exists():
                continue  # another judge was faster
            if error.errno in OF_THE_MACHINE and not isinstance(error, UnansweredError):
                raise
            where, advice = harmless(Path(str(error.filename or path)).name), "Give the judge the rights, or remove it"
            if isinstance(error, UnansweredError):
                where, advice = "its receipt cannot be written", "Make room in its outbox, or give the judge the rights"
            yield Taken(participant, harmless(path.name), 0, "", stuck=f"{where}: {error.strerror}. {advice}")
        except sqlite3.Error:  # of the queue, and so of all packages
            raise
        except Exception as error:  # what a package holds never ends a judge
            yield Taken(participant, harmless(path.name), 0, "", stuck=f"{fault_of_ours(error)}. Look at it, and remove it")


def fault_of_ours(error: Exception) -> str:
    """An error that nobody foresaw, in a sentence: its kind and its place. Its own text may quote anything, so it is left out."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return f"the judge met a fault of its own ({type(error).__name__}{where})"


@dataclass(frozen=True)
class _Looked:
    """What was found in a package. ``name``: for the queue; ``read``: whether anything of it was read, so that it has a digest."""

    name: str
    package: Package | None = None
    refused: str = ""
    findings: tuple[str, ...] = ()
    read: bool = True


def taken(place: Place, queue: Queue, participant: str, path: Path, now: float, track: Track | None = None) -> Taken:
    """Take a single file in, and remove it. ``track``: as of ``take_in``.

    Whatever a package holds, it is taken or refused: an error that nobody foresaw is a refusal that says so.

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
    with _copied(place, path) as (copy, digest, refused):
        if refused:
            return _received(place, queue, participant, path, seen, came, digest, _Looked(path.stem, None, refused, read=False))
        # Unpacked under a hidden name: of what is refused nothing stays but the package, which may unpack to a thousand times its
        # size.
        with temporary_folder(place.submissions, digest) as fresh:
            looked = _looked_at(place, path, copy, fresh, track)
            os.replace(copy, place.packages / f"{digest}.zip")  # before there is a job of it
            made = _received(place, queue, participant, path, seen, came, digest, looked)
            if not made.refused and not looked.refused:  # it may have been taken in before; what lies here may be half of it
                _settle(fresh, place.submissions / digest)
            return made


def _looked_at(place: Place, path: Path, copy: Path, fresh: Path, track: Track | None) -> _Looked:
    """What is said of a package, whose files lie in ``fresh`` afterwards."""
    package: Package | None = None
    try:
        package = _unpacked(place, copy, fresh)
        return _judged(place, package, fresh, track)
    except PackageError as error:
        return _Looked(path.stem, None, one_line(str(error).replace(str(copy), path.name).replace(copy.name, path.name), 1_000))
    except Exception as error:
        if isinstance(error, OSError) and (error.errno in OF_THE_MACHINE or isinstance(error, PermissionError)):
            raise
        why = fault_of_ours(error)
        say(f"warning: {path.name}: {why} and refuses the package:\n{''.join(traceback.format_exception(error))}")
        told = f"{why} while it looked at this package, which may be without fault. Tell the organiser, and send it again later"
        return _Looked(package.name if package else path.stem, package, told)


def _judged(place: Place, package: Package, fresh: Path, track: Track | None) -> _Looked:
    """What is said of a package that is what its manifest says, and was unpacked into ``fresh``."""
    if package.track != place.rules.track:
        why = f"it is made for the track {harmless(package.track)}; here {place.rules.track} is judged. Pack it with --track"
        return _Looked(package.name, package, why)
    folder, image = fresh / package.name, place.rules.requirements == "image"
    found = examine(folder, package.track, SECONDS, image=image) if track is None else track.examined(folder, SECONDS, image=image)
    answer = package.kind == ANSWER
    wanted = Asked() if answer else installable(folder) if image else asked(fresh, package.name)
    refused = wanted.refused
    if answer and not place.rules.answers:
        refused = "it is an answer, and this round judges code. Send code, or ask the organiser"
    elif found.errors:
        refused = f"it is not fit to submit: {one_line(found.errors[0].line, 1_000)}"
    elif not refused:
        refused = other_kind(package.kind, track is not None and track.source(folder).answer)
    return _Looked(package.name, package, refused, (*(finding.line for finding in found.found), *wanted.notes))


def _received(
    place: Place, queue: Queue, participant: str, path: Path, seen: os.stat_result, came: float, digest: str, looked: _Looked
) -> Taken:
    """Enter a package into the queue, write its receipt, and take it out of the inbox."""
    package = looked.package
    sent = Sent(
        sha256=digest,
        participant=participant,
        name=harmless(looked.name),
        track=package.track if package else "",
        digest=package.digest if package else "",
        received=came,
    )
    number, refused = queue.receive(sent, place.rules.version, refused=looked.refused, deadline=place.rules.deadline)
    told = feedback.receipt(harmless(path.name, 300), digest if looked.read else "", came, refused, looked.findings, number)
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


@contextmanager
def _copied(place: Place, path: Path) -> Iterator[tuple[Path, str, str]]:
    """A copy of a package that nobody else can change, its digest, and why it is not looked at, or empty.

    The copy is removed at the end of the block, unless it was renamed: what cannot be taken in leaves nothing behind, however often
    a judge tries. Of a file that is too large nothing is read: its path is given, and a digest of its name and size in the place of
    its own.
    """
    size = path.lstat().st_size
    if size > place.rules.largest:
        why = f"it has {size:,} bytes; a package may have {place.rules.largest:,}. Leave out what no run needs"
        yield path, hashlib.sha256(os.fsencode(f"{path.name}, {size}")).hexdigest(), why
        return
    copy = place.packages / f"{INCOMING}{secrets.token_hex(8)}.zip"
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        # Its sender may change it meanwhile: what was measured is copied, and no more.
        with open(descriptor, "rb") as file, replaced(copy, "wb", permissions=0o600) as out:
            for start in range(0, size, _CHUNK):
                out.write(file.read(min(_CHUNK, size - start)))
        yield copy, file_digest(copy), ""
    finally:
        copy.unlink(missing_ok=True)


def _unpacked(place: Place, archive: Path, folder: Path) -> Package:
    """Unpack a package into a folder. Returns its manifest.

    Raises:
        PackageError: it is not what its manifest says.
    """
    package = unpack(archive, folder)
    if place.rules.requirements == "image" and package.kind == CODE:
        _bring_lists(folder, package.name)
    return package


def _settle(fresh: Path, folder: Path) -> None:
    """Give an unpacked package its final place, unless it lies there already."""
    try:
        os.rename(fresh, folder)
    except OSError:
        if not folder.is_dir():  # another judge was faster, or the same package was taken in before
            raise


def _bring_lists(folder: Path, name: str) -> None:
    """Copy the lists that lie beside a submission of one file into its folder: with images they decide how it runs, so they belong
    to what results know it by."""
    for list_name in LISTS:
        beside, inside = folder / list_name, folder / name / list_name
        if beside.is_file() and not inside.exists():
            write_bytes(inside, beside.read_bytes())


def write_feedback(place: Place, participant: str, name: str, content: dict) -> None:
    """Write what goes back to a participant, whole or not at all.

    Raises:
        UnansweredError: it cannot be written; that of one participant says nothing of the others'.
    """
    folder = place.outbox / participant
    try:
        folder.mkdir(exist_ok=True)
        write_text(folder / f"{name}.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        # An error of writing names no file.
        raise UnansweredError(error.errno, error.strerror, str(error.filename or folder)) from error


def unpack_again(place: Place, digest: str) -> Path:
    """The folder of a submission that was taken in before; unpacked anew where it is gone.

    Raises:
        KitError: the package is gone, or not what it was.
    """
    archive = place.packages / f"{digest}.zip"
    if not archive.is_file() or file_digest(archive) != digest:
        raise KitError(f"{archive}: the package is gone, or not what it was; restore it from a backup")
    folder = place.submissions / digest
    if folder.is_dir():
        package = read_package(archive)
        if place.rules.requirements == "image" and package.kind == CODE:  # the rules may have been others when it was unpacked
            _bring_lists(folder, package.name)
        return folder / package.name
    with temporary_folder(place.submissions, digest) as fresh:
        package = _unpacked(place, archive, fresh)
        _settle(fresh, folder)
    return folder / package.name
