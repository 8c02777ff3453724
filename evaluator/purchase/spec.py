"""The complete spec of a cell in the purchase track, and the part of it that decides the purchase.

A purchase depends on fewer fields than a cell: not on the pipeline, and not on device and threads of its training. So a purchase
has a hash of its own, and all cells with that hash are trained on the same ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from evaluator.errors import ConfigurationError, Verdict
from evaluator.fields import doc
from evaluator.purchase.profiles import Profile
from evaluator.purchase.rounds import Pair
from evaluator.specs import CellSpec, digest_of
from evaluator.training.pipeline import Pipeline

VERSION = 1
"""Version of the judging code (from a ledger to figures). Raise it by hand when the figures of a cell change; a test fails if they
changed and it was not raised."""


def check_quality(value: float) -> None:
    """Check a label quality.

    Raises:
        ConfigurationError: it is not from 0.5 to 1.
    """
    if not 0.5 <= value <= 1:
        raise ConfigurationError(f"the label quality is {value:g}; it must be from 0.5 to 1")


@dataclass(frozen=True, kw_only=True)
class PurchaseSpec(CellSpec):
    """What is run: see ``CellSpec``.

    Attributes:
        pair: the label budget and the time, in the round's units.
        label_quality: share of label entries that the market sells right.
        on_timeout: ``fail``, or ``keep`` to score with the labels that were bought before the time limit.
        restart: whether a fresh worker runs every phase.
        participant_weights: identity of the folder of weights that the worker may read; empty for none.

    Raises:
        ConfigurationError: a field makes no sense.
    """

    track: ClassVar[str] = "purchase"
    version: ClassVar[int] = VERSION
    conditions: ClassVar[tuple[str, ...]] = ("label_quality",)

    profile: Annotated[Profile, doc("the profile, complete, with its round (`evaluator/purchase/profiles.py`, `rounds.py`)")]
    pipeline: Annotated[Pipeline, doc("the pipeline, complete (`evaluator/training/pipeline.py`)")]
    pair: Annotated[Pair, doc("stored as `task`")]
    label_quality: Annotated[float, doc("share of label entries that the market sells right")] = 1.0
    on_timeout: Annotated[Literal["fail", "keep"], doc("`fail` or `keep`")] = "fail"
    restart: Annotated[bool, doc("whether a fresh worker ran each phase")] = False
    participant_weights: Annotated[str, doc("name of `--weights-dir` and hash over the content of its files, or empty")] = ""

    def __post_init__(self) -> None:
        if self.on_timeout not in ("fail", "keep"):
            raise ConfigurationError(f"on_timeout is {self.on_timeout!r}; it must be 'fail' or 'keep'")
        check_quality(self.label_quality)
        if self.seed < 0 or self.root_seed < 0:
            raise ConfigurationError(f"the seed {self.seed} and the root seed {self.root_seed} must be 0 or more")

    @property
    def task(self) -> str:
        """The pair, ``621:17``."""
        return self.pair.name

    @property
    def trains(self) -> bool:
        """Whether a pipeline is trained. If not, the participant's own predictions are scored."""
        return self.profile.round.scores == "organiser"

    @property
    def seconds_allowed(self) -> float:
        """Seconds that pre-training and purchase share."""
        return self.profile.seconds(self.pair)

    @property
    def prediction_split(self) -> str:
        """The split whose images the prediction phase gets."""
        return self.profile.round.prediction_split if self.trains else self.score_split

    def takes(self, verdict: str, phases: int) -> bool:
        """True for ``OK``; with ``on_timeout`` ``keep`` also for a time limit after at least one phase was started.

        A submission that could not be imported in time has started no phase, so nothing can be kept.
        """
        return verdict == Verdict.OK or (verdict == Verdict.TIME_LIMIT and self.on_timeout == "keep" and phases > 0)

    def own(self) -> dict[str, Any]:
        """See ``CellSpec.own``; the pair is stored as ``task``."""
        return {name: getattr(self, name) for name in ("label_quality", "on_timeout", "restart", "participant_weights")}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], **read: Any) -> Self:
        """See ``CellSpec.from_dict``; the pair is stored as ``task``."""
        try:
            pair = Pair.parse(stored["task"])
        except (KeyError, TypeError) as error:
            raise ConfigurationError(f"the stored spec of a cell was not understood: {error!r}") from error
        return super().from_dict(stored, pair=pair, **read)

    def answer_dict(self) -> dict[str, Any]:
        """The fields that decide the purchase, JSON-able; of profile and data only what the worker gets."""
        seen = super().answer_dict()
        del seen["on_timeout"]
        hidden = {"pipeline"} if self.profile.embeddings else {"pipeline", "weights"}
        return seen | {
            "profile": {name: value for name, value in seen["profile"].items() if name not in hidden},
            "data": {name: self.data.get(name) for name in ("training", "unlabelled", self.prediction_split)},
        }

    def model_digest(self) -> str:
        """Hash over all fields but the scored split: cells of one purchase with equal hashes have the same model."""
        seen = ("training", "unlabelled", self.prediction_split)
        whole = {name: value for name, value in self.as_dict().items() if name != "score_split"}
        return digest_of(whole | {"data": {name: self.data.get(name) for name in seen}})
