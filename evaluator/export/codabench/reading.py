"""A bundle as a stranger's input: the list of a zip archive and its small files within bounds, and YAML that cannot unfold.

Nothing is unpacked to disk. What lies in the archive is known by its list; of the files only those are read that a check needs.
"""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from evaluator.data.members import zip_list
from evaluator.errors import ConfigurationError
from evaluator.text import name as harmless

MOST_MEMBERS = 400_000
"""Members of a bundle: an official data set has some ten thousand images."""
MOST_LIST = 128 << 20
"""Bytes of the list of members, which is read at once."""
MOST_BYTES = 40 << 30
"""Unpacked bytes of all members together, as the list says."""
MOST_RATIO, RATIO_FROM = 200, 16 << 20
"""Unpacked bytes for each byte of the archive, and from which size on that counts."""
MOST_TEXT = 4 << 20
"""Bytes of a page or of the terms."""
MOST_LOGO = 16 << 20
MOST_YAML = 256 << 10
MOST_EVENTS = 40_000
"""Parts of a YAML file, after every alias was written out."""
MOST_DEPTH = 20
HOW = "install it: pip install -r requirements-publish.txt"


class BundleError(ConfigurationError):
    """A bundle that cannot be read at all. ``check``: the check that it fails, by its name."""

    def __init__(self, check: str, message: str) -> None:
        super().__init__(message)
        self.check = check


@dataclass(frozen=True)
class Bundle:
    """An open archive. ``files``: the size of every file by its path; ``folders``: all folders, also those without an entry."""

    path: Path
    archive: zipfile.ZipFile
    files: dict[str, int]
    folders: frozenset[str]

    def has(self, path: str) -> bool:
        """Whether a file or a folder lies at a path."""
        return path in self.files or path in self.folders

    def read(self, path: str, most: int) -> bytes:
        """The bytes of a file.

        Raises:
            BundleError: it has more than ``most`` bytes, or is damaged.
        """
        try:
            with self.archive.open(path) as stream:
                content = stream.read(most + 1)
        except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, OSError, ValueError) as error:
            raise BundleError("damaged", f"{harmless(path, 200)}: it cannot be unpacked ({error}). Make the archive anew") from None
        if len(content) > most:
            raise BundleError(
                "file size", f"{harmless(path, 200)}: it has more than {most:,} bytes; such a file is small. Make it shorter"
            )
        return content


@contextmanager
def opened(path: Path) -> Iterator[Bundle]:
    """A bundle, its list checked.

    Raises:
        BundleError: it is no zip archive, or a member is encrypted, a link, out of the folder, twice there, or the archive unpacks
            to more than the bounds allow.
    """
    try:
        _check_list(path)
        with zipfile.ZipFile(path) as archive:
            yield Bundle(path, archive, *_members(path, archive))
    except (zipfile.BadZipFile, NotImplementedError, EOFError, UnicodeDecodeError) as error:
        raise BundleError("zip", f"{path}: it is no zip archive, or it is damaged ({error}); a zip file was expected") from None


def _check_list(path: Path) -> None:
    if not path.is_file():
        raise BundleError("zip", f"{path}: there is no such file; the zip file of a bundle was expected")
    members, size = zip_list(path)
    if members > MOST_MEMBERS or size > MOST_LIST:
        raise BundleError("size", f"{path}: it lists {members:,} members in {size:,} bytes; at most {MOST_MEMBERS:,} are looked at")


