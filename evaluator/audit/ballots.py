"""Files of votes, read into one ballot. ``votes.py`` says which kinds there are and what an answer is."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from evaluator.audit.reading import MOST_CLASSES
from evaluator.audit.tables import text_table, whole_number
from evaluator.audit.votes import NOBODY, Ballot, Labels, Vote
from evaluator.bounded import Limits, parse_json, read_bytes
from evaluator.errors import ConfigurationError
from evaluator.text import one_line
from evaluator.words import counted, meant

VOTES = Limits(size=2**28, values=2**24)
"""Of a file of votes: some million answers."""
WORDS = ("given", "suggested", "predicted", "both", "neither", "none", "unsure")
"""Answers in words. ``predicted`` is ``suggested`` and ``none`` is ``neither``; no text is ``unsure``."""
MOST_VOTES = 1_000
"""Of one answer to one image, in a file of counts."""
SHOWN = 10
"""Ids that a message names."""


def read_ballot(
    paths: Sequence[Path],
    classes: Sequence[str] = (),
    given: Mapping[str, Labels] | None = None,
    sheets: Sequence[Path] = (),
) -> Ballot:
    """Read all files of votes into one ballot.

    Args:
        classes: names of the classes, so that an answer may be a name; class numbers are understood without.
        given: labels of the benchmark by id. Where a file names the given label as well, both must be the same.
        sheets: tables of checking sheets (``id``, ``given``, ``suggested``), which say what votes in words are about.

    Raises:
        ConfigurationError: a file is of no known kind or holds an answer that is not understood; a voter answered an image twice;
            an image is unknown to ``given``, or its label is not known at all. The message names the file, and the ids.
    """
    reader = _Reader(tuple(classes), dict(given) if given is not None else None)
    for sheet in sheets:
        reader.read_sheet(Path(sheet))
    for path in paths:
        reader.read(Path(path))
    return reader.ballot()


class _Reader:
    def __init__(self, classes: tuple[str, ...], known: dict[str, Labels] | None) -> None:
        self.numbers = {name: number for number, name in enumerate(classes)}
        self.classes = classes
        self.known = known
        self.given: dict[str, Labels] = {}
        self.suggested: dict[str, Labels] = {}
        self.votes: list[Vote] = []
        self.seen: dict[tuple[str, str], Path] = {}

    def read(self, path: Path) -> None:
        raw = b"" if path.suffix.lower() in (".csv", ".parquet") else content_of(path)
        if raw.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{"):
            content = parse_json(raw, str(path), VOTES)
            if content == []:
                return
            if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
                raise _refused(path, "a JSON value that is no list of objects was seen")
            if any("annotations" in entry for entry in content):
                self._label_studio(path, content)
            elif content and all("mturk" in entry for entry in content):
                self._counts(path, content)
            else:
                raise _refused(path, "objects with neither 'annotations' nor 'mturk' were seen")
        else:
            self._table(path)

    def read_sheet(self, path: Path) -> None:
        """What the images of a checking sheet were shown with."""
        for where, cells in _rows(path):
            if "id" not in cells or "given" not in cells:
                seen = one_line(", ".join(cells), 200)
                raise ConfigurationError(
                    f"{path}: the columns are {seen}; expected id, given, suggested. Name the sheet.csv of `audit sheet`"
                )
            self._shown_with(cells["id"], cells, where)

    def _shown_with(self, name: str, cells: Mapping[str, str], where: str) -> None:
        for column, kept in (("given", self.given), ("suggested", self.suggested)):
            if cells.get(column):
                self._keep(kept, name, self._labels(cells[column], where), column, where)

    def ballot(self) -> Ballot:
        if not self.votes:
            raise ConfigurationError("--votes: the files hold no vote; expected an answer of somebody about an image. Name others")
        ids = {vote.id for vote in self.votes}
        if self.known is not None:
            _listed("the benchmark does not have", sorted(ids - self.known.keys()))
            self.given = {name: self.known[name] for name in ids}
        _listed("no file says the given label of (name the sheet with --sheet, or --labels)", sorted(ids - self.given.keys()))
        return Ballot(tuple(self.votes), self.given, {name: self.suggested[name] for name in self.suggested if name in ids})

    # -- kinds of files

    def _table(self, path: Path) -> None:
        for where, cells in _rows(path):
            answer = next((cells[column] for column in ("answer", "vote") if column in cells), None)
            if "id" not in cells or answer is None:
                seen = one_line(", ".join(cells), 200)
                raise ConfigurationError(
                    f"{path}: the columns are {seen}; expected id and answer (or vote), and perhaps voter, given, suggested. "
                    "Name a file that the checking sheet saved"
                )
            name = cells["id"]
            if not name:
                raise ConfigurationError(f"{where}: the id is empty; expected the id of an image. Correct or remove that line")
            self._shown_with(name, cells, where)
            self._vote(path, name, cells.get("voter") or path.stem, answer, where)

    def _label_studio(self, path: Path, tasks: Sequence[dict[str, Any]]) -> None:
        for number, task in enumerate(tasks):
            where = f"{path}, task {task.get('id', number)}"
            data = task.get("data")
            if not isinstance(data, dict) or not isinstance(data.get("id"), str):
                raise ConfigurationError(f"{where}: its data has no id; expected tasks that `audit sheet` wrote. Export them whole")
            shown = {column: data[column] for column in ("given", "suggested") if isinstance(data.get(column), str)}
            self._shown_with(data["id"], shown, where)
            for annotation in _list(task.get("annotations"), where):
                if not isinstance(annotation, dict) or annotation.get("was_cancelled"):
                    continue
                self._vote(path, data["id"], _completed_by(annotation), _chosen(annotation, where), where)

    def _counts(self, path: Path, entries: Sequence[dict[str, Any]]) -> None:
        for number, entry in enumerate(entries):
            where = f"{path}, entry {number}"
            try:
                # The address names the image as the benchmark does; the number beside it may be another.
                name = PurePosixPath(entry["url"]).stem if "url" in entry else str(entry["id"])
                given, guessed = (frozenset([int(entry[f"{who}_label"])]) for who in ("given_original", "our_guessed"))
                counts = {word: int(entry["mturk"][word]) for word in ("given", "guessed", "both", "neither")}
                if not all(0 <= many <= MOST_VOTES for many in counts.values()) or min(*given, *guessed) < 0:
                    raise ValueError(f"a number below 0, or more than {MOST_VOTES:,} votes")
            except (KeyError, TypeError, ValueError) as error:
                raise ConfigurationError(
                    f"{where}: {type(error).__name__} {one_line(error, 80)}; expected id, given_original_label, our_guessed_label, "
                    "and in mturk the numbers of given, guessed, both, neither. Name a file of labelerrors.com"
                ) from None
            if name in self.given:
                raise ConfigurationError(f"{where}: the image {one_line(name, 80)!r} was counted before; expected it once")
            self.given[name], self.suggested[name] = given, guessed
            answers = {"given": given, "guessed": guessed, "both": given | guessed, "neither": Labels()}
            self.votes += [Vote(name, NOBODY, answers[word]) for word, many in counts.items() for _ in range(many)]

    # -- answers

    def _vote(self, path: Path, name: str, voter: str, answer: str, where: str) -> None:
        if before := self.seen.get((name, voter)):
            raise ConfigurationError(
                f"{where}: {one_line(voter, 60)!r} answered {one_line(name, 80)!r} before, in {before}; expected an answer of "
                "a voter once. Remove one of them"
            )
        self.seen[name, voter] = path
        if self.known is not None and name not in self.known:
            answer = ""  # the image is refused at the end, with all others that are not known
        self.votes.append(Vote(name, voter, self._answer(answer, name, where)))

    def _answer(self, text: str, name: str, where: str) -> Labels | None:
        word = text.strip().lower()
        if word in ("", "unsure"):
            return None
        if word in ("neither", "none", "-1"):
            return Labels()
        word = "suggested" if word == "predicted" else word
        if word not in ("given", "suggested", "both"):
            return self._labels(text, where)
        given = self.known.get(name) if self.known is not None else self.given.get(name)
        suggested = self.suggested.get(name)
        if (given is None and word != "suggested") or (suggested is None and word != "given"):
            raise ConfigurationError(
                f"{where}: the answer is {word!r}, and the image has no such label in this file; expected the columns given and "
                "suggested. Name the sheet with --sheet, or answer by class"
            )
        parts = {"given": given, "suggested": suggested, "both": (given or Labels()) | (suggested or Labels())}
        return parts[word]

    def _labels(self, text: str, where: str) -> Labels:
        """Labels in a text: a name, or names and numbers with ``;`` or ``,`` between them."""
        if text in self.numbers:
            return Labels([self.numbers[text]])
        between = ";" if ";" in text else ","
        return Labels(self._label(part.strip(), where) for part in text.split(between)) if text.strip() != "-1" else Labels()

    def _label(self, text: str, where: str) -> int:
        if text in self.numbers:
            return self.numbers[text]
        number = whole_number(text)
        if number is None or number >= (len(self.classes) or MOST_CLASSES):
            known = f"a class number below {len(self.classes)}, a class name" if self.classes else "a class number"
            raise ConfigurationError(
                f"{where}: {one_line(text, 60)!r} is no label{meant(text, (*self.classes, *WORDS))}; expected {known}, or given, "
                "suggested, both, neither, unsure. Correct it"
            )
        return number

    def _keep(self, kept: dict[str, Labels], name: str, labels: Labels, column: str, where: str) -> None:
        before = self.known.get(name, labels) if column == "given" and self.known is not None else kept.get(name, labels)
        if before != labels:
            raise ConfigurationError(
                f"{where}: the {column} label of {one_line(name, 80)!r} is {_shown(labels)}, and {_shown(before)} elsewhere; "
                "expected the same. The files are of different benchmarks, or of different revisions"
            )
        kept[name] = labels


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """What messages call each row of a table, and its cells by column in lower case."""
    table = text_table(path)
    header = [name.lower() for name in table.header]
    for where, cells in table.rows:
        yield where, dict(zip(header, cells, strict=True))


def content_of(path: Path) -> bytes:
    """The bytes of a file; of a gzip file what it holds, within bounds."""
    try:
        raw = read_bytes(path, VOTES.size)
    except OSError as error:
        raise ConfigurationError(f"{path}: it cannot be read ({error.strerror}); expected a file of votes. Name another") from None
    if raw[:2] != b"\x1f\x8b":
        return raw
    unpacking = zlib.decompressobj(wbits=31)
    try:
        content = unpacking.decompress(raw, VOTES.size + 1)
    except zlib.error:
        raise ConfigurationError(f"{path} is a damaged gzip file; expected votes. Copy it again") from None
    if len(content) > VOTES.size or not unpacking.eof:
        raise ConfigurationError(f"{path} is cut short, or holds more than {VOTES.size} bytes; expected votes. Copy or split it")
    return content


def _completed_by(annotation: Mapping[str, Any]) -> str:
    who = annotation.get("completed_by", NOBODY)
    if isinstance(who, dict):
        who = who.get("email") or who.get("id", NOBODY)
    return str(who)


def _chosen(annotation: Mapping[str, Any], where: str) -> str:
    """The answer of a Label Studio annotation: another class in words if there is one, else the choice."""
    choice, other = "", ""
    for result in _list(annotation.get("result"), where):
        value = result.get("value") if isinstance(result, dict) else None
        if not isinstance(value, dict):
            continue
        if isinstance(value.get("choices"), list) and value["choices"]:
            choice = ",".join(map(str, value["choices"]))
        if isinstance(value.get("text"), (str, list)) and value["text"]:
            text = value["text"]
            other = text if isinstance(text, str) else ",".join(map(str, text))
    if choice == "other" and not other.strip():
        raise ConfigurationError(f"{where}: the answer is 'other' and no class is named; expected a class. Correct the annotation")
    return other if choice == "other" else choice


def _list(value: Any, where: str) -> list[Any]:
    """A list of an export, or nothing where there is none."""
    if value is not None and not isinstance(value, list):
        raise ConfigurationError(f"{where}: {one_line(repr(value), 60)} was seen; expected a list. Export the project again")
    return value or []


def _listed(what: str, names: Sequence[str]) -> None:
    """Refuse ids, the first of them by name."""
    if names:
        first = ", ".join(one_line(name, 60) for name in names[:SHOWN])
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        raise ConfigurationError(f"--votes: {what} {counted(len(names), 'image')} with votes: {first}{more}. Correct the ids")


def _refused(path: Path, seen: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path}: {seen}; expected the CSV of a checking sheet, an export of Label Studio, or counts of labelerrors.com"
    )


def _shown(labels: Labels) -> str:
    return ",".join(map(str, sorted(labels))) or "-1"
