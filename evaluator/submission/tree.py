"""Reads the files below one folder, which belongs to a stranger: by descriptors, within bounds, and without waiting for anything.

Every step opens one name within a folder that is open already, and follows no link by itself, so nothing outside the folder is
reached, whatever is changed meanwhile. Links have one rule: a link to a file or folder within the folder counts as what it points
to; a link that leaves the folder, points to nothing or goes in a circle is refused by name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from evaluator.errors import SubmissionError, Verdict
from evaluator.submission import ignore
from evaluator.submission.travel import ENVIRONMENTS, kind, secret, showable, stays

MAX_FILES = 10_000
"""Files that may travel."""
MAX_BYTES = 1 << 30
"""Bytes of all files together, by their apparent size: a copy of a file with holes has none."""
MAX_SOURCE_BYTES = 4 << 20
"""Bytes of one Python source."""
MAX_FOLDERS = 2_000
"""Folders that are opened; a folder counts again for every link that leads to it."""
MAX_DEPTH = 32
"""Names in a path below the submission."""
MAX_PATH_BYTES = 1_000
"""Bytes (not characters) of a path below the submission. The kernel's limit for a whole path is 4,096."""
MAX_LOOKS = 20_000
"""Names that are looked at in all, those that stay behind and every step along a link included."""
MAX_LINKS = 40
"""Links on the way to one file, as in the kernel."""

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
CHUNK = 1 << 20

Parts = tuple[str, ...]
"""The names of a path below the root, from the top."""


@dataclass(frozen=True)
class Item:
    """A file that travels.

    Attributes:
        place: where it lies in the submission; ``real``: where its bytes lie, which differs where a link is on the way.
        size: in bytes, when it was found.
    """

    place: Parts
    real: Parts
    size: int

    @property
    def name(self) -> str:
        """Its path in the submission, with slashes."""
        return "/".join(self.place)


