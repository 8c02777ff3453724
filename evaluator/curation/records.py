"""The records of the track: what is run, what a submission answered, and what judging it gave."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from evaluator.curation.curated import Curated
from evaluator.curation.leaks import NearRow
from evaluator.curation.rules import CurationProfile, Judges
from evaluator.errors import DataError, Verdict
from evaluator.fields import count, doc, duration, share
from evaluator.records import CellResult, PlainAnswer
from evaluator.specs import CellSpec
from evaluator.submission.source import GIVEN

VERSION = 1
"""Version of the judging code. Raise it by hand when the figures of a cell change."""
TIER = GIVEN
"""Stands in the place of an isolation tier where the submission is a folder or a table, and nothing was run."""


@dataclass(frozen=True, kw_only=True)
class CurationSpec(CellSpec):
    """What is run: see ``CellSpec``. ``data_id``: name of the data."""

    track: ClassVar[str] = "curation"
    version: ClassVar[int] = VERSION

    profile: Annotated[CurationProfile, doc("the profile, complete (`evaluator/curation/rules.py`)")]
    pipeline: Annotated[Judges, doc("the judges, complete (`evaluator/curation/rules.py`)")]
    data_id: Annotated[str, doc("name of the data")]

    @property
    def task(self) -> str:
        """The data id."""
        return self.data_id

    @property
    def seconds_allowed(self) -> float:
        """Limit of ``curate``."""
        return 0.0 if self.tier == TIER else self.profile.seconds

    def answer_dict(self) -> dict[str, Any]:
        """The fields that decide the data set. One that came as files is the same for every seed."""
        seen = super().answer_dict()
        if self.tier == TIER:
            del seen["seed"]
        return seen


@dataclass(frozen=True, kw_only=True)
class DataAnswer(PlainAnswer):
    """The answer of a submission: a data set (``evaluator/curation/curated.py``) in ``content["data"]``."""

    @property
    def size(self) -> int:
        """Images of the data set."""
        found = self.content.get("data") if isinstance(self.content, dict) else None
        return len(found["images"]) if isinstance(found, dict) and isinstance(found.get("images"), list) else 0

    def fault(self, spec: CellSpec) -> str:
        """See ``Answer.fault``."""
        if self.verdict != Verdict.OK:
            return ""
        try:
            Curated.of(self.content.get("data") if isinstance(self.content, dict) else None)
        except DataError as error:
            return f"holds no data set ({error})"
        return ""


@dataclass(frozen=True, kw_only=True)
class ClassRow:
    """How the images of one class of the hidden test set were classified."""

    label: Annotated[str, doc("the class")]
    images: Annotated[int, count("images of the class in the hidden test set")]
    right: Annotated[float, doc("share of them that were classified right, in a panel the mean; 0 without images")]
    trained: Annotated[int, count("images of the class in the training set that was handed in")]
    validated: Annotated[int, count("images of the class in its validation set")]


@dataclass(frozen=True, kw_only=True)
class MemberRow:
    """How one model of the judges did."""

    name: Annotated[str, doc("name of the recipe")]
    accuracy: Annotated[float, share("accuracy on the hidden test set")]
    macro_f1: Annotated[float, share("macro F1 on the hidden test set")]
    book_accuracy: Annotated[float, share("accuracy on the label book")]
    validation_accuracy: Annotated[float, share("best accuracy on the validation set that was handed in")]
    best_epoch: Annotated[int, count("epoch with that accuracy, counted from 1")]
    seconds: Annotated[float, duration("duration of its training, in seconds")]
    notes: Annotated[list[str], doc("unusual events in the training, one sentence each")] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What a data set has in it, seen from the given data."""

    train: Annotated[int, count("images in train")] = 0
    val: Annotated[int, count("images in val")] = 0
    kept: Annotated[int, count("given images that are as they were given")] = 0
    dropped: Annotated[int, count("given images that are not in it")] = 0
    relabelled: Annotated[int, count("given images with another label")] = 0
    moved: Annotated[int, count("given images in another split")] = 0
    added: Annotated[int, count("images that are new, or a further copy of a given image")] = 0
    left_out: Annotated[int, count("given images that nobody trains on, because they are in the label book or the test set")] = 0


@dataclass(frozen=True, kw_only=True)
class CurationResult(CellResult):
    """The result of a cell of this track.

    Attributes:
        changes: what the data set has in it; ``near``: what its sets have in common with each other and with the hidden sets.
        near_distance: bits up to which hashes count as near, calibrated on planted copies of the given images.
        test_images, accuracy_low, accuracy_high: of the hidden test set; Wilson's interval at 95 %.
        by_class, members: the score in parts.
    """

    bulk: ClassVar[frozenset[str]] = CellResult.bulk | {"near"}

    changes: Annotated[Changes | None, doc("what the data set has in it; `null` without a data set")] = None
    near: Annotated[list[NearRow], doc("images that the sets have in common, or nearly")] = field(default_factory=list)
    near_distance: Annotated[int | None, doc("bits up to which two perceptual hashes count as near")] = None
    test_images: Annotated[int, count("images of the hidden test set")] = 0
    accuracy_low: Annotated[float | None, doc("lower end of Wilson's 95 % interval of the accuracy, over test images")] = None
    accuracy_high: Annotated[float | None, doc("its upper end")] = None
    by_class: Annotated[list[ClassRow], doc("the score by class")] = field(default_factory=list)
    members: Annotated[list[MemberRow], doc("the score by model")] = field(default_factory=list)
