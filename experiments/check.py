"""Are the committed pages and pictures what their committed figures give?

A page or picture differs where its figures were changed, where the code that writes it was changed, or where somebody edited it by
hand. Whatever the cause, the command that is named writes it anew; ``git diff`` then shows what changed.

A picture is compared byte by byte. Only where another version of matplotlib drew it, which draws otherwise, the figures that its
metadata names are compared instead.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import sweep
from benchmarks.scale import growth
from benchmarks.scale import page as scale_page
from evaluator.errors import ConfigurationError
from experiments import columns
from experiments.page import COMMAND, Results, page
from experiments.places import Places
from experiments.studies import coverage, recipe_findings, stability

RESULTS = f"{COMMAND} --page-only"
Made = Callable[[str], bytes] | bytes | None
"""The right content of a file; or a function that gives it from the present content, where a part of the file is written by hand;
or None where there should be no such file."""
Wanted = tuple[Path, str, Made]
"""(file, the command that writes it anew, its right content)."""


@dataclass(frozen=True)
class Finding:
    """A committed file that is not what its figures give.

    Attributes:
        file: path below the root of the repository.
        seen: what is wrong.
        command: writes the file anew.
    """

    file: str
    seen: str
    command: str

    def __str__(self) -> str:
        return f"{self.file}: {self.seen}. Run: {self.command}"


@dataclass(frozen=True)
class Checked:
    """``findings``: what is wrong. ``notes``: what could not be compared in full. ``files``: how many files were looked at."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    files: int


def check(places: Places) -> Checked:
    """Compare every generated page and picture with what its figures give. Nothing is written.

    Raises:
        ConfigurationError: figures are missing or cannot be read, or matplotlib is missing.
    """
    return differences(places, (_results, _recipes, _stability, _sweep, _scale, _coverage, cleaning, curation))


def differences(places: Places, parts: Sequence[Callable[[Places], list[Wanted]]]) -> Checked:
    """As ``check``, of some parts."""
    findings: list[Finding] = []
    notes: list[str] = []
    files = set()
    for part in parts:
        for path, command, made in part(places):
            files.add(path)
            seen, note = _difference(path, made)
            name = path.relative_to(places.root).as_posix()
            if seen:
                findings.append(Finding(name, seen, command))
            if note:
                notes.append(f"{name}: {note}")
    return Checked(tuple(findings), tuple(notes), len(files))


def _results(places: Places) -> list[Wanted]:
    stored, source = columns.read([places.cells(proxy) for proxy in (False, True)])
    results = Results.of(stored)
    pictures = _drawn(lambda folder: _draw_results(results, folder, source))
    wanted: list[Wanted] = [(places.page, RESULTS, page(results).encode())]
    for path in places.pictures:
        made = pictures.get(path.name)
        if made is not None or path.exists():
            wanted.append((path, RESULTS if made is not None else f"git rm {path.relative_to(places.root).as_posix()}", made))
    return wanted


def _draw_results(results: Results, folder: Path, source: str) -> None:
    from experiments.pictures import draw

    draw(results, folder, source)


def _sweep(places: Places) -> list[Wanted]:
    try:
        text = sweep.page_text(json.loads((places.root / sweep.FIGURES).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{sweep.FIGURES}: cannot be read ({error!r}). Run: {sweep.COMMAND} --json {sweep.FIGURES}"
        ) from None

    def with_part(now: str) -> bytes:
        return sweep.REGION.replaced(now, text).encode()

    return [(places.root / sweep.PAGE, sweep.AGAIN, with_part)]


def _scale(places: Places) -> list[Wanted]:
    figures = places.root / scale_page.FIGURES
    try:
        stored = scale_page.read(figures)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{scale_page.FIGURES}: cannot be read ({error}). Run: {scale_page.COMMAND} --json {scale_page.FIGURES}"
        ) from None
    if stored["command"] != scale_page.COMMAND:
        raise ConfigurationError(
            f"{scale_page.FIGURES}: measured by `{stored['command']}`; expected the whole run. "
            f"Run: {scale_page.COMMAND} --json {scale_page.FIGURES}"
        )
    text = scale_page.page_text(stored)
    picture = places.root / scale_page.PICTURE
    drawn = _drawn(lambda folder: growth.draw(scale_page.series_of(stored), folder / picture.name, scale_page.digest(stored)))

    def with_part(now: str) -> bytes:
        return scale_page.REGION.replaced(now, text).encode()

    return [(places.root / scale_page.PAGE, scale_page.AGAIN, with_part), (picture, scale_page.AGAIN, drawn[picture.name])]


