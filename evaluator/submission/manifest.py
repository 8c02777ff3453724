"""The manifest of a submission, ``aicrowd.json``: who wrote it, for which challenge, under which licence.

It is the file that AIcrowd's own submissions carry. It never changes a score; a run shows it, so that a person sees what will
be judged under which name before anything is sent.
"""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from evaluator.errors import ConfigurationError
from evaluator.submission.travel import MANIFEST as FILE
from evaluator.submission.travel import kind
from evaluator.worker.plain import kind_of

MAX_BYTES = 64 * 1024
MAX_DEPTH = 16
"""Levels of objects and lists."""
MAX_MEMBERS = 1_000
"""Members of all objects and lists together."""
MAX_DIGITS = 40
"""Digits of a number in a row."""
PLACEHOLDER = "your-name"
"""The author in the kit's own manifest: it names nobody."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_TEXT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_ADDRESS = re.compile(r"https?://[!#-;=?-\[\]_a-z~]+", re.IGNORECASE | re.ASCII)
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+\.?|localhost")
_DIGITS = re.compile(rb"[0-9]{%d}" % (MAX_DIGITS + 1))

_KINDS: dict[str, tuple[type, str]] = {
    "challenge_id": (str, "a text"),
    "grader_id": (str, "a text"),
    "authors": (list, "a list of texts"),
    "team": (str, "a text"),
    "description": (str, "a text"),
    "license": (str, "a text"),
    "gpu": (bool, "true or false"),
    "submit_to": (str, "a text"),
    "code": (str, "a text"),
    "write_up": (str, "a text"),
}
LINKS = ("code", "write_up")
"""Keys whose values are addresses that a leaderboard links to."""
MAX_ADDRESS = 500
"""Characters of an address."""


KEYS = tuple(_KINDS)
"""Keys that the kit reads."""


@dataclass(frozen=True)
class Manifest:
    """What a manifest says; empty where it says nothing. Keys that are not named here are allowed and left out.

    Attributes:
        path: the file that was read.
        team: name of the team; ``authors``: its members, or the person who wrote it.
        gpu: the submission asks for a GPU. Shown only: the device of a run is its organiser's choice.
        submit_to: where ``submit`` sends it, as its option ``--to``.
        code, write_up: addresses (``web_address``) that a leaderboard links to.
    """

    path: Path
    challenge_id: str = ""
    grader_id: str = ""
    authors: tuple[str, ...] = ()
    team: str = ""
    description: str = ""
    license: str = ""
    gpu: bool = False
    submit_to: str = ""
    code: str = ""
    write_up: str = ""

    @property
    def owner(self) -> str:
        """Whose submission it is, as it says itself: the team, else the authors. Empty where it says nothing, and in the kit's own
        manifest that nobody has filled in."""
        named = [self.team] if self.team.strip() else list(self.authors)
        return ", ".join(part for part in (" ".join(text.split()) for text in named) if part and part != PLACEHOLDER)

    @property
    def line(self) -> str:
        """One line for a person: description, team, authors, licence, challenge, as far as they are there."""
        parts = [self.description, f"team {self.team}" if self.team else ""]
        parts.append("by " + ", ".join(self.authors) if self.authors else "")
        parts.append(f"licence {self.license}" if self.license else "")
        parts.append(f"for {self.challenge_id}" if self.challenge_id else "")
        parts.append("asks for a GPU" if self.gpu else "")
        return "; ".join(part for part in parts if part)


def manifest_file(submission: Path) -> Path | None:
    """Where the manifest of the submission at ``submission`` lies, or None where there is none.

    Of a folder it is the manifest inside it, else beside it (``my_submission/`` and the kit's own ``aicrowd.json``); of a file it
    is the manifest beside it. What lies there may be no file that can be read.
    """
    submission = submission.expanduser().absolute()
    places = (submission, submission.parent) if submission.is_dir() else (submission.parent,)
    return next((place / FILE for place in places if os.path.lexists(place / FILE)), None)


def read_manifest(submission: Path) -> Manifest | None:
    """The manifest of the submission at ``submission``, or None where there is none.

    It is a stranger's file: it is read without waiting and without following a link, and measured before it is parsed.

    Raises:
        ConfigurationError: the file cannot be read, breaks a bound, is not a JSON object, or a known key has a value of another
            kind.
    """
    path = manifest_file(submission)
    if path is None:
        return None
    return parse_manifest(_read(path), path)


def manifest_faults(submission: Path) -> tuple[list[str], tuple[str, ...]]:
    """Everything that is wrong with the manifest of the submission at ``submission``, each as a message of ``read_manifest``, which
    ends at the first; and its keys, known or not. Both are empty where there is no manifest.
    """
    path = manifest_file(submission)
    if path is None:
        return [], ()
    try:
        content = _content(_read(path), path)
    except ConfigurationError as error:
        return [str(error)], ()
    faults = []
    for key in (key for key in _KINDS if key in content):
        try:
            _checked(path, key, content[key])
        except ConfigurationError as error:
            faults.append(str(error))
    return faults, tuple(content)


def parse_manifest(raw: bytes, path: Path) -> Manifest:
    """The manifest in the bytes of the file at ``path``; they are measured before they are parsed.

    Raises:
        ConfigurationError: as ``read_manifest``.
    """
    content = _content(raw, path)
    return Manifest(path, **{key: _checked(path, key, content[key]) for key in _KINDS if key in content})


def web_address(text: str) -> str:
    """The host of an address that a page may link to, in lower case; empty if it may not.

    It begins with ``http://`` or ``https://`` and is plain ASCII without blanks, quotes and angle brackets, so that it is the same
    wherever it is shown; and it names no user, because ``https://known-site@other.example/`` leads to ``other.example``.
    """
    if len(text) > MAX_ADDRESS or not _ADDRESS.fullmatch(text):
        return ""
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises for a port that is no number
    except ValueError:
        return ""
    host = parts.hostname or ""
    return "" if "@" in parts.netloc or not _HOST.fullmatch(host) else host


def _content(raw: bytes, path: Path) -> dict[str, Any]:
    raw = raw.removeprefix(BYTE_ORDER_MARK)
    _measure(path, raw)
    try:
        content = json.loads(raw.decode("utf-8"), object_pairs_hook=lambda pairs: _once(path, pairs))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not JSON in UTF-8 ({error}); mend it or remove it") from None
    if not isinstance(content, dict):
        raise ConfigurationError(f'{path} holds {kind_of(content)}; an object was expected, e.g. {{"authors": ["name"]}}')
    return content


def _once(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON whose keys are all different. Of equal keys JSON's readers take the last, and say nothing."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ConfigurationError(f"{path}: the key {key[:80]!r} stands in it more than once; name it once")
        found[key] = value
    return found


def _read(path: Path) -> bytes:
    """The bytes of a manifest, if it is a regular file and not too long."""
    try:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            raise ConfigurationError(f"{path} is a link; a regular file was expected. Replace it by the file itself")
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0) as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ConfigurationError(f"{path} is {kind(found.st_mode)}; a regular file was expected. Replace it or remove it")
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}); mend it or remove it") from None
    if len(raw) > MAX_BYTES:
        size = max(found.st_size, len(raw))
        raise ConfigurationError(f"{path} has {size:,} bytes; a manifest has at most {MAX_BYTES:,}. Put long texts elsewhere")
    return raw


def _measure(path: Path, raw: bytes) -> None:
    """Hold a JSON text against the bounds before a parser sees it."""
    bare = _TEXT.sub(b"", raw)
    depth = deepest = 0
    for sign in re.findall(rb"[\[\]{}]", bare):
        depth += 1 if sign in b"[{" else -1
        deepest = max(deepest, depth)
    members = bare.count(b",") + len(re.findall(rb"[\[{]", bare))
    for seen, bound, what in (
        (deepest, MAX_DEPTH, "levels of objects and lists"),
        (members, MAX_MEMBERS, "members of objects and lists"),
    ):
        if seen > bound:
            raise ConfigurationError(f"{path} has {seen:,} {what}; a manifest has at most {bound:,}. Shorten it")
    if _DIGITS.search(bare):
        raise ConfigurationError(f"{path} holds a number of more than {MAX_DIGITS} digits; write it as a text, or shorten it")


def _checked(path: Path, key: str, value: Any) -> Any:
    expected, words = _KINDS[key]
    good = isinstance(value, expected) and (not isinstance(value, list) or all(isinstance(member, str) for member in value))
    if not good:
        said = repr(value)
        said = said if len(said) <= 80 else f"{said[:80]}..."
        raise ConfigurationError(f"{path}: {key} is {said}; it must be {words}")
    for text in (value,) if expected is str else value if expected is list else ():
        if any("\ud800" <= c <= "\udfff" for c in text):
            raise ConfigurationError(f"{path}: {key} holds half a character, {text[:80]!a}; write the whole character")
    if key in LINKS and value and not web_address(value):
        raise ConfigurationError(
            f"{path}: {key} is {value[:80]!a}; it must be an address that begins with https:// or http://, without a user's name"
        )
    return tuple(value) if expected is list else value
