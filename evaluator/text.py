"""Text that a stranger wrote, made harmless before it is shown.

Names of folders and classes, messages, tracebacks, logs, members of manifests and of stored results may hold anything: escape
sequences that steer a terminal, line breaks that forge a row of a table, marks that turn the direction of writing, formulas that a
spreadsheet computes. The functions here give a form for every place where a text is shown: ``name`` and ``one_line`` for a cell of
a table or a sentence, ``quoted`` for tracebacks and logs, ``message`` for our own warnings and errors, which quote strangers, and
``markdown``, ``html``, ``spreadsheet`` and ``json_text`` for files. Standard library only.

The escapes are Python's own (``\\x1b``, ``\\u202e``). They are for people: a text cannot be had back from its shown form.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import unicodedata
from typing import Any

NAME_WIDTH = 48
"""Largest width of a name, in cells of a terminal."""
LINE_WIDTH = 400
"""Largest width of a text in one line: a reason, a path."""
MESSAGE_WIDTH = 4_000
"""Largest width of one line of a warning or an error."""
MESSAGE_LINES = 200
"""Largest number of lines of a warning or an error."""
QUOTED_LINES = 40
"""Largest number of lines of a quotation."""
BAR, GAP = "  | ", "  : "
"""What begins each line of a quotation, and each of our own lines in it."""
MARKS = 4
"""Largest number of combining marks on one character: more would be drawn over the lines above and below."""

_UNSEEN = frozenset(
    [
        0x34F,
        0x115F,
        0x1160,
        0x17B4,
        0x17B5,
        0x2800,
        0x3164,
        0xFFA0,
        *range(0x180B, 0x1810),
        *range(0xFE00, 0xFE10),
        *range(0xE0100, 0xE01F0),
    ]
)
"""Characters that count as printable and show nothing: fillers, joiners, selectors of variants, the empty Braille cell."""
_PADDING = re.compile(r"(?<= ) |^ | $")
_PLAIN = re.compile(r"[ -~]*\Z")
# Where the comma divides decimals, spreadsheets divide a line at semicolons, and what follows one begins a cell.
_FORMULA = re.compile(r"(^|;)(\s*[=+\-@\uff0b\uff0d\uff1d\uff20])")
_PUNCTUATION = re.escape(r"""!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~""")
_MARKDOWN = re.compile(
    r"[`*~$|]"  # code, emphasis, strikethrough, formulas, the bounds of a cell
    r"|\\(?=[" + _PUNCTUATION + r"])"  # a backslash that would escape
    r"|(?<![^\W_])_|_(?![^\W_])"  # emphasis; not the underscores within a name
    r"|\](?=[(\[:])"  # links
    r"|:(?=//)|(?<=www)\."  # addresses that become links by themselves
    r"|^(?:[#>]|[-+](?=\s|$))"  # headings, quotations, lists
    r"|(?<=^\d)[.)](?=\s|$)"
    r"|^(?:-(?=-)|=(?==))",  # rules, underlines of headings
    re.IGNORECASE,
)
_LONGEST_COMMAND = 10_000
"""A path of the longest kind is not cut: a command that was cut could not be pasted."""
_LOGIN = re.compile(r"(?<=://)[^/\s]*@")


def visible(text: str) -> str:
    """The text with every character escaped that steers, hides, reorders or breaks: all control characters (line breaks, too),
    directions, zero widths, other separators than the blank, surrogates, private and unassigned characters, and combining marks
    beyond ``MARKS`` on one character. Applied twice it gives the same as once."""
    if _PLAIN.match(text):
        return text
    shown = []
    marks = MARKS  # a mark at the beginning would be drawn over what stands before the text
    for character in text:
        if not character.isprintable() or ord(character) in _UNSEEN:
            shown.append(_escape(character))
            marks = 0
        elif unicodedata.category(character) in ("Mn", "Me"):
            marks += 1
            if marks > MARKS:
                shown.append(_escape(character))
                marks = 0
            else:
                shown.append(character)
        else:
            shown.append(character)
            marks = 0
    return "".join(shown)


def visible_lines(text: str) -> str:
    """The same, but line breaks and tabs stay: a text to store, which ``quoted`` will show."""
    return "\n".join("\t".join(map(visible, line.split("\t"))) for line in text.split("\n"))


def without_logins(text: str) -> str:
    """The text in which addresses have no user, password or token: ``https://fox:secret@host/x`` becomes ``https://host/x``."""
    return _LOGIN.sub("", text)