def _members(path: Path, archive: zipfile.ZipFile) -> tuple[dict[str, int], frozenset[str]]:
    files: dict[str, int] = {}
    folders: set[str] = set()
    infos = archive.infolist()
    if len(infos) > MOST_MEMBERS:  # the end of the archive may say less
        raise BundleError("size", f"{path}: it lists more than {MOST_MEMBERS:,} members; pack data into fewer files")
    total = 0
    for info in infos:
        place = harmless(info.filename, 200)
        if info.flag_bits & 1:
            raise BundleError("encrypted", f"{place}: it is encrypted, and the server has no password. Pack it without")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise BundleError("links", f"{place}: it is a link or a device; the server makes a text file of it. Put the file there")
        parts = info.filename.rstrip("/").split("/")
        if {"", ".", ".."} & set(parts) or "\\" in info.filename or "\0" in info.orig_filename:
            raise BundleError("paths", f"{place}: it lies outside of the folder, or its path is no plain one. Use plain names")
        total += info.file_size
        name = "/".join(parts)
        if name in files or (not info.is_dir() and name in folders):
            raise BundleError("twice", f"{place}: it is in the archive twice; the server takes the last. Leave one out")
        folders |= {str(parent) for parent in PurePosixPath(name).parents if str(parent) != "."}
        if info.is_dir():
            folders.add(name)
        else:
            files[name] = info.file_size
    if total > MOST_BYTES:
        raise BundleError("size", f"{path}: it unpacks to {total:,} bytes; at most {MOST_BYTES:,} are allowed")
    if total > RATIO_FROM and total > MOST_RATIO * path.stat().st_size:
        times = total // path.stat().st_size
        raise BundleError("ratio", f"{path}: it unpacks to {times:,} times its size; no data do. It would fill the server's disk")
    if clash := sorted(files.keys() & folders):
        raise BundleError("twice", f"{harmless(clash[0], 200)}: it is a file and a folder; the server cannot unpack both")
    return files, frozenset(folders)


def read_yaml(content: bytes, place: str) -> Any:
    """The value of a YAML text, as the server's reader takes it (PyYAML's safe loader).

    Raises:
        BundleError: it is no YAML, or beyond the bounds: bytes, depth, parts with every alias written out, aliases in a circle.
        ConfigurationError: PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError:
        raise ConfigurationError(f"bundles are read with PyYAML, which is not installed; {HOW}") from None
    if len(content) > MOST_YAML:
        raise BundleError("yaml bounds", f"{place}: it has {len(content):,} bytes; at most {MOST_YAML:,} are read. Make it shorter")
    try:
        text = content.decode()  # the server opens it as text, in UTF-8
    except UnicodeDecodeError as error:
        raise BundleError("yaml", f"{place}: it is not UTF-8 ({error}). Write it in UTF-8") from None
    try:
        depth = 0
        for parts, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MOST_DEPTH or parts > MOST_EVENTS:
                raise BundleError("yaml bounds", f"{place}: it is nested too deep, or holds too much; no competition does")
        _check_aliases(yaml.compose(text, Loader=yaml.SafeLoader), place)
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BundleError("yaml", f"{place}: it is no YAML ({' '.join(str(error).split())[:300]}). Mend it") from None
    except (RecursionError, ValueError, OverflowError, TypeError, KeyError) as error:  # dates such as 2026-13-45
        raise BundleError("yaml", f"{place}: it holds a value that YAML cannot take ({str(error)[:200]}). Mend it") from None


def _check_aliases(root: Any, place: str) -> None:
    """Refuse YAML in which aliases write out to more than the bound, or lead back to themselves. Linear in the file."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: Any) -> int:
        if node is None or isinstance(node.value, str):
            return 1
        key = id(node)
        if key in open_nodes:
            raise BundleError("yaml bounds", f"{place}: an alias leads back to itself. Write it out")
        if key not in sizes:
            open_nodes.add(key)
            pairs = (part for pair in node.value for part in (pair if isinstance(pair, tuple) else (pair,)))
            sizes[key] = 1 + sum(map(size, pairs))
            open_nodes.discard(key)
        if sizes[key] > MOST_EVENTS:
            raise BundleError("yaml bounds", f"{place}: its aliases write out to more than {MOST_EVENTS:,} parts. Write them out")
        return sizes[key]

    size(root)
