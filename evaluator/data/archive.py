"""Official archives unpacked safely: ``training-v0.2-rc4.tar.gz`` and its like become ``<data folder>/training``.

An archive is a stranger's. It is refused whole when any member leaves the folder (``..``, an absolute path, a drive letter), is a
link, a device or a sparse file, appears twice, or when it unpacks to more bytes or files than allowed. Sizes are counted as they
are written; what headers claim is never believed. Only images and tables are kept, and their paths are put together here from a
known split and a bare file name, never taken from the archive. Everything goes to a hidden folder first, and each split takes its
name by one rename when the whole archive was taken, so a refused or interrupted import leaves what was there before.
"""

from __future__ import annotations

import gzip
import lzma
import os
import re
import secrets
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from evaluator.data.layout import DESCRIPTION, IMAGE_SUFFIXES, IMAGES, LABELS, SPLITS
from evaluator.data.members import damaged, tar_members, zip_members
from evaluator.errors import DataError
from evaluator.files import temporary_folder

MAX_RATIO = 100
"""Unpacked bytes per byte of the archive. Images are packed already, so honest archives stay near 1."""

_RATIO_FROM = 64 * 2**20
_CHUNK = 2**20
_SPLIT_NAME = re.compile(r"(training|unlabell?ed|validation|test|debug)(?:$|[-_.].*)", re.IGNORECASE)


@dataclass(frozen=True)
class Imported:
    """What came out of an archive: names of the splits, images in each, and how many other files were left out."""

    splits: tuple[str, ...]
    images: dict[str, int]
    left_out: int


def unpack(
    archive: Path,
    target: Path,
    *,
    limit_bytes: int = 20 * 2**30,
    limit_files: int = 200_000,
    replace: bool = False,
    progress: Callable[[int, int], None] | None = None,
    accept: Callable[[Path, tuple[str, ...]], None] | None = None,
) -> Imported:
    """Unpack ``archive`` (.tar, .tar.gz, .tar.xz, .tar.bz2, .zip) into the data folder ``target``.

    Inside, ``images/*.png|jpg`` and ``labels.csv`` lie in a folder that names the split (``training``, ``unlabelled``,
    ``validation``, ``test``, ``debug``, also ``training-v0.2``), itself in other folders or not. Where no folder names it, the
    archive's own name does. An archive is imported whole or not at all.

    Args:
        archive: the file.
        target: the data folder; made if absent.
        limit_bytes: bytes that may be written.
        limit_files: members that the archive may have.
        replace: put the new split in the place of the old split, which stays until the new split is whole.
        progress: called with (bytes of the archive read, bytes in all).
        accept: called with the hidden folder and the names of the splits in it before they take their names; raises to refuse them.

    Raises:
        DataError: naming the member and what is wrong with it. ``target`` is then as it was.
    """
    archive, target = Path(archive), Path(target)
    if not archive.is_file():
        raise DataError(f"{archive} does not exist or is not a file; expected an archive such as training-v0.2-rc4.tar.gz")
    if (target / DESCRIPTION).exists():
        # Its description would then lie beside images that it does not describe.
        raise DataError(
            f"{target} holds a generated data set ({DESCRIPTION}); import into another folder, or remove that data set first"
        )
    made = not target.exists()
    try:
        target.mkdir(parents=True, exist_ok=True)
        with temporary_folder(target, "import") as work:
            importer = _Import(archive, target, work, limit_bytes, limit_files, replace)
            importer.read(progress)
            importer.check()
            if accept is not None:
                accept(work, tuple(importer.images))
            _place(tuple(importer.images), work, target)
    except OSError as error:
        raise DataError(f"{archive}: unpacking into {target} failed ({error}); nothing was imported") from error
    finally:
        if made and target.is_dir() and not any(target.iterdir()):
            target.rmdir()
    return Imported(tuple(importer.images), dict(importer.images), importer.left_out)


def _place(names: tuple[str, ...], work: Path, target: Path) -> None:
    """Rename every split from ``work`` to ``target``, or none; what stood there is removed after the last."""
    old: dict[str, Path] = {}
    placed: list[str] = []
    try:
        for name in names:
            if (target / name).exists():
                aside = target / f".replaced-{secrets.token_hex(6)}-{name}"
                os.rename(target / name, aside)
                old[name] = aside
            os.rename(work / name, target / name)
            placed.append(name)
    except BaseException:
        for name in placed:
            os.rename(target / name, work / name)
        for name, aside in old.items():
            os.rename(aside, target / name)
        raise
    for aside in old.values():
        shutil.rmtree(aside, ignore_errors=True)