def cells(text: str) -> int:
    """The width of a ``visible`` text in cells of a terminal: 2 for wide characters, 0 for combining marks, else 1."""
    if text.isascii():
        return len(text)
    return sum(map(_width, text))


def one_line(text: object, width: int = LINE_WIDTH) -> str:
    """A text in one line, e.g. a reason: ``visible``, and cut to ``width`` cells (32 or more) with a note of what was cut.

    Applied twice it gives the same as once.
    """
    return _cut(str(text), max(width, 32), middle=False)


def as_command(*words: object) -> str:
    """A command in one line, as a shell takes it: a word with blanks or other signs is quoted, e.g. a path."""
    return one_line(shlex.join(map(str, words)), _LONGEST_COMMAND)


def name(text: object, width: int = NAME_WIDTH) -> str:
    """A name, e.g. of a submission: like ``one_line``, but cut in the middle, and blanks that pad it are shown."""
    return _cut(_PADDING.sub(r"\\x20", str(text)), max(width, 32), middle=True)


def quoted(text: str, width: int = 120, lines: int = QUOTED_LINES) -> str:
    """A text of several lines as a quotation, e.g. a traceback: no line of it looks like ours, however it is folded.

    Args:
        width: of the whole line, in cells; longer lines are folded here, because a terminal folds to its first column.
        lines: largest number of lines after folding. Of a longer text the first and the last lines are given.
    """
    room = max(width - len(BAR), 20)
    most = max(lines, 2)
    head, tail = most // 2, most - most // 2
    # A text of megabytes is not made visible whole: what cannot be shown is cut before.
    found = [line for part in _limited(text, most, room).rstrip("\n").split("\n") for line in _folded(part, room)]
    if len(found) > most:
        left_out = len(found) - most
        gap = f"{GAP}{left_out} line{'s are' if left_out > 1 else ' is'} left out"
        return "\n".join([*(BAR + line for line in found[:head]), gap, *(BAR + line for line in found[-tail:])])
    return "\n".join(BAR + line for line in found)


def said(label: str, text: str, width: int = 120) -> str:
    """``label: text`` if that is a sentence, folded with an indent where it is long; else the label, and the text quoted below it.

    What has several lines, or blanks beside each other as a table has, is no sentence.
    """
    plain = text.strip()
    if "\n" in plain or "  " in plain or "\t" in plain:
        return f"{label}:\n{quoted(plain, width)}"
    return message(f"{label}: {one_line(plain)}", width)


def message(text: object, width: int | None = None) -> str:
    """A warning or an error of ours, which may quote strangers. Its first line begins it; all others are indented.

    Args:
        width: of the terminal that shows it, in cells, so that no line is folded to the first column; None for a file.
    """
    first, *rest = str(text).expandtabs(4).split("\n")
    shown = []
    for number, line in enumerate(one_line(line, MESSAGE_WIDTH) for line in (first, *rest[: MESSAGE_LINES - 1])):
        indent = "  " if number and not line.startswith("  ") else ""
        folded = [line] if width is None else _split(line, max(width - 4, 20), words=True)
        shown += [indent + folded[0], *("    " + part for part in folded[1:])]
    if len(rest) >= MESSAGE_LINES:
        shown.append(f"  ... {len(rest) - MESSAGE_LINES + 1:,} more lines")
    return "\n".join(shown)


def say(text: object, **to: Any) -> None:
    """Print a warning or an error of ours on stderr, as ``message`` gives it. ``to``: keywords of ``print``."""
    file: Any = to.setdefault("file", sys.stderr)
    width = None
    try:
        if file.isatty():
            width = os.get_terminal_size(file.fileno()).columns or None
    except (OSError, ValueError, AttributeError):
        width = None  # no terminal, or one without a size
    print(message(text, width), **to)