def _stability(places: Places) -> list[Wanted]:
    try:
        text = stability.page_text(json.loads((places.root / stability.FIGURES).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{stability.FIGURES}: cannot be read ({error!r}). Run: {stability.TRAINED}") from None

    def with_part(now: str) -> bytes:
        return stability.REGION.replaced(now, text).encode()

    return [(places.root / stability.PAGE, stability.COMMAND, with_part)]


def _recipes(places: Places) -> list[Wanted]:
    try:
        text = recipe_findings.page_text(json.loads((places.root / recipe_findings.FIGURES).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{recipe_findings.FIGURES}: cannot be read ({error!r})") from None

    def with_part(now: str) -> bytes:
        return recipe_findings.REGION.replaced(now, text).encode()

    return [(places.root / recipe_findings.PAGE, recipe_findings.COMMAND, with_part)]


def _coverage(places: Places) -> list[Wanted]:
    try:
        text = coverage.page_text(json.loads((places.root / coverage.FIGURES).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{coverage.FIGURES}: cannot be read ({error!r}). Run: {coverage.COMMAND}") from None

    def with_part(now: str) -> bytes:
        return coverage.REGION.replaced(now, text).encode()

    return [(places.root / coverage.PAGE, coverage.AGAIN, with_part)]


def cleaning(places: Places) -> list[Wanted]:
    """The page and the pictures of the study of the cleaning track."""
    from experiments.cleaning.cells import read
    from experiments.cleaning.page import COMMAND as STUDY
    from experiments.cleaning.page import Study
    from experiments.cleaning.page import page as text
    from experiments.cleaning.pictures import draw, names

    stored, source = read(places.cleaning_cells)
    study = Study.of(stored)
    drawn = _drawn(lambda folder: draw(study, folder, source))
    wanted: list[Wanted] = [(places.cleaning_page, f"{STUDY} --page-only", text(study).encode())]
    for path in (places.images / name for name in names()):
        made = drawn.get(path.name)
        if made is not None or path.exists():
            command = f"{STUDY} --page-only" if made is not None else f"git rm {path.relative_to(places.root).as_posix()}"
            wanted.append((path, command, made))
    return wanted


def curation(places: Places) -> list[Wanted]:
    """The part of the curation track's page that its study writes."""
    from experiments.curation.cells import read
    from experiments.curation.page import REGION, Study, text

    study = Study(read(places.curation_cells))

    def with_part(now: str) -> bytes:
        return REGION.replaced(now, text(study)).encode()

    return [(places.curation_page, REGION.command, with_part)]


def _drawn(draw: Callable[[Path], None]) -> dict[str, bytes]:
    """The files that ``draw`` writes into a folder, by name."""
    with tempfile.TemporaryDirectory() as name:
        try:
            draw(Path(name))
        except ImportError as error:
            raise ConfigurationError(f"pictures cannot be drawn: {error}. Run: pip install -r requirements-dev.txt") from None
        return {path.name: path.read_bytes() for path in Path(name).iterdir()}


def _difference(path: Path, made: Made) -> tuple[str, str]:
    """(what is wrong, what could not be compared); empty where there is no such thing."""
    if not path.exists():
        return "missing", ""
    now = path.read_bytes()
    if made is None:
        return "the figures give no such picture any more", ""
    if callable(made):
        try:
            made = made(now.decode())
        except ValueError as error:  # a mark of its part is missing
            return str(error), ""
    if now == made:
        return "", ""
    if path.suffix != ".svg":
        return f"not what its figures give, from line {_first_line(now, made)} on", ""
    ours, theirs = (_metadata(content, "title") for content in (made, now))
    if ours == theirs:
        return "not what its figures give", ""
    if _metadata(made, "description") != _metadata(now, "description"):
        return "drawn from other figures", ""
    return "", f"drawn by {theirs or 'an unknown program'}, and here is {ours}: only the figures that it names were compared"


def _first_line(now: bytes, made: bytes) -> int:
    """Number of the first line that differs."""
    pairs = zip(now.splitlines(), made.splitlines(), strict=False)
    same = next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(now.splitlines()), len(made.splitlines())))
    return same + 1


def _metadata(picture: bytes, name: str) -> str:
    found = re.search(rf"<dc:{name}>([^<,]*)", picture.decode(errors="replace"))
    return found[1] if found else ""
