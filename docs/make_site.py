"""Builds the documentation site into ``build/site/html``: the pages of ``docs/`` and of the project, and a reference of docstrings.

python -m docs.make_site            in an environment that has requirements-docs.txt; make docs makes one
python -m docs.make_site --stage    lay out the pages in build/site/pages and stop

The pages are written to be read in a repository, where ``../CONTRIBUTING.md`` is a link. Here they are laid out as a site: a
link to a page becomes a link to where that page lies in the site, and a file that a page links to (a picture, a notebook, the
licence) is copied beside it. Then Zensical builds them, warnings are errors, and the built pages are checked (``docs.check_site``).
"""

from __future__ import annotations

import argparse
import os
import posixpath
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from docs import docstrings
from docs.check_site import faults

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "build" / "site"
CONFIG = ROOT / "docs" / "zensical.toml"
ASSETS = {"assets/site.css": "docs/site.css", "assets/iframe-worker.js": "docs/iframe-worker.js"}
"""Files of the site, and where they lie in the project."""
ELSEWHERE = {
    "baselines.md": "baselines/README.md",
    "changelog.md": "CHANGELOG.md",
    "code-of-conduct.md": "CODE_OF_CONDUCT.md",
    "contributing.md": "CONTRIBUTING.md",
    "data.md": "data/README.md",
    "readme.md": "README.md",
    "security.md": "SECURITY.md",
}
"""Pages of the site that do not lie in ``docs/``, and where they lie."""
SHOWN = {"run": ("ZEWDPCBaseRun", "CleaningRun", "CurationRun", "practice")}
"""What the reference shows of a module, where it is not everything that is public."""
LINK = re.compile(r"`[^`]*`|(?<!\\)(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]+)\)")
"""Code within a line; or a link or a picture: mark of a picture, text, target."""
FENCE = re.compile(r"^ *```")
ITEM = re.compile(r"^( *)([-*]|[0-9]+\.) ")
_SAID = re.compile(r"\b(warning|error)\b", re.IGNORECASE)


class SiteError(Exception):
    """The site cannot be built as it is; the message names page and fault."""


def pages() -> dict[str, str]:
    """Every page of the site that is written by hand, and its path in the project."""
    own = {path.name: f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))}
    return own | ELSEWHERE


def navigation() -> list[str]:
    """The pages that the navigation names, in its order."""
    return list(_named(tomllib.loads(CONFIG.read_text(encoding="utf-8"))["project"]["nav"]))


def _named(entries: list[dict[str, object]]) -> Iterator[str]:
    for entry in entries:
        for below in entry.values():
            if isinstance(below, list):
                yield from _named(below)
            else:
                yield str(below)


def reference(page: str) -> str:
    """The page ``reference/NAME.md``: the docstrings of the module NAME, which mkdocstrings puts in.

    Names that a module hands on from others have pages of their own.
    """
    module = page.removeprefix("reference/").removesuffix(".md")
    own = SHOWN.get(module, ())
    options = "".join(f"        - {name}\n" for name in own)
    return f"::: {module}\n" + (f"    options:\n      members:\n{options}" if own else "")