class Tree:
    """The files below ``root``. A context manager. The bounds hold over all calls together.

    Attributes:
        left: what stays behind, by path, with the reason in words; for messages.

    Raises:
        SubmissionError: (every method) what was found cannot travel. The message names file, bound and remedy; the verdict is
            ``INFRASTRUCTURE`` where this machine fails to read, and not the submission is at fault.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.left: dict[str, str] = {}
        self._looks = self._files = self._folders = self._bytes = 0
        self._near: tuple[Parts, int] | None = None
        self._ignore: tuple[ignore.Pattern, ...] = ()
        try:
            # The root itself may be a link: whoever names it vouches for it.
            self._fd = os.open(root, FOLDER & ~os.O_NOFOLLOW)
        except OSError as error:
            raise self._unreadable((), error) from None

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        self._forget_near()
        os.close(self._fd)

    def everything(self) -> list[Item]:
        """Every file that travels, sorted by path. What ``.submitignore`` at the top names stays behind."""
        self._ignore = self._ignored()
        return self._walk(os.dup(self._fd), (), (), ())

    def below(self, place: Parts) -> list[Item]:
        """Every file that travels below the folder at ``place``, sorted by path; links on the way are followed by the rule."""
        real, _ = self._resolved((), place)
        return self._walk(self._open_folder(real), place, real, ())

    def file(self, place: Parts) -> Item:
        """The file at ``place``, links followed by the rule."""
        self._check_name(place)
        real, found = self._resolved((), place)
        if not stat.S_ISREG(found.st_mode):
            raise self._fault(place, f"it is {kind(found.st_mode)}; a regular file was expected. Replace it")
        return self._item(place, real, found)

    def there(self, name: str) -> int:
        """The type of what lies under a name at the top (``stat.S_IFMT``), 0 for nothing; a link counts as what it points to."""
        self._look((name,))
        try:
            mode = os.stat(name, dir_fd=self._fd, follow_symlinks=False).st_mode
        except (OSError, ValueError):  # a name that no file can have
            return 0
        return stat.S_IFMT(self._resolved((), (name,))[1].st_mode if stat.S_ISLNK(mode) else mode)

    def holds(self, place: Parts) -> bool:
        """Whether a file lies at ``place``, with no link on the way."""
        held = os.dup(self._fd)
        try:
            for name in place[:-1]:
                self._look(place)
                inner = os.open(name, FOLDER, dir_fd=held)
                os.close(held)
                held = inner
            return stat.S_ISREG(os.stat(place[-1], dir_fd=held, follow_symlinks=False).st_mode)
        except OSError:
            return False
        finally:
            os.close(held)

    def holds_sources(self, name: str) -> bool:
        """Whether a Python source lies in the folder of that name at the top, or in a folder directly in it."""
        inner = [name]
        for place in inner:
            held = self._open_folder(self._resolved((), tuple(place.split("/")))[0])
            try:
                for entry in self._listing(held, (place,)):
                    if entry.endswith(".py"):
                        return True
                    if place == name and stat.S_ISDIR(os.stat(entry, dir_fd=held, follow_symlinks=False).st_mode):
                        inner.append(f"{name}/{entry}")
            except OSError as error:
                raise self._unreadable((place,), error) from None
            finally:
                os.close(held)
        return False

    def read(self, item: Item) -> Iterator[bytes]:
        """The bytes of a file that was found, in parts of at most ``CHUNK``. It must still be as long as it was."""
        try:
            descriptor = os.open(item.real[-1], FILE, dir_fd=self._near_folder(item.real[:-1]))
        except OSError as error:
            raise self._unreadable(item.place, error) from None
        try:
            found = os.fstat(descriptor)
            left = item.size if stat.S_ISREG(found.st_mode) else -1
            while left > 0 and (part := os.read(descriptor, min(left, CHUNK))):
                left -= len(part)
                yield part
            if left != 0 or os.read(descriptor, 1):
                raise self._fault(
                    item.place,
                    "it changed while it was read. Run again, and leave the files alone meanwhile",
                    Verdict.INFRASTRUCTURE,
                )
        except OSError as error:
            raise self._unreadable(item.place, error) from None
        finally:
            os.close(descriptor)

    def content(self, item: Item) -> bytes:
        """All bytes of a source."""
        return b"".join(self.read(item))

    def _ignored(self) -> tuple[ignore.Pattern, ...]:
        place = (ignore.FILE,)
        try:
            if not stat.S_ISREG(os.stat(ignore.FILE, dir_fd=self._fd, follow_symlinks=False).st_mode):
                raise self._fault(place, "it is no regular file; a list of patterns was expected. Replace it or remove it")
            with open(os.open(ignore.FILE, FILE, dir_fd=self._fd), "rb") as file:
                raw = file.read(ignore.MAX_BYTES + 1)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise self._unreadable(place, error) from None
        return ignore.parse_ignore(raw, lambda text: self._fault(place, text))

    # -- walking

    def _walk(self, held: int, place: Parts, real: Parts, above: tuple[tuple[int, int], ...]) -> list[Item]:
        """The files below an open folder, which is closed here. ``above``: identities of the folders on the way to it."""
        try:
            state = os.fstat(held)
            here = (state.st_dev, state.st_ino)
            if here in above:
                raise self._fault(place, "this link leads to a folder around it, in a circle. Remove the link")
            self._folders += 1
            if self._folders > MAX_FOLDERS:
                raise self._fault(
                    place, f"the submission has more than {MAX_FOLDERS:,} folders, counted again for every link; remove some"
                )
            names = self._listing(held, place)
            if place and not ENVIRONMENTS.isdisjoint(names):
                self._leave(place, "a virtual environment")
                return []
            found: list[Item] = []
            for name in names:
                found += self._entry(held, (*place, name), (*real, name), (*above, here))
            return found
        finally:
            os.close(held)

    def _entry(self, held: int, place: Parts, real: Parts, above: tuple[tuple[int, int], ...]) -> list[Item]:
        name = place[-1]
        if stays(name, top=len(place) == 1):
            self._leave(place, "it does not decide what runs")
            return []
        if secret(name):
            self._leave(place, "a secret by its name, which never travels")
            return []
        self._check_name(place)
        try:
            found = os.stat(name, dir_fd=held, follow_symlinks=False)
            for pattern in self._ignore:
                if pattern.matches(place, stat.S_ISDIR(found.st_mode)):
                    self._leave(place, f"named in {ignore.FILE}, line {pattern.line}")
                    return []
            if stat.S_ISLNK(found.st_mode):
                real, found = self._resolved(real[:-1], (name,), place)
                if any(map(secret, real)):
                    self._leave(place, "a link to a secret, by its name, which never travels")
                    return []
                if stat.S_ISDIR(found.st_mode):
                    return self._walk(self._open_folder(real), place, real, above)
            if stat.S_ISDIR(found.st_mode):
                return self._walk(os.open(name, FOLDER, dir_fd=held), place, real, above)
        except OSError as error:
            raise self._unreadable(place, error) from None
        if stat.S_ISREG(found.st_mode):
            return [self._item(place, real, found)]
        self._leave(place, kind(found.st_mode))
        return []

    def _item(self, place: Parts, real: Parts, found: os.stat_result) -> Item:
        self._files += 1
        self._bytes += found.st_size
        if place[-1].endswith(".py") and found.st_size > MAX_SOURCE_BYTES:
            bound = f"a source may have {MAX_SOURCE_BYTES:,}. Put data into a file of its own"
            raise self._fault(place, f"it has {found.st_size:,} bytes; {bound}")
        if self._files > MAX_FILES:
            raise self._fault(
                place, f"with it the submission has more than {MAX_FILES:,} files; remove some, or pack data into one"
            )
        if self._bytes > MAX_BYTES:
            bound = f"more than {MAX_BYTES:,} in all. Remove what the run does not need"
            raise self._fault(place, f"it has {found.st_size:,} bytes, and with it the submission has {bound}")
        return Item(place, real, found.st_size)

    def _listing(self, held: int, place: Parts) -> list[str]:
        names = []
        try:
            with os.scandir(held) as entries:
                for entry in entries:
                    self._look(place)
                    names.append(entry.name)
        except OSError as error:
            raise self._unreadable(place, error) from None
        return sorted(names)

    # -- links and descriptors

    def _resolved(self, folder: Parts, names: Parts, link: Parts | None = None) -> tuple[Parts, os.stat_result]:
        """Where a path leads, links followed, and what is there; nothing outside the root is ever opened.

        Args:
            folder: where the path begins, itself without links. ``link``: the place that messages name.
        """
        link = names if link is None else link
        todo, links = [*reversed((*folder, *names))], 0
        held = [os.dup(self._fd)]
        done: list[str] = []
        try:
            found = os.fstat(held[0])
            while todo:
                self._look(link)
                name = todo.pop()
                if name in ("", "."):
                    continue
                if name == "..":
                    if not done:
                        raise self._leaves(link)
                    done.pop()
                    os.close(held.pop())
                    found = os.fstat(held[-1])
                    continue
                if not stat.S_ISDIR(found.st_mode):
                    raise self._fault(link, "this link leads to nothing. Remove it, or bring the file along")
                found = os.stat(name, dir_fd=held[-1], follow_symlinks=False)
                if stat.S_ISLNK(found.st_mode):
                    links += 1
                    if links > MAX_LINKS:
                        raise self._fault(link, "this link goes in a circle. Remove it")
                    target = os.readlink(name, dir_fd=held[-1])
                    if target.startswith("/"):
                        target = self._within(target, link)
                        while done:
                            done.pop()
                            os.close(held.pop())
                    todo += reversed(target.split("/"))
                    found = os.fstat(held[-1])
                    continue
                done.append(name)
                if stat.S_ISDIR(found.st_mode):
                    held.append(os.open(name, FOLDER, dir_fd=held[-1]))
                elif any(rest not in ("", ".") for rest in todo):
                    raise self._fault(link, "this link leads to nothing. Remove it, or bring the file along")
            return tuple(done), found
        except (FileNotFoundError, NotADirectoryError):
            raise self._fault(link, "this link leads to nothing. Remove it, or bring the file along") from None
        except OSError as error:
            raise self._unreadable(link, error) from None
        finally:
            for descriptor in held:
                os.close(descriptor)

    def _within(self, target: str, link: Parts) -> str:
        """An absolute target as a path below the root."""
        for root in dict.fromkeys((str(self.root), os.path.realpath(self.root))):
            if target == root or target.startswith(root.rstrip("/") + "/"):
                return target[len(root) :]
        raise self._leaves(link)

    def _open_folder(self, real: Parts) -> int:
        """A descriptor of the folder at ``real``, for the caller to close."""
        held = os.dup(self._fd)
        try:
            for name in real:
                inner = os.open(name, FOLDER, dir_fd=held)
                os.close(held)
                held = inner
        except OSError as error:
            os.close(held)
            raise self._unreadable(real, error) from None
        return held

    def _near_folder(self, real: Parts) -> int:
        """A descriptor of the folder at ``real``, kept open until another is asked for: files are read folder by folder."""
        if self._near is None or self._near[0] != real:
            self._forget_near()
            self._near = real, self._open_folder(real)
        return self._near[1]

    def _forget_near(self) -> None:
        if self._near is not None:
            with suppress(OSError):
                os.close(self._near[1])
            self._near = None

    # -- bounds and messages

    def _look(self, place: Parts) -> None:
        self._looks += 1
        if self._looks > MAX_LOOKS:
            looked = f"up to here {MAX_LOOKS:,} files, folders and steps along links were looked at"
            raise self._fault(place, f"{looked}, the most that is allowed; remove some")

    def _check_name(self, place: Parts) -> None:
        name = place[-1]
        if not showable(name):
            raise self._fault(place, "its name holds bytes that are not UTF-8, or control characters. Rename it")
        if len(place) > MAX_DEPTH:
            raise self._fault(place, f"it lies {len(place)} folders deep; at most {MAX_DEPTH} are allowed. Move it up")
        length = len(os.fsencode("/".join(place)))
        if length > MAX_PATH_BYTES:
            raise self._fault(place, f"its path has {length:,} bytes; at most {MAX_PATH_BYTES:,} are allowed. Use shorter names")

    def _leave(self, place: Parts, why: str) -> None:
        self.left["/".join(place)] = why

    def _leaves(self, link: Parts) -> SubmissionError:
        return self._fault(link, "this link leads out of the submission; only links within it are followed. Copy the file instead")

    def _unreadable(self, place: Parts, error: OSError) -> SubmissionError:
        advice = "The user who evaluates must be able to read it" if isinstance(error, PermissionError) else "Look at the file"
        return self._fault(place, f"it cannot be read ({error.strerror}). {advice}", Verdict.INFRASTRUCTURE)

    def _fault(self, place: Parts, text: str, verdict: Verdict = Verdict.RUNTIME_ERROR) -> SubmissionError:
        return SubmissionError(f"{shown(self.root, place)}: {text}", verdict)


def shown(root: Path, place: Parts) -> str:
    """A path for a message: in words where it cannot be shown, and shortened where it is long."""
    text = str(root.joinpath(*place)) if place else str(root)
    text = text if showable(text) else ascii(text)
    return text if len(text) <= 300 else f"{text[:140]}...{text[-140:]}"
