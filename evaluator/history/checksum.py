"""The form of a stored cell or answer: its checksum stands at its end and fits the file's own text.

A checksum is taken over a content as JSON with sorted keys and without spaces. The file is that text, a member a line, so that
only the members that a table needs are parsed; the large ones (lists of items, histories) are hashed and not parsed. A file with
other white space, of an older kit or an editor, is as good: it has the same checksum, which takes ten times as long to compare.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

_MEMBER = re.compile(rb'"(\w+)":(.*),')
_END = re.compile(rb',\n"checksum":"([0-9a-f]{64})"\n}\n\Z')


def checksum(content: dict[str, Any]) -> str:
    """SHA-256 over a content as JSON with sorted keys and without spaces.

    Raises:
        ValueError: a number that JSON does not have (NaN, infinity).
    """
    return hashlib.sha256(_plain(content).encode()).hexdigest()


def sealed(content: dict[str, Any]) -> str:
    """The text of a file that holds ``content``, whose keys are texts, and its checksum.

    Raises:
        ValueError: as ``checksum``.
    """
    members = [f"{json.dumps(name)}:{_plain(content[name])}" for name in sorted(content)]
    digest = hashlib.sha256(f"{{{','.join(members)}}}".encode()).hexdigest()
    return "{\n" + ",\n".join([*members, f'"checksum":"{digest}"']) + "\n}\n"


def members(raw: bytes) -> dict[str, bytes] | None:
    """Every member of a file of this form as JSON, by name, the checksum too, which fits the others.

    None where the file has another form, or was changed: only parsing it tells which.
    """
    end = _END.search(raw, max(0, len(raw) - 90))
    if end is None or not raw.startswith(b"{\n"):
        return None
    body = raw[2 : end.start()]
    if hashlib.sha256(b"{" + body.replace(b"\n", b"") + b"}").hexdigest().encode() != end[1]:
        return None
    found = [_MEMBER.fullmatch(line) for line in (body + b",").split(b"\n")]
    names = [match[1].decode() for match in found if match is not None]
    # A line that was broken in two leaves a name out of its order, or a line that is no member.
    if len(names) < len(found) or names != sorted(set(names)):
        return None
    return {match[1].decode(): match[2] for match in found if match is not None} | {"checksum": b'"' + end[1] + b'"'}


def _plain(content: Any) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
