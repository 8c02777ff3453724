"""A ledger in the place of a strategy: which labels are bought at every pair, as a table that another program made.

A ledger is a CSV file in UTF-8, alone or as the only file of a folder. It has a line for each label, in the order of the purchases:

========  ===========================================================================================================
``pair``  the pair, such as ``621:17``
``seed``  the number of the repetition; empty, or no such column: the lines hold for every repetition that has none of its own
``file``  name of the image in the pool (its file in ``unlabelled/images``)
========  ===========================================================================================================

Other columns say nothing, so that ``purchases.csv`` of a run is a ledger. Labels are never taken from it: the market of the cell
sells them, within the budget of the pair and from the pool of the seed. There is no clock, because nothing runs.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluator.bounded import BoundsError, read_bytes
from evaluator.data.labels import delimiter_of
from evaluator.errors import ConfigurationError, Verdict
from evaluator.machine import versions
from evaluator.purchase.ledger import Ledger
from evaluator.purchase.market import Market
from evaluator.purchase.purchased import Purchased, session_spec
from evaluator.purchase.rounds import Pair
from evaluator.purchase.session_spec import SessionResult
from evaluator.purchase.spec import PurchaseSpec
from evaluator.submission.answers import AnswerFiles, candidate, strangers
from evaluator.submission.findings import Finding
from evaluator.text import name as harmless
from evaluator.track import CellInputs
from evaluator.words import counted, meant

ENDING = ".csv"
MOST_BYTES = 64 << 20
MOST_LINES = 1_000_000
LONGEST = 1_000
"""Characters of a cell."""
MOST_SEED = 2**63 - 1
NEEDED = ("pair", "file")
KNOWN = (*NEEDED, "seed")
EVERY = -1
"""Stands for every seed."""

Key = tuple[str, int]
"""Name of a pair, and a seed or ``EVERY``."""


@dataclass(frozen=True)
class Wish:
    """A line of a ledger: the name of an image, and the line's number."""

    file: str
    line: int


@dataclass(frozen=True)
class GivenLedger:
    """What a file holds. ``wishes``: by pair and seed, in order; every image once in each."""

    path: Path
    wishes: Mapping[Key, tuple[Wish, ...]]

    def of(self, pair: Pair, seed: int) -> tuple[Wish, ...]:
        """The lines for a pair and seed; empty if there are none."""
        return self.wishes.get((pair.name, seed), self.wishes.get((pair.name, EVERY), ()))

    @property
    def said(self) -> str:
        """What it holds, in words."""
        pairs = sorted({pair for pair, _ in self.wishes}, key=Pair.parse)
        seeds = sorted({seed for _, seed in self.wishes if seed != EVERY})
        total = sum(map(len, self.wishes.values()))
        named = ", ".join(pairs[:8]) + (f" and {len(pairs) - 8} more" if len(pairs) > 8 else "")
        of = f", {counted(len(seeds), 'seed')}" if seeds else ""
        return f"a ledger of {counted(total, 'label')} at {named}{of}"


def given(path: Path) -> AnswerFiles | None:
    """The ledger at ``path``, if it is one by what lies there; None for code.

    Raises:
        SubmissionError: a file may not travel.
    """
    there = candidate(path, (ENDING,))
    if there is None:
        return None
    names = there.names()
    tables = [name for name in names if name.endswith(ENDING) and "/" not in name]
    found = list(strangers([name for name in names if name not in tables], "a ledger is one .csv file. Remove it"))
    if len(tables) != 1:
        seen = ", ".join(harmless(name) for name in tables[:3]) or "no .csv file at the top"
        text = f"{seen}; one ledger was expected, with the columns pair, seed and file. Put all lines into one file"
        return there.answer(names, "no ledger", [*found, Finding("error", "the ledger", text)])
    said = "no ledger"
    try:
        said = read_ledger(there.root / tables[0]).said
    except (ConfigurationError, OSError) as error:
        place, _, text = str(error).partition(": ")
        found.append(Finding("error", place.replace(f"{there.root}/", ""), text or str(error)))
    return there.answer(names, said, found)


def ledger_file(path: Path) -> Path:
    """The file of a ledger: ``path`` itself, or the only table of the folder.

    Raises:
        ConfigurationError: there is none, or more than one.
    """
    if path.is_file():
        return path
    tables = sorted(file for file in path.iterdir() if file.suffix == ENDING and not file.name.startswith("."))
    if len(tables) != 1:
        raise ConfigurationError(f"{path.name}: {counted(len(tables), 'ledger')} in it; one .csv file was expected. Keep one")
    return tables[0]


