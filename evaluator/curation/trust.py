"""How far a list of label issues may be trusted: its precision, estimated from a sample that a person has checked.

The flagged labels are cut into strata of equal size by their quality score, and as many are drawn from each. A person writes a
verdict for each into a small table; the share of wrong labels among the flagged follows with its interval.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluator.bounded import BoundsError, read_bytes
from evaluator.curation.issues import LabelIssues
from evaluator.data.labels import delimiter_of
from evaluator.errors import ConfigurationError
from evaluator.files import write_text
from evaluator.scoring.intervals import wilson_of_share
from evaluator.seeds import generator
from evaluator.text import one_line
from evaluator.words import counted

STRATA = 4
MOST_BYTES = 16 << 20
VERDICTS = ("wrong", "right", "unclear")
"""What a person may write of a given label. ``unclear`` counts as not wrong at the lower end and as wrong at the upper."""
COLUMNS = ("id", "stratum", "label", "predicted", "verdict")


@dataclass(frozen=True)
class Stratum:
    """A part of the list.

    Attributes:
        size: labels in it; ``checked``: verdicts, of which ``wrong`` and ``unclear``.
        best, worst: quality scores at its ends.
    """

    size: int
    checked: int
    wrong: int
    unclear: int
    worst: float
    best: float


@dataclass(frozen=True)
class Precision:
    """Share of wrong labels in a list.

    Attributes:
        share: the estimate; ``low``, ``high``: of its interval. NaN where a stratum has no verdict.
        size: labels in the list; ``checked``: verdicts.
    """

    share: float
    low: float
    high: float
    size: int
    checked: int
    strata: tuple[Stratum, ...]

    def __str__(self) -> str:
        if math.isnan(self.share):
            seen = (
                f"unknown: {counted(self.checked, 'verdict')} for {counted(self.size, 'label')}, and none in some part of the list"
            )
            return f"{seen}; expected some in each. Give --drop as it was when the sample was drawn, and fill in every verdict"
        wrong = f"{self.share * self.size:,.0f} ({self.low * self.size:,.0f} to {self.high * self.size:,.0f})"
        return (
            f"{self.share:.2f} ({self.low:.2f} to {self.high:.2f}), so about {wrong} of {counted(self.size, 'label')} are wrong; "
            f"from {counted(self.checked, 'verdict')}"
        )


def strata_of(issues: LabelIssues, listed: np.ndarray, strata: int = STRATA) -> list[np.ndarray]:
    """The list cut into parts of equal size, most doubtful first."""
    order = listed[np.argsort(issues.quality[listed], kind="stable")]
    return [part for part in np.array_split(order, max(1, min(strata, len(order)))) if len(part)]


def write_sample(issues: LabelIssues, listed: np.ndarray, path: Path, size: int, seed: int, strata: int = STRATA) -> int:
    """Draw labels to be checked, and write them as a table with an empty column ``verdict``.

    Args:
        listed: numbers of the images whose labels are in question, e.g. the flagged.
        size: labels to draw, spread evenly over the strata.

    Returns:
        How many were drawn.

    Raises:
        ConfigurationError: nothing is listed, or a size below the number of strata.
    """
    if not len(listed):
        raise ConfigurationError("no label is listed, so there is nothing to check; expected at least 1")
    parts = strata_of(issues, listed, strata)
    if size < len(parts):
        raise ConfigurationError(f"--check is {size}; expected at least {len(parts)}, one label for each stratum")
    given, predicted = issues.given(), issues.predicted()
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    drawn = 0
    for number, part in enumerate(parts, 1):
        wanted = min(len(part), size // len(parts) + (number <= size % len(parts)))
        chosen = generator(seed, "check", number).choice(part, wanted, replace=False)
        for row in chosen.tolist():
            table.writerow((issues.ids[row], number, given[row], predicted[row], ""))
        drawn += wanted
    write_text(path, out.getvalue())
    return drawn


def read_verdicts(path: Path) -> dict[str, str]:
    """Verdicts by id; rows without a verdict are not there.

    Raises:
        ConfigurationError: the file cannot be read, lacks a column, holds another word, or two verdicts for one id.
    """
    try:
        text = read_bytes(path, MOST_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: it cannot be read ({error}); expected a table with the columns {COLUMNS}") from error
    except BoundsError as error:
        raise ConfigurationError(str(error)) from error
    table = csv.DictReader(io.StringIO(text), delimiter=delimiter_of(text.partition("\n")[0]))
    if not {"id", "verdict"} <= set(table.fieldnames or ()):
        seen = one_line(", ".join(table.fieldnames or ()) or "nothing")
        raise ConfigurationError(
            f"{path}: its columns are {seen}; expected {', '.join(COLUMNS)}. Fill in the table as it was written"
        )
    found: dict[str, str] = {}
    for row in table:
        verdict = (row["verdict"] or "").strip().lower()
        if not verdict:
            continue
        if verdict not in VERDICTS:
            raise ConfigurationError(
                f"{path}, line {table.line_num}: the verdict is {one_line(verdict)!r}; expected {', '.join(VERDICTS)}, or nothing"
            )
        if row["id"] in found:
            raise ConfigurationError(
                f"{path}, line {table.line_num}: a second verdict for {one_line(row['id'])}; expected one of each"
            )
        found[row["id"]] = verdict
    return found


def precision(
    issues: LabelIssues, listed: np.ndarray, verdicts: Mapping[str, str], strata: int = STRATA, level: float = 0.95
) -> Precision:
    """Estimate the share of wrong labels in a list from a checked sample of it.

    The share is the mean of the strata's shares, weighted by their sizes. Its interval is Wilson's for the effective number of
    draws, 1 / sum(weight² / checked), which counts strata that were checked more than others for what they are worth; it takes no
    credit for strata that differ, so it is a little too wide. Verdicts must come from a random sample of the list: those on labels
    outside the list are ignored.
    """
    place = {name: i for i, name in enumerate(issues.ids)}
    foreign = [name for name in verdicts if name not in place]
    if foreign:
        raise ConfigurationError(
            f"the checked table names {one_line(foreign[0])!r}, and the data set has no such image; it belongs to another data set"
        )
    parts, rows = strata_of(issues, listed, strata), []
    for part in parts:
        words = [verdicts[issues.ids[i]] for i in part if issues.ids[i] in verdicts]
        scores = issues.quality[part]
        rows.append(
            Stratum(len(part), len(words), words.count("wrong"), words.count("unclear"), float(scores.min()), float(scores.max()))
        )
    size, checked = len(listed), sum(row.checked for row in rows)
    if not rows or any(row.checked == 0 for row in rows):
        return Precision(math.nan, 0.0, 1.0, size, checked, tuple(rows))
    weights = [row.size / size for row in rows]
    effective = 1 / sum(w * w / row.checked for w, row in zip(weights, rows, strict=True))
    surely = sum(w * row.wrong / row.checked for w, row in zip(weights, rows, strict=True))
    perhaps = sum(w * (row.wrong + row.unclear) / row.checked for w, row in zip(weights, rows, strict=True))
    draws = max(1, math.floor(effective))
    low, high = wilson_of_share(surely, draws, level).low, wilson_of_share(perhaps, draws, level).high
    assert low is not None
    assert high is not None
    return Precision((surely + perhaps) / 2, low, high, size, checked, tuple(rows))


def agreement(flagged: Sequence[bool], wrong: Sequence[bool]) -> tuple[float, float]:
    """Precision and recall of flags where the truth is known."""
    f, w = np.asarray(flagged, bool), np.asarray(wrong, bool)
    hits = int((f & w).sum())
    return hits / max(1, int(f.sum())), hits / max(1, int(w.sum()))
