"""The secret of a round, or of a folder of results: 128 random bits that every draw follows from, together with the root seed.

Whoever knows the numbers that draws follow from knows the order of the pool and the annotators' mistakes, and so what a label is
worth before it is bought. So they are not public: the first run with a folder of results makes a secret and keeps it there, or an
organiser gives one file to every run of a round. Stored cells hold a fingerprint of the secret, never the secret. Public seeds are
runs without a secret: every draw follows from the root seed alone, so that anybody repeats a published figure.

The secret is read by the evaluator and handed on in memory only: never in a command line, an environment, or a file of a worker.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evaluator.errors import ConfigurationError
from evaluator.files import write_new
from evaluator.seeds import derive
from evaluator.words import counted

FILE = "secret"
"""Name of the file in a folder of results."""
BITS = 128
MOST_BYTES = 256
"""Size from which on a file is refused without being read."""
_DIGITS = BITS // 4
_CONTENT = re.compile(rf"([0-9a-f]{{{_DIGITS}}})(?: ([0-9a-f]{{16}}))?")
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")
_LEAST_VARIED = 6
"""Different hexadecimal digits that a random number of this length has, but for one in 10^12."""
_FORM = f"expected one line of {_DIGITS} hexadecimal digits"


@dataclass(frozen=True)
class Secret:
    """A secret. Its number is not shown by ``repr``, so that no log or traceback shows it.

    Attributes:
        number: 0 <= number < 2**128.
    """

    number: int = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that name the secret and do not give it away."""
        return hashlib.sha256(f"fingerprint of a secret:{self.number:0{_DIGITS}x}".encode()).hexdigest()[:16]

    def root(self, root_seed: int) -> int:
        """The number that every draw is split from (``evaluator.seeds``), 128 bits. It must not become public either."""
        return derive(self.number, "root", root_seed)


def root_of(secret: Secret | None, root_seed: int, fingerprint: str) -> int:
    """The number that every draw of a cell is split from: of secret and root seed; with public seeds the root seed itself.

    Args:
        secret: None for public seeds.
        root_seed, fingerprint: as the cell's spec holds them.

    Raises:
        ConfigurationError: the spec is of another secret.
    """
    own = "" if secret is None else secret.fingerprint
    if own != fingerprint:
        raise ConfigurationError(
            f"the seeds of the cell are {seeds_in_words(fingerprint)}, those of this run are {seeds_in_words(own)}; name the file "
            "of the cell's secret with --secret"
        )
    return root_seed if secret is None else secret.root(root_seed)


def is_fingerprint(value: object) -> bool:
    """Whether ``value`` is a fingerprint, as a stored spec holds it."""
    return isinstance(value, str) and _FINGERPRINT.fullmatch(value) is not None


def seeds_in_words(fingerprint: str) -> str:
    """``public``, or ``secret 1a2b3c4d5e6f7a8b``. ``fingerprint``: of the secret; empty for public seeds."""
    return f"secret {fingerprint}" if fingerprint else "public"


def root_in_words(root_seed: int, fingerprint: str) -> str:
    """``root 2022, public``, or ``root 2022, secret 1a2b3c4d5e6f7a8b``."""
    return f"root {root_seed}, {seeds_in_words(fingerprint)}"