def markdown(text: object, width: int = LINE_WIDTH) -> str:
    """A text for a cell or a bullet of Markdown: ``one_line``, with everything escaped that Markdown or HTML would not show as it
    is: code, emphasis, links, the bounds of a cell, tags, entities."""
    shown = one_line(text, width).strip()
    shown = re.sub(r"&(?=#|\w)", "&amp;", _MARKDOWN.sub(lambda match: "\\" + match[0], shown))
    return shown.replace("<", "&lt;")


def html(text: object, width: int = LINE_WIDTH) -> str:
    """A text for HTML, in an element or a quoted attribute: ``one_line``, escaped, its own direction of writing kept within it."""
    shown = one_line(text, width)
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#x27;")):
        shown = shown.replace(character, entity)
    return shown


def spreadsheet(value: Any) -> Any:
    """A value for a cell of CSV: texts are ``one_line``, and what a spreadsheet would compute (``=``, ``+``, ``-``, ``@`` first, or
    first after a semicolon) gets an apostrophe before it. Numbers stay as they are."""
    if not isinstance(value, str):
        return value
    shown = one_line(value, 32_000)  # Excel's largest cell has 32,767 characters
    return _FORMULA.sub(r"\1'\2", shown)


def json_text(value: Any, **how: Any) -> str:
    """JSON to print: pure ASCII without control characters. ``how``: keywords of ``json.dumps``."""
    return json.dumps(value, **how).replace("\x7f", "\\u007f")


def _escape(character: str) -> str:
    short = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character)
    code = ord(character)
    return short or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")


def _width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _cut(text: str, width: int, *, middle: bool) -> str:
    """A text made visible and cut to so many cells. The note of what was cut is a part of them."""
    length, most = len(text), 12 * width
    # Every cell has MARKS + 1 characters at most, so these parts alone are wider than what is shown.
    whole = length <= 2 * most
    first, last = (text, text) if whole else (text[:most], text[-most:])
    shown = visible(first)
    if whole and cells(shown) <= width:
        return shown
    note = f" ... ({length:,} characters) ... " if middle else f" ... ({length:,} characters)"
    # Without blanks beside those of the note, which would be taken for padding when the text is shown once more.
    tail = _last(visible(last), (width - len(note)) // 2).lstrip(" ") if middle else ""
    return _first(shown, width - len(note) - cells(tail)).rstrip(" ") + note + tail


def _first(text: str, width: int) -> str:
    used = 0
    for place, character in enumerate(text):
        used += _width(character)
        if used > width:
            return text[:place]
    return text


def _last(text: str, width: int) -> str:
    used = 0
    for place in range(len(text) - 1, -1, -1):
        used += _width(text[place])
        if used > width:
            rest = text[place + 1 :]
            while rest and not _width(rest[0]):  # a mark whose character was cut
                rest = rest[1:]
            return rest
    return text


def _limited(text: str, lines: int, width: int) -> str:
    """A text without what ``quoted`` cannot show: at least so many lines of so many cells remain at both ends."""
    most = 12 * lines * width  # an escape has ten characters at most; some more for marks
    if len(text) <= 2 * most:
        return text
    return f"{text[:most]}\n[{len(text) - 2 * most:,} characters are left out]\n{text[-most:]}"


def _folded(line: str, width: int) -> list[str]:
    return _split(visible(line.removesuffix("\r").expandtabs(4)), width)


def _split(text: str, width: int, *, words: bool = False) -> list[str]:
    """A visible text in parts of at most so many cells. ``words``: parts end at a blank where one is near the end of the part."""
    parts, start = [], 0
    while start < len(text):
        part = _first(text[start : start + (MARKS + 1) * width], width)
        blank = part.rfind(" ", len(part) // 2) if words and start + len(part) < len(text) else -1
        part = part if blank < 1 else part[:blank]
        parts.append(part)
        start += len(part) + (blank >= 1)
    return parts or [""]