def read_ledger(path: Path) -> GivenLedger:
    """The ledger in a file.

    Raises:
        ConfigurationError: it is no ledger; the message names the file, the line and the value.
        OSError: it cannot be read.
    """
    try:
        text = read_bytes(path, MOST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BoundsError(f"{path}: byte {error.start} is not UTF-8; a table was expected. Save it as CSV in UTF-8") from None
    wishes: dict[Key, dict[str, int]] = {}
    for line, pair, seed, file in _rows(path, text):
        try:
            name = Pair.parse(pair).name
        except ConfigurationError:
            raise BoundsError(
                f"{path}, line {line}: pair is {harmless(pair)!r}; expected LABELS:MINUTES, e.g. 621:17. Correct it"
            ) from None
        if not file:
            raise BoundsError(f"{path}, line {line}: file is empty; expected the name of an image of the pool. Fill it in")
        own = wishes.setdefault((name, _seed(seed, f"{path}, line {line}")), {})
        if file in own:
            why = f"{harmless(file)} is bought for {name} in line {own[file]} already"
            raise BoundsError(f"{path}, line {line}: {why}; expected every image once. Remove one")
        own[file] = line
    if not wishes:
        raise BoundsError(f"{path}: it holds no purchase; expected a line for every label. Write them")
    return GivenLedger(path, {key: tuple(Wish(file, line) for file, line in of.items()) for key, of in wishes.items()})


def _rows(path: Path, text: str) -> Iterator[tuple[int, str, str, str]]:
    """Number of the line, pair, seed and file of every row."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text.partition("\n")[0]), strict=True)
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        for column in NEEDED:
            if header.count(column) != 1:
                near = meant(column, header) if header and column not in header else ""
                seen = "twice" if column in header else "not among the columns"
                raise BoundsError(f"{path}, line 1: {column} is {seen}{near}; expected the columns pair, seed and file. Write them")
        places = [header.index(column) if column in header else None for column in ("pair", "seed", "file")]
        for number, row in enumerate(reader):
            line = reader.line_num
            if number == MOST_LINES:
                raise BoundsError(f"{path}, line {line}: more than {MOST_LINES:,} lines; at most so many are read. Shorten it")
            if not row:
                continue
            if len(row) != len(header) or any(len(cell) > LONGEST for cell in row):
                raise BoundsError(
                    f"{path}, line {line}: {counted(len(row), 'cell')}; expected {len(header)} of at most {LONGEST:,} characters. "
                    "Correct the line"
                )
            # A spreadsheet's mark for a text, as the kit's own tables have it.
            pair, seed, file = ("" if place is None else row[place].strip().removeprefix("'") for place in places)
            yield line, pair, seed, file
    except csv.Error as error:
        raise BoundsError(f"{path}, line {reader.line_num}: it is no CSV ({error}). Save it as CSV with commas") from None


def _seed(text: str, where: str) -> int:
    if not text:
        return EVERY
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > MOST_SEED:
        raise BoundsError(
            f"{where}: seed is {harmless(text)!r}; expected the number of a repetition, 0 or more, or nothing. Correct it"
        )
    return int(text)


def buy_given(spec: PurchaseSpec, inputs: CellInputs) -> Purchased:
    """The first half of a cell whose ledger is given: the market sells what the file names. Its faults are the answer's verdict."""
    session = session_spec(spec, inputs.data, inputs.path)
    market = Market(session.sold, session.order, session.budget)
    verdict, reason, ledger = Verdict.OK, "", inputs.path
    try:
        ledger = ledger_file(inputs.path)
        wishes = _held(read_ledger(ledger), spec, market, inputs.data.of(spec).splits["unlabelled"].files)
    except ConfigurationError as error:  # of the machine's folders nobody learns by a verdict
        verdict, reason = Verdict.INVALID_OUTPUT, str(error).replace(f"{ledger.parent}/", "")
    except OSError as error:
        verdict, reason = Verdict.INFRASTRUCTURE, f"the ledger cannot be read ({error.strerror})"
    else:
        market.purchase_labels(np.argsort(session.order)[np.array(wishes, np.int64)])
    made = SessionResult(
        verdict=verdict,
        reason=reason,
        ledger=market.ledger if verdict is Verdict.OK else Ledger(),
        phases=(),
        seconds=0.0,
        predictions=None,
        disagreement=None,
        clock_was_read=False,
        class_name=None,
        guarded=True,
        limited_by="",
        trace="",
        log="",
    )
    return Purchased(spec.answer_digest(), spec.answer_dict(), made, versions(), inputs.busy)


def _held(ledger: GivenLedger, spec: PurchaseSpec, market: Market, files: tuple[str, ...]) -> list[int]:
    """The numbers of the images that are bought, in order, held against budget and pool.

    Raises:
        ConfigurationError: there are none for the cell, they are too many, or an image is not in the pool.
    """
    name, pair = ledger.path.name, spec.pair.name
    wishes = ledger.of(spec.pair, spec.seed)
    if not wishes:
        there = sorted({key[0] for key in ledger.wishes}, key=Pair.parse)
        raise ConfigurationError(
            f"{name}: no line is for the pair {pair} and the seed {spec.seed}; it has {', '.join(there[:8])}. Add the lines of "
            "every pair and seed; with an empty seed they hold for all"
        )
    if len(wishes) > market.budget:
        first = wishes[market.budget]
        raise ConfigurationError(
            f"{name}, line {first.line}: label number {market.budget + 1:,} for {pair}; the budget is "
            f"{counted(market.budget, 'label')}. Remove lines"
        )
    place = {file: number for number, file in enumerate(files)}
    for wish in wishes:
        if wish.file not in place:
            drawn = f" of seed {spec.seed}" if spec.profile.drawn.get("unlabelled") else ""
            raise ConfigurationError(
                f"{name}, line {wish.line}: {harmless(wish.file)} is not in the pool{drawn}; expected one of its "
                f"{counted(len(files), 'image')}, by file name. Correct it"
            )
    return [place[wish.file] for wish in wishes]
