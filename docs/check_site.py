"""What is wrong with a built site: links and anchors that lead nowhere, and whatever a page would load from another host.

python -m docs.check_site FOLDER    exit 1 where something is wrong
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "img": ("src", "srcset"),
    "input": ("src",),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
"""Attributes by which a page loads something, by tag."""
NOT_LOADED = {"canonical", "next", "prev", "alternate", "author", "license"}
"""Kinds of ``<link>`` that say something of a page and load nothing."""
_URL = re.compile(r"url\(\s*['\"]?([^'\")]+)['\"]?\s*\)|@import\s+['\"]([^'\"]+)['\"]")


@dataclass
class _Page(HTMLParser):
    """Anchors, links and loaded files of one page."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link" and set(given.get("rel", "").split()) & NOT_LOADED:
            return
        for name in LOADED.get(tag, ()):
            if value := given.get(name):
                parts = value.split(",") if name == "srcset" else [value]
                self.loaded += [part.split()[0] for part in parts if part.split()]
        if "style" in given:
            self.loaded += in_css(given["style"])


def in_css(text: str) -> list[str]:
    """What a style sheet loads."""
    return [first or second for first, second in _URL.findall(text)]


def faults(folder: Path) -> list[str]:
    """What is wrong with the site in a folder, a line each; empty where nothing is."""
    folder = folder.resolve()
    read: dict[Path, _Page] = {}
    for file in sorted(folder.rglob("*.html")):
        read[file] = _Page()
        read[file].feed(file.read_text(encoding="utf-8"))
    if not read:
        return [f"{folder}: holds no page"]
    found = []
    for file, page in read.items():
        name = file.relative_to(folder)
        if name.name == "404.html":  # a server shows it at any address, so its addresses begin at the root
            found += [f"{name}: loads {address}" for address in page.loaded if _outside(address)]
            continue
        for address in dict.fromkeys(page.loaded):
            if _outside(address):
                found.append(f"{name}: loads {address} from another host")
            elif not address.startswith(("data:", "#")) and _target(file, address) is None:
                found.append(f"{name}: loads {address}, which is not there")
        for address in dict.fromkeys(page.links):
            if not urlsplit(address).scheme and not address.startswith("//"):
                found += _broken(file, address, read, str(name))
    for file in sorted(folder.rglob("*.css")):
        outside = [address for address in in_css(file.read_text(encoding="utf-8")) if _outside(address)]
        found += [f"{file.relative_to(folder)}: loads {address} from another host" for address in outside]
    return found


def _outside(address: str) -> bool:
    return address.startswith("//") or urlsplit(address).scheme in ("http", "https", "ftp", "ws", "wss")


def _target(file: Path, address: str) -> Path | None:
    path = unquote(urlsplit(address).path)
    target = Path(os.path.normpath(file.parent / path)) if path else file
    target = target / "index.html" if target.is_dir() else target
    return target if target.is_file() else None


def _broken(file: Path, address: str, read: dict[Path, _Page], name: str) -> list[str]:
    target, anchor = _target(file, address), unquote(urlsplit(address).fragment)
    if target is None:
        return [f"{name}: links to {address}, which is not there"]
    known = read.get(target)
    if anchor and known is not None and anchor not in known.anchors:
        return [f"{name}: links to {address}, and there is no such anchor"]
    return []


def main() -> int:
    found = faults(Path(sys.argv[1]))
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