def read_secret(path: Path) -> Secret:
    """The secret of a file.

    A link is not followed and a pipe is not waited for. The file holds 32 hexadecimal digits, and may hold the fingerprint after
    them, as the kit writes it; a changed digit is then noticed.

    Raises:
        ConfigurationError: the file is missing, cannot be read, or does not hold a secret. The message does not show its content.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            raw = file.read(MOST_BYTES + 1) if stat.S_ISREG(status.st_mode) else None
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path}: there is no file of a secret here; name the round's file with --secret, or repeat public figures with "
            "--public-seeds"
        ) from None
    except OSError as error:
        seen = "it is a link, which is not followed" if error.errno == errno.ELOOP else f"it cannot be read ({error.strerror})"
        raise _unusable(path, seen, "expected a regular file that you may read") from None
    if raw is None:
        raise _unusable(path, "it is no regular file", "expected a regular file that you may read")
    if not raw.strip():
        raise _unusable(path, "the file of the secret is empty", _FORM)
    if len(raw) > MOST_BYTES:
        raise _unusable(path, f"the file of the secret is too long, {status.st_size} bytes", _FORM)
    found = _CONTENT.fullmatch(raw.removeprefix(b"\xef\xbb\xbf").decode("latin-1").strip().lower())
    if found is None:
        raise _unusable(path, "the file holds no secret", _FORM)
    secret = Secret(int(found[1], 16))
    if found[2] not in (None, secret.fingerprint):
        raise _unusable(path, "the secret was changed after it was written", "its digits do not fit the fingerprint behind them")
    if len(set(found[1])) < _LEAST_VARIED:
        raise _unusable(path, "the secret is no random number", f"{_FORM}, drawn at random")
    return secret


def folder_secret(folder: Path, stored: Callable[[], Mapping[str, int]], keep: bool = True) -> Secret:
    """The secret of a folder of results. It is made and kept if the folder has none; evaluators that start at once get the same.

    Args:
        stored: gives the number of stored cells of the folder by fingerprint; it is called if the folder has no file.
        keep: write the file if it is missing. If False, a secret that is made is good for this process alone.

    Raises:
        ConfigurationError: the file cannot be read or written or does not hold a secret, or it is missing and the folder has cells
            of a secret.
    """
    path = folder / FILE
    if os.path.lexists(path):
        return read_secret(path)
    others = {fingerprint: count for fingerprint, count in stored().items() if fingerprint}
    if others:
        listed = "; ".join(f"{counted(count, 'cell')} of {seeds_in_words(name)}" for name, count in sorted(others.items()))
        raise ConfigurationError(
            f"{path}: the file of the secret is missing, but the folder holds {listed}; they cannot be compared with cells of a "
            "new secret. Put the file back, name it with --secret, or name another folder with --out"
        )
    made = Secret(secrets.randbits(BITS))
    if not keep:
        return made
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_new(path, f"{made.number:0{_DIGITS}x} {made.fingerprint}\n".encode(), permissions=0o600)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: the file of the secret cannot be written ({error.strerror}); name another folder with --out, or a file with "
            "--secret"
        ) from None
    return read_secret(path)  # another evaluator may have been faster


def cell_secret(cell: Path, fingerprint: str, given: Path | None = None) -> Secret | None:
    """The secret of a stored cell; None for public seeds.

    Args:
        cell: its file, in ``cells/`` of a folder of results or in a folder below.
        fingerprint: as its spec holds it.
        given: the file of the secret; None for that of the folder of results.

    Raises:
        ConfigurationError: the file is missing or does not hold this secret.
    """
    if not fingerprint:
        return None
    places = [folder / FILE for folder in cell.absolute().parents[1:3]]  # of cells/, and of cells/replaced/
    path = given or next((place for place in places if os.path.lexists(place)), None)
    if path is None:
        raise ConfigurationError(
            f"{cell}: the seeds of the cell are of {seeds_in_words(fingerprint)}, and there is no file {places[0]}; name the file "
            "of that secret with --secret"
        )
    secret = read_secret(path)
    if secret.fingerprint != fingerprint:
        raise ConfigurationError(
            f"{path}: the file holds {seeds_in_words(secret.fingerprint)}, but the seeds of the cell {cell.name} are of "
            f"{seeds_in_words(fingerprint)}; name the file of that secret with --secret"
        )
    return secret


def _unusable(path: Path, seen: str, expected: str) -> ConfigurationError:
    return ConfigurationError(f"{path}: {seen}; {expected}. Put the right file back from your copy, or name it with --secret")
