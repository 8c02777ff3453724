"""What a cell of the cleaning track stores: what is run, the answer (a ranking, or a table of edits), and the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from evaluator.cleaning.rules import ORIGINAL, CleaningProfile, CleaningRecipe
from evaluator.cleaning.session import not_a_permutation
from evaluator.errors import ConfigurationError, Verdict
from evaluator.fields import count, doc, share
from evaluator.records import CellResult, PlainAnswer
from evaluator.specs import CellSpec
from evaluator.submission.source import GIVEN

VERSION = 1
"""Version of the judging code. Raise it by hand when the figures of a cell change."""
Action = Literal["fix", "remove", "edits"]
FILE = GIVEN
"""Stands in the place of an isolation tier where answers came as files: nothing was run."""
EDITS: Action = "edits"
ACTIONS: Mapping[str, str] = {
    "fix": "wrong labels are corrected",
    "remove": "rows with a wrong label are removed",
    EDITS: "edited as the table says",
}
"""What is done with a row that is checked, in words. Cells of two of them never stand in one table or picture."""


@dataclass(frozen=True, kw_only=True)
class CleaningSpec(CellSpec):
    """What is run: see ``CellSpec``.

    Attributes:
        data_id: the task.
        action: what the expert does with a wrong label; ``edits``: there is no expert, a table of edits says what becomes of a row.

    Raises:
        ConfigurationError: a field makes no sense.
    """

    track: ClassVar[str] = "cleaning"
    version: ClassVar[int] = VERSION
    conditions: ClassVar[tuple[str, ...]] = ("action",)

    profile: Annotated[CleaningProfile, doc("the profile, complete (`evaluator/cleaning/rules.py`)")]
    pipeline: Annotated[CleaningRecipe, doc("the recipe, complete (`evaluator/cleaning/rules.py`)")]
    data_id: Annotated[str, doc("name of the task")]
    action: Annotated[Action, doc("what the expert does with a wrong label: `fix` or `remove`; `edits`: a table of edits")] = "fix"

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ConfigurationError(f"--action is {self.action!r}; it must be fix or remove")

    @property
    def task(self) -> str:
        """The data id."""
        return self.data_id

    @property
    def seconds_allowed(self) -> float:
        """Limit of ``rank``."""
        return self.profile.seconds

    def answer_dict(self) -> dict[str, Any]:
        """The fields that decide the ranking: not what the expert does with it.

        A table of edits is another answer than a ranking, and so is a ranking that is read by the original's rules.
        """
        seen = super().answer_dict()
        if self.action != EDITS:
            del seen["action"]
        seen |= {"as_original": True} if self.pipeline == ORIGINAL else {}
        return seen | {"profile": {name: value for name, value in seen["profile"].items() if name != "enough"}}


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """The model after so many checks."""

    checks: Annotated[int, count("labels that the expert has checked")]
    accuracy: Annotated[float, share("accuracy on the test set")]


@dataclass(frozen=True, kw_only=True)
class CleaningResult(CellResult):
    """The result of a cell of this track.

    Attributes:
        curve: accuracy by checks, wherever the labels changed; ``hits``: checks by which one more wrong label is found.
        rows, wrong, clean_accuracy, target: of the task.
        unjudged, early_unjudged: rows without a verdict, where a task has such rows.
    """

    bulk: ClassVar[frozenset[str]] = CellResult.bulk | {"curve", "hits"}

    curve: Annotated[list[CurvePoint], doc("accuracy after the checks at which the model was trained")] = field(
        default_factory=list
    )
    hits: Annotated[list[int], doc("numbers of checks by which one more wrong label was found")] = field(default_factory=list)
    rows: Annotated[int, count("training rows")] = 0
    wrong: Annotated[int, count("training rows whose given label is wrong; 0 in older cells, where it is the number of `hits`")] = 0
    clean_accuracy: Annotated[float | None, doc("accuracy of the model on true labels; `null` without a score")] = None
    target: Annotated[float | None, doc("accuracy that counts as reached; `null` without a score")] = None
    reached: Annotated[bool | None, doc("whether the target was reached; `null` without a score")] = None
    unjudged: Annotated[
        int, count("training rows without a verdict, which no figure counts; `rows` is then the number of the others")
    ] = 0
    early_unjudged: Annotated[int, count("of them among the first rows of the ranking: as many as `rows`")] = 0


@dataclass(frozen=True, kw_only=True)
class RankingAnswer(PlainAnswer):
    """The answer of a submission: a permutation of the training rows in ``content["ranking"]``, worst first.

    A file that is scored as the original does (``content["as_original"]``) may be short and name a row twice. The answer of a table
    of edits holds ``content["edits"]``: rows with their new label, or None for a row that is dropped, in order.
    """

    def fault(self, spec: CellSpec) -> str:
        """See ``Answer.fault``."""
        if self.verdict != Verdict.OK:
            return ""
        content = self.content if isinstance(self.content, dict) else {}
        if "edits" in content:
            return edits_fault(content["edits"])
        ranking = content.get("ranking")
        if not isinstance(ranking, list) or not all(type(row) is int and 0 <= row < 2**31 for row in ranking) or not ranking:
            return "holds no ranking, a list of row numbers"
        if content.get("as_original"):
            return ""
        why = not_a_permutation(np.array(ranking, np.int64), len(ranking))
        return f"holds a ranking with {why}; expected a permutation" if why else ""


def edits_fault(edits: Any) -> str:
    """Why a stored content is no table of edits, in words; empty if it is one. Whether it fits the task is not looked at."""
    if not isinstance(edits, list) or not edits:
        return "holds no edits, a list of rows with their new labels"
    for edit in edits:
        row, label = edit if isinstance(edit, list) and len(edit) == 2 else (None, None)
        values = label if isinstance(label, list) else [0 if label is None else label]
        if type(row) is not int or not 0 <= row < 2**31 or not all(type(v) is int and 0 <= v < 2**31 for v in values):
            return "holds an edit that is no row number with a label"
    rows = [row for row, _ in edits]
    return "" if len(set(rows)) == len(rows) else "holds two edits of one row"