@dataclass
class _Import:
    """One import under way: what is allowed, and what was written so far."""

    archive: Path
    target: Path
    work: Path
    limit_bytes: int
    limit_files: int
    replace: bool
    images: dict[str, int] = field(default_factory=dict)
    parents: dict[str, PurePosixPath] = field(default_factory=dict)
    written: int = 0
    members: int = 0
    left_out: int = 0

    def read(self, progress: Callable[[int, int], None] | None) -> None:
        with open(self.archive, "rb") as file:
            members = zip_members if file.read(4) == b"PK\3\4" else tar_members
        total = self.archive.stat().st_size
        try:
            for name, stream, done in members(self.archive, self.bound):
                self.members += 1
                if self.members > self.limit_files:
                    raise self.bad(name, f"the archive has more than {self.limit_files} members")
                self.take(name, stream)
                if progress is not None:
                    progress(min(done, total), total)
        except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, gzip.BadGzipFile) as error:
            raise DataError(
                f"{self.archive} is damaged or no archive ({type(error).__name__}: {error}); download it again"
            ) from error
        except DataError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and not damaged(error):
                raise
            # On hostile headers tarfile and zipfile raise almost anything: RecursionError, IndexError, NotImplementedError, ...
            raise DataError(f"{self.archive} holds what cannot be read ({type(error).__name__}: {error}); it is refused") from error

    def bad(self, name: str, why: str) -> DataError:
        return DataError(f"{self.archive}, member {name[:200]!r}: {why}; the archive is refused and nothing was imported")

    def bound(self, inflated: int) -> None:
        """Refuse once more was inflated than the limits allow, kept or not: a bomb also costs time."""
        if inflated > self.limit_bytes + 2048 * self.limit_files:
            raise DataError(f"{self.archive} unpacks to more than {inflated} bytes, {self.limit_bytes} are allowed; it is refused")
        if inflated > _RATIO_FROM and inflated > MAX_RATIO * self.archive.stat().st_size:
            raise DataError(
                f"{self.archive} unpacks to more than {MAX_RATIO} times its size; no archive of images does, it is refused"
            )

    def take(self, name: str, stream: IO[bytes] | None) -> None:
        """Check one member, and keep it if it is an image or a table of a split. ``stream`` is None for a folder."""
        path = self.checked(name)
        if stream is None:
            return
        place = self.place(path)
        if place is None:
            self.left_out += 1
            return
        split, parent, inside = place
        if split not in self.images:
            there = self.target / split
            if (there.exists() or there.is_symlink()) and not self.replace and not (there.is_dir() and not any(there.iterdir())):
                raise DataError(f"{there} already exists; remove it first, or replace it with --replace")
            if there.is_symlink() or (there.exists() and not there.is_dir()):
                raise DataError(f"{there} is a link or a file where a folder is expected; move it away first")
            (self.work / split / IMAGES).mkdir(parents=True)
            self.images[split], self.parents[split] = 0, parent
        if self.parents[split] != parent:
            raise self.bad(name, f"the split {split} is in two places, {self.parents[split]} and {parent}")
        try:
            with open(self.work / split / inside, "xb") as file:
                while chunk := stream.read(_CHUNK):
                    self.written += len(chunk)
                    if self.written > self.limit_bytes:
                        raise self.bad(name, f"more than {self.limit_bytes} bytes were unpacked")
                    self.bound(self.written)
                    file.write(chunk)
        except FileExistsError as error:
            raise self.bad(name, "the same file comes twice") from error
        self.images[split] += inside.parent.name == IMAGES

    def checked(self, name: str) -> PurePosixPath:
        plain = name.replace("\\", "/")
        if not plain or any(ord(character) < 32 or 0xD800 <= ord(character) < 0xE000 for character in plain):
            raise self.bad(name, "the name is empty or holds control characters")
        if plain.startswith("/") or re.match(r"[A-Za-z]:", plain):
            raise self.bad(name, "an absolute path")
        if ".." in plain.split("/"):
            raise self.bad(name, "the path leaves the folder ('..')")
        return PurePosixPath(plain)

    def place(self, path: PurePosixPath) -> tuple[str, PurePosixPath, Path] | None:
        """The split a file belongs to, the folder it has in the archive, and its path in ours; None for what is not kept."""
        if path.name.startswith(".") or "__MACOSX" in path.parts:
            return None
        suffix = path.suffix.lower()
        if suffix in IMAGE_SUFFIXES and path.parent.name == IMAGES:
            parent, inside = path.parent.parent, Path(IMAGES, path.name)
        elif suffix == ".csv" and path.parent.name != IMAGES:
            parent, inside = path.parent, Path(path.name)
        else:
            return None
        named = next((match for match in map(_SPLIT_NAME.fullmatch, reversed(parent.parts)) if match), None)
        named = named or _SPLIT_NAME.fullmatch(self.archive.name)
        if not named:
            raise self.bad(
                str(path),
                f"neither a folder nor the archive's own name says which split it is; expected one of {', '.join(SPLITS)}",
            )
        split = named[1].lower().replace("unlabeled", "unlabelled")
        return split, parent, inside

    def check(self) -> None:
        if not self.images:
            raise DataError(f"{self.archive} holds no {IMAGES}/*.png|jpg and no labels.csv; expected an archive of a split")
        for split, count in self.images.items():
            if not count:
                raise DataError(f"{self.archive} holds no images for the split {split}; expected {split}/{IMAGES}/*.png|jpg")
            if not any((self.work / split).glob("*.csv")):
                raise DataError(f"{self.archive} holds no {split}/{LABELS} for the {count} images; the archive is incomplete")
