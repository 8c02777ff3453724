"""What a cell of the purchase track is, complete, and which part of it decides what is bought.

A purchase is decided by less than a cell: not by the pipeline that will be trained on it, nor by where and how that is done. So it
has a hash of its own, and every cell of that hash may be trained on one and the same ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal

from evaluator.errors import ConfigurationError, Verdict
from evaluator.purchase.profiles import Profile
from evaluator.purchase.rounds import Pair
from evaluator.records import CellSpec, digest_of, doc
from evaluator.training.pipeline import Pipeline

VERSION = 1
"""Version of the judging code: from a ledger to figures. Raised by hand when the figures of a cell change; a test says so."""


@dataclass(frozen=True, kw_only=True)
class PurchaseSpec(CellSpec):
    """What is run: see ``CellSpec``.

    Attributes:
        pair: what may be bought and how long that may take.
        label_quality: share of label entries that the market sells right.
        on_timeout: ``fail``, or ``keep`` to score what was bought before the limit.
        restart: a fresh worker runs every phase.
        participant_weights: identity of the folder of weights that the worker is given.
    """

    track: ClassVar[str] = "purchase"
    version: ClassVar[int] = VERSION

    profile: Annotated[Profile, doc("the profile, complete, with its round (`evaluator/purchase/profiles.py`, `rounds.py`)")]
    pipeline: Annotated[Pipeline, doc("the pipeline, complete (`evaluator/training/pipeline.py`)")]
    pair: Annotated[Pair, doc("stands under `task`")]
    label_quality: Annotated[float, doc("share of label entries that the market sells right")] = 1.0
    on_timeout: Annotated[Literal["fail", "keep"], doc("`fail` or `keep`")] = "fail"
    restart: Annotated[bool, doc("whether a fresh worker ran each phase")] = False
    participant_weights: Annotated[str, doc("name and listing hash of `--weights-dir`, or empty")] = ""

    def __post_init__(self) -> None:
        if self.on_timeout not in ("fail", "keep"):
            raise ConfigurationError(f"on_timeout is {self.on_timeout!r}; it is 'fail' or 'keep'")
        if not 0.5 <= self.label_quality <= 1:
            raise ConfigurationError(f"the label quality is {self.label_quality}; it must be from 0.5 to 1")
        if self.seed < 0 or self.root_seed < 0:
            raise ConfigurationError(f"the seed {self.seed} and the root seed {self.root_seed} must be 0 or more")

    @property
    def task(self) -> str:
        """The pair, ``621:17``."""
        return self.pair.name

    @property
    def trains(self) -> bool:
        """Whether a pipeline is trained at all; where not, the participant's own predictions are scored."""
        return self.profile.round.scores == "organiser"

    @property
    def seconds_allowed(self) -> float:
        """Seconds that pre-training and purchase share."""
        return self.profile.seconds(self.pair)

    @property
    def condition(self) -> dict[str, Any]:
        """The label quality."""
        return {"label_quality": self.label_quality}

    @property
    def prediction_split(self) -> str:
        """The split whose images the prediction phase is given."""
        return self.profile.round.prediction_split if self.trains else self.score_split

    def takes(self, verdict: str, phases: int) -> bool:
        """All went well, or the time ran out and what was bought by then is kept.

        A submission that could not even be imported in time has not begun: there is nothing to keep.
        """
        return verdict == Verdict.OK or (verdict == Verdict.TIME_LIMIT and self.on_timeout == "keep" and phases > 0)

    def own(self) -> dict[str, Any]:
        """See ``CellSpec.own``; the pair stands under ``task``."""
        return {name: getattr(self, name) for name in ("label_quality", "on_timeout", "restart", "participant_weights")}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> PurchaseSpec:
        """The inverse of ``as_dict``, with the profile, round and pipeline that are stored, whatever the kit's tables say today.

        Raises:
            ConfigurationError: a field is missing or makes no sense.
        """
        try:
            plain = {f.name: stored[f.name] for f in fields(cls) if f.name in stored}
            return cls(
                **plain
                | {
                    "profile": Profile.from_dict(stored["profile"]),
                    "pipeline": Pipeline.from_dict(stored["pipeline"]),
                    "pair": Pair.parse(stored["task"]),
                    "data": dict(stored["data"]),
                }
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(f"the stored spec of a cell was not understood: {error!r}") from error

    def answer_dict(self) -> dict[str, Any]:
        """What decides a purchase, JSON-able: everything that the worker is given or held to, and nothing of the training.

        A worker is given the GPU where the training uses one, and a strategy that computes on it buys otherwise.
        """
        whole = self.as_dict()
        unseen = {"submission", "pipeline", "weights", "score_split", "device", "threads", "on_timeout", "version"}
        seen = dict.fromkeys(("training", "unlabelled", self.prediction_split))
        hidden = {"pipeline"} if self.profile.embeddings else {"pipeline", "weights"}
        return {name: value for name, value in whole.items() if name not in unseen} | {
            "profile": {name: value for name, value in whole["profile"].items() if name not in hidden},
            "data": {name: self.data.get(name) for name in seen},
            "gpu": self.device.startswith("cuda"),
        }

    def model_digest(self) -> str:
        """Of all but the split that is scored: cells of one purchase that agree in it have the same model."""
        seen = ("training", "unlabelled", self.prediction_split)
        whole = {name: value for name, value in self.as_dict().items() if name != "score_split"}
        return digest_of(whole | {"data": {name: self.data.get(name) for name in seen}})
