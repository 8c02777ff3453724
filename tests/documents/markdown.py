"""The pages of the project as text: their headings with anchors, their links, and their blocks of code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docs.slugs import slug

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    str(path.relative_to(ROOT))
    for place in (".", "docs", "baselines", "data", "my_submission", ".github", "experiments", "benchmarks")
    for path in (ROOT / place).rglob("*.md")
    if place != "." or path.parent == ROOT
)
"""Every page, as a path from the root. Data sets below ``data/`` may have a card of their own, which is not ours."""
PAGES = [page for page in PAGES if not page.startswith("data/") or page == "data/README.md"]
_FENCE = re.compile(r"^( *)(```+|~~~+) *([\w+-]*)\s*$")
_COMMENT = re.compile(r"^ *<!-- ([a-z ]+): (.+?) -->$")
_HEADING = re.compile(r"^(#{1,6}) +(.*?)(?: +#+)? *$")
_LINK = re.compile(r"(?<!\\)\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(([^()\s]+)\)")
_HTML = re.compile(r"<(?:img|a)\s[^>]*?(?:src|href)=\"([^\"]+)\"")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it begins, the language that its fence names, its text, and what the comments before it say."""

    page: str
    line: int
    language: str
    text: str
    notes: dict[str, str]

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, text: str | None = None) -> Iterator[Block]:
    """The blocks of a page in order. A comment ``<!-- word: value -->`` on the lines right before a block belongs to it."""
    notes: dict[str, str] = {}
    begun: tuple[int, str, str] | None = None
    inside: list[str] = []
    for number, line in enumerate((text_of(page) if text is None else text).split("\n"), 1):
        fence = _FENCE.match(line)
        if begun is not None:
            if fence and fence[2].startswith(begun[2]) and not fence[3]:
                yield Block(page, begun[0], begun[1], "\n".join(inside) + "\n", notes)
                begun, notes = None, {}
            else:
                inside.append(line)
        elif fence:
            begun, inside = (number, fence[3], fence[2]), []
        elif comment := _COMMENT.match(line):
            notes[comment[1]] = comment[2]
        elif line.strip():
            notes = {}
    assert begun is None, f"{page}:{begun[0] if begun else 0}: a block that does not end"


def inline(page: str) -> list[str]:
    """Code within the sentences of a page, line breaks as blanks."""
    lines, code = [], False
    for line in text_of(page).split("\n"):
        if _FENCE.match(line):
            code = not code
        elif not code:
            lines.append(line)
    return [" ".join(found.split()) for found in re.findall(r"(?<!`)`([^`]+)`(?!`)", "\n".join(lines))]


def prose(text: str) -> str:
    """A page without its blocks of code and without code in lines."""
    lines, code = [], False
    for line in text.split("\n"):
        if _FENCE.match(line):
            code = not code
        elif not code:
            lines.append(re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "`code`", line))
    return "\n".join(lines)


def links(page: str) -> list[str]:
    """What a page links to, pictures included."""
    text = prose(text_of(page))
    return _LINK.findall(text) + _HTML.findall(text)


def headings(text: str) -> list[str]:
    found, code = [], False
    for line in text.split("\n"):
        if _FENCE.match(line):
            code = not code
        elif not code and (heading := _HEADING.match(line)):
            found.append(heading[2])
    return found


def anchor(heading: str) -> str:
    """The anchor of a heading in Markdown."""
    return slug(re.sub(r"[`*]", "", re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)))


def anchors(page: str) -> list[str]:
    """The anchors of a page in order; where two headings are the same, the second has none that can be relied on."""
    return [anchor(heading) for heading in headings(text_of(page))]
