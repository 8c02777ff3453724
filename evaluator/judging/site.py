"""The board as a site of plain files: the boards, a list of all submissions, a page for each, and the board as JSON and CSV.

Nothing is needed to show it: no server, no network, no script. Files are written one by one, each whole or not at all, in an order
in which whoever reads meanwhile finds every page that a link leads to: pages of submissions first, the board last, and only then
are pages removed that are no longer there. A page whose content did not change is left alone, so a site of thousands of pages is
written anew after every job.

Pages hold what everybody may know: names, ranks, scores with their intervals, verdicts, times, and figures of public tasks.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from evaluator import __version__
from evaluator.files import alone_by, remove_temporaries, write_text
from evaluator.judging.board import Line, Scored, board
from evaluator.judging.pages.board import board_page, submissions_page
from evaluator.judging.pages.render import made_of, render, style_and_script
from evaluator.judging.pages.shown import PAGES, page_name
from evaluator.judging.pages.submission import figures_of, sections, submission_page
from evaluator.judging.published import as_csv, as_json
from evaluator.tables import Metric

BOARD = "index.html"
SUBMISSIONS = "submissions.html"
JSON, CSV = "board.json", "board.csv"
LOCK = "site.lock"
"""Name of the file that a writer of sites has locked."""
_PAGE = re.compile(r"[0-9]+\.html")


@contextmanager
def writing(folder: Path, own: Path) -> Iterator[None]:
    """The only writer of a judge's sites. Another judge of the same folder waits, and then reads what is new.

    Args:
        folder: of the site; it is made where it is missing.
        own: a folder that the judge's user alone may enter. The lock lies there and not in the site, which everybody may read:
            whoever may read a file can lock it, and so could stop the judge.

    Raises:
        OSError: the folder or the lock cannot be made or opened.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with alone_by(own / LOCK):
        for place in (folder, folder / PAGES):  # what a judge left that was killed while it wrote
            remove_temporaries(place)
        yield


def write_site(
    folder: Path,
    title: str,
    parts: Mapping[str, Sequence[Scored]],
    metric: Metric,
    word: str,
    now: float,
) -> int:
    """Write the site into a folder, which is made where it is missing.

    Args:
        title: of the competition.
        parts: judged submissions by the name of the part (``public``, ``private``), under every version of the rules; a part that
            is not published is not in it.
        metric: that ranks; ``word``: what the track calls a task.

    Returns:
        The number of pages.

    Raises:
        OSError: a file cannot be written; the board that was there stays.
    """
    lines = {part: board(found) for part, found in parts.items()}
    (folder / PAGES).mkdir(parents=True, exist_ok=True)
    numbers = _by_number(parts)
    of_people = {part: {line.participant: line for line in found} for part, found in lines.items()}
    for number, own in numbers.items():
        _write_page(folder / PAGES / page_name(number), title, own, of_people, metric, word)
    common = style_and_script()
    write_text(folder / SUBMISSIONS, render(SUBMISSIONS, common, **submissions_page(title, parts, metric)), durable=False)
    write_text(folder / CSV, as_csv(parts, lines, metric), durable=False)
    write_text(folder / JSON, as_json(title, parts, lines, metric, now), durable=False)
    write_text(folder / BOARD, render("board.html", common, **board_page(title, parts, lines, metric, now)))
    _remove_others(folder / PAGES, {page_name(number) for number in numbers})
    return len(numbers) + 2


def _by_number(parts: Mapping[str, Sequence[Scored]]) -> dict[int, dict[str, list[Scored]]]:
    """The results of every submission, by part."""
    found: dict[int, dict[str, list[Scored]]] = {}
    for part, of_part in parts.items():
        for of in of_part:
            found.setdefault(of.number, {}).setdefault(part, []).append(of)
    return found


def _write_page(
    path: Path,
    title: str,
    own: Mapping[str, Sequence[Scored]],
    of_people: Mapping[str, Mapping[str, Line]],
    metric: Metric,
    word: str,
) -> None:
    """Write the page of a submission, unless the page that is there was made of the same.

    A digest of that stands in the page for everybody, so it is made of what the page shows and of nothing else: of a digest over
    hidden scores, whoever knows the rest could find them out by trying.
    """
    participant = next(iter(own.values()))[0].participant
    lines = {part: line for part, found in of_people.items() if part in own and (line := found.get(participant)) is not None}
    shown, figures = submission_page(title, own, lines, metric, word), figures_of(own.get("public", ()))
    key = hashlib.sha256(json.dumps([style_and_script(), __version__, shown, figures], sort_keys=True).encode()).hexdigest()
    if made_of(path) != key:
        write_text(path, render("submission.html", key, **shown, sections=sections(figures)), durable=False)


def _remove_others(folder: Path, there: set[str]) -> None:
    """Remove pages of submissions that are no longer shown. Files that are no such pages stay."""
    for path in folder.iterdir():
        if _PAGE.fullmatch(path.name) and path.name not in there:
            with suppress(OSError):
                path.unlink()