def stage(out: Path) -> None:
    """Lay out all pages and the files that they link to, in an empty folder.

    Raises:
        SiteError: the navigation and the pages are not the same, or a page links to what is not there.
    """
    written, named = pages(), navigation()
    wrong = [f"{page}: twice in the navigation" for page in sorted(set(named)) if named.count(page) > 1]
    wrong += [f"{source}: not in the navigation of docs/{CONFIG.name}" for page, source in written.items() if page not in named]
    wrong += [
        f"{page}: in the navigation, but no page" for page in named if page not in written and not page.startswith("reference/")
    ]
    shutil.rmtree(out, ignore_errors=True)
    files = dict(ASSETS)
    for page, source in written.items():
        text, linked, missing = laid_out((ROOT / source).read_text(encoding="utf-8"), source, page)
        wrong += missing
        files |= linked
        _write(out / page, text)
    for page in named:
        if page.startswith("reference/"):
            _write(out / page, reference(page))
    for target, source in files.items():
        (out / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / source, out / target)
    if wrong:
        raise SiteError("\n".join(wrong))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def laid_out(text: str, source: str, page: str) -> tuple[str, dict[str, str], list[str]]:
    """A page as the site has it.

    Args:
        source: its path in the project; ``page``: its path in the site.

    Returns:
        Its text; the files it links to (path in the site: path in the project); and what is wrong with its links.
    """
    homes = {path: name for name, path in pages().items()}
    files: dict[str, str] = {}
    wrong: list[str] = []

    def link(found: re.Match[str]) -> str:
        picture, words, target = found.groups()
        if target is None or re.match(r"[a-z]+:|#|/", target):
            return found[0]
        path, sign, anchor = target.partition("#")
        there = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if there in homes:
            where = homes[there]
        elif (ROOT / there).is_file():
            where = there.removeprefix("docs/") if there.startswith("docs/") else f"files/{there}"
            files[where] = there
        elif (ROOT / there).is_dir():
            return str(words)  # a folder of the checkout: the site has no page of it
        else:
            wrong.append(f"{source}: links to {target}, which is not there")
            return found[0]
        relative = posixpath.relpath(where, posixpath.dirname(page) or ".")
        return f"{picture}[{words}]({relative}{sign}{anchor})"

    lines = outside_code(text, lambda line: LINK.sub(link, line))
    return "\n".join(lists_apart(lines)) + "\n", files, wrong


def outside_code(text: str, change: object) -> list[str]:
    """The lines of a page, changed by ``change`` where they are no code."""
    lines, code = [], False
    for line in text.rstrip("\n").split("\n"):
        if FENCE.match(line):
            code = not code
        lines.append(line if code or FENCE.match(line) else change(line))  # type: ignore[operator]
    return lines


def lists_apart(lines: list[str]) -> list[str]:
    """Lists as Python-Markdown reads them: an empty line before a list, and items below an item begin in the fifth column."""
    found: list[str] = []
    code = within = False
    for line in lines:
        if FENCE.match(line):
            code = not code
        item = None if code else ITEM.match(line)
        if item and not within and found and found[-1].strip():
            found.append("")
        if item and len(item[1]) in (2, 3):
            line = "    " + line.lstrip(" ")
        within = bool(item) or (within and not code and (not line.strip() or line.startswith(" ")))
        found.append(line)
    return found


def build(site: Path = SITE) -> None:
    """Stage, build and check the whole site.

    Raises:
        SiteError: something is wrong: with a docstring, in staging, in what Zensical says, or in what came out.
    """
    if found := docstrings.faults():
        raise SiteError("\n".join(found))
    site.mkdir(parents=True, exist_ok=True)
    stage(site / "pages")
    settings = CONFIG.read_text(encoding="utf-8").replace('"../.."', f'"{ROOT}"')
    _write(site / CONFIG.name, settings)
    for left in ("html", ".cache"):
        shutil.rmtree(site / left, ignore_errors=True)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "--config-file", CONFIG.name]
    environment = os.environ | {"NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=site, capture_output=True, text=True, env=environment)
    said = (done.stdout + done.stderr).strip()
    if done.returncode or _SAID.search(said):
        raise SiteError(f"{said}\nzensical ended with status {done.returncode}")
    print(said)
    if found := faults(site / "html"):
        raise SiteError("\n".join(found))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--stage", action="store_true", help="lay out the pages and stop")
    parser.add_argument("--out", type=Path, default=SITE, metavar="DIR", help="default: build/site")
    args = parser.parse_args()
    try:
        if args.stage:
            stage(args.out / "pages")
        else:
            build(args.out.absolute())
    except SiteError as error:
        print(f"error: the site is not built:\n{error}", file=sys.stderr)
        return 1
    print(f"built: {PurePosixPath(args.out) / ('pages' if args.stage else 'html/index.html')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
