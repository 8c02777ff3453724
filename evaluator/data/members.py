"""The members of a tar or zip archive from an untrusted source: folders and plain files only, one by one, read in pieces."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from evaluator.errors import DataError

_CHUNK = 2**20
_MAX_HEADER = 4 * 2**20
_MAX_GLOBAL = 2**20
_MAX_ENTRIES = 1_000_000
_MAX_DIRECTORY = 256 * 2**20
"""Of a zip archive: members and bytes of its list, which are about 100 for each image."""
_UTF8 = 0x800
"""The flag of a member of a zip archive whose name is UTF-8."""

_DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, struct.error, EOFError),
    *(ValueError, LookupError, ArithmeticError, RuntimeError),
)


def damaged(error: BaseException) -> bool:
    """Whether an error that came while an archive was read says that the archive is damaged, and not that the machine failed.

    An archive names places in itself. One that lies before its begin gives ``EINVAL`` from the system's own seek, one that no file
    can have gives ``OverflowError``; a message that takes either for a fault of the disk waits for somebody to mend it for ever.
    """
    return isinstance(error, _DAMAGE) or (isinstance(error, OSError) and error.errno == errno.EINVAL)


Members = Iterator[tuple[str, IO[bytes] | None, int]]


def zip_members(archive: Path, _: Callable[[int], None]) -> Members:
    """Name, stream (None for a folder) and bytes of the archive read so far, for each member of a zip archive.

    A stream is read before the next member is asked for, or not at all. What is not read is never inflated, so nothing needs the
    bound here.

    Raises:
        DataError: a member is encrypted, a link or a device.
        zipfile.BadZipFile: the archive is damaged.
    """
    done = 0
    _check_directory(archive)
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if info.flag_bits & 1:
                raise _refused(archive, zip_name(info), "it is encrypted")
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, zip_name(info), "it is a link or a device")
            done += info.compress_size
            if info.filename.endswith("/"):
                yield zip_name(info), None, done
            else:
                with file.open(info) as stream:
                    yield zip_name(info), stream, done


def zip_name(info: zipfile.ZipInfo) -> str:
    """The name of a member of a zip archive.

    A name is UTF-8 where its flag says so. Without the flag it should be in the characters of the first IBM PCs, and ``zipfile``
    reads it so; but ``zip`` on Linux writes UTF-8 all the same. Names in other characters are hardly ever UTF-8 by chance.
    """
    if info.flag_bits & _UTF8:
        return info.filename
    try:
        return info.filename.encode("cp437").decode()
    except UnicodeError:
        return info.filename


def zip_list(archive: Path) -> tuple[int, int]:
    """Number of members, and bytes, of the list of a zip archive, as its end names them; the list itself is not read.

    ``zipfile`` reads so many bytes, whatever the number of members is said to be.

    Raises:
        zipfile.BadZipFile: it has no list.
    """
    with open(archive, "rb") as file:
        # The very function by which zipfile finds the list, so that both see the same record.
        end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
    if end is None:
        raise zipfile.BadZipFile("it has no list of members")
    return int(end[4]), int(end[5])


def tar_members(archive: Path, bound: Callable[[int], None]) -> Members:
    """The same for a tar archive, whatever it is compressed with.

    Args:
        archive: the file.
        bound: called with the bytes inflated so far, before they are used; raises when it has seen enough.

    Raises:
        DataError: a member is a link, a device or a sparse file.
        tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError: the archive is damaged or cut short.
    """
    with ExitStack() as stack:
        raw = stack.enter_context(open(archive, "rb"))
        magic = raw.read(6)
        raw.seek(0)
        plain: io.BufferedIOBase = raw
        if magic.startswith(b"\x1f\x8b"):
            plain = stack.enter_context(gzip.GzipFile(fileobj=raw))
        elif magic == b"\xfd7zXZ\0":
            plain = stack.enter_context(lzma.LZMAFile(raw))
        elif magic.startswith(b"BZh"):
            plain = stack.enter_context(bz2.BZ2File(raw))
        counted = _Counted(plain, bound)
        file = stack.enter_context(tarfile.open(fileobj=counted, mode="r:"))
        while (member := file.next()) is not None:
            # tarfile keeps them all, with their headers, for random access.
            file.members.clear()  # type: ignore[attr-defined]
            if sum(len(key) + len(value) for key, value in file.pax_headers.items()) > _MAX_GLOBAL:
                raise tarfile.ReadError(f"global headers of more than {_MAX_GLOBAL} characters")
            if member.issym() or member.islnk():
                raise _refused(archive, member.name, f"it is a link to {member.linkname!r}")
            if not (member.isfile() or member.isdir()) or member.issparse():
                raise _refused(archive, member.name, "it is a device or another special file")
            yield member.name, None if member.isdir() else file.extractfile(member), raw.tell()
        # tarfile takes a header it cannot read, and the end of the file, for the end of the archive; only zeros are.
        if counted.last != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("a header in the middle cannot be read, or the end is missing")
        # What follows is padding; reading it lets the decompressor check its own end mark and checksum.
        while counted.read(_CHUNK):
            continue


def _check_directory(archive: Path) -> None:
    """Refuse a zip archive whose list of members would fill the memory: ``zipfile`` reads it whole before it gives the first.

    Raises:
        DataError: the list is larger than allowed.
    """
    entries, size = zip_list(archive)
    if entries > _MAX_ENTRIES or size > _MAX_DIRECTORY:
        raise DataError(
            f"{archive} lists {entries} members in {size} bytes; at most {_MAX_ENTRIES} members and "
            f"{_MAX_DIRECTORY} bytes are read. It is refused"
        )


def _refused(archive: Path, name: str, why: str) -> DataError:
    return DataError(f"{archive}, member {name[:200]!r}: {why}; the archive is refused and nothing was imported")


class _Counted(io.RawIOBase):
    """A seekable stream that reports how far it was read, and reads nothing large at once: tarfile takes a header's word for how
    long a header is, so a header that claims gigabytes would otherwise fill the memory."""

    def __init__(self, source: io.BufferedIOBase, bound: Callable[[int], None]) -> None:
        self.source, self.bound, self.last = source, bound, b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.source.tell()

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        self.last = self.source.read(size)
        self.bound(self.source.tell())
        return self.last

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET:
            raise io.UnsupportedOperation("seeking from the start only")
        while (here := self.source.tell()) < offset:
            if not self.source.read(min(_CHUNK, offset - here)):
                break
            self.bound(self.source.tell())
        if here > offset:
            self.source.seek(offset)
        return self.source.tell()
