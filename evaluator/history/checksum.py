"""The text format of stored cells and answers: JSON with one member per line, and a checksum as the last member.

The checksum is SHA-256 over the other members as JSON with sorted keys and without spaces. The file is exactly that text, with a
line break after each member. So a reader hashes the whole file and parses only the members that a table needs: lists of items and
histories are hashed but not parsed. A file with other white space (of an older kit, or of an editor) is valid too, but takes about
ten times as long to verify.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from evaluator.specs import canonical

_MEMBER = re.compile(rb'"(\w+)":(.*),')
_END = re.compile(rb',\n"checksum":"([0-9a-f]{64})"\n}\n\Z')


def sealed(content: dict[str, Any]) -> str:
    """The text of a file: the members of ``content`` (its keys are strings) and their checksum.

    Raises:
        ValueError: as ``checksum``.
    """
    members = [f"{json.dumps(name)}:{canonical(content[name])}" for name in sorted(content)]
    digest = hashlib.sha256(f"{{{','.join(members)}}}".encode()).hexdigest()
    return "{\n" + ",\n".join([*members, f'"checksum":"{digest}"']) + "\n}\n"


def members(raw: bytes) -> dict[str, bytes] | None:
    """The members of a file in this format, by name, each as JSON text. ``checksum`` is among them and was verified.

    None if the file has another format or was changed; the caller has to parse it to learn which.
    """
    end = _END.search(raw, max(0, len(raw) - 90))
    if end is None or not raw.startswith(b"{\n"):
        return None
    body = raw[2 : end.start()]
    if hashlib.sha256(b"{" + body.replace(b"\n", b"") + b"}").hexdigest().encode() != end[1]:
        return None
    found = [_MEMBER.fullmatch(line) for line in (body + b",").split(b"\n")]
    names = [match[1].decode() for match in found if match is not None]
    # If a line was broken in two, a name is out of order or a line is not a member.
    if len(names) < len(found) or names != sorted(set(names)):
        return None
    return {match[1].decode(): match[2] for match in found if match is not None} | {"checksum": b'"' + end[1] + b'"'}
