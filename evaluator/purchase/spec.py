"""What a cell is, complete, and which part of it decides what is bought.

Two equal specs describe the same cell, and the hash of a spec names its result. A purchase is decided by less: not by the pipeline
that will be trained on it, nor by where and how that is done. So it has a hash of its own, and every cell of that hash may be
trained on one and the same ledger.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from evaluator import __version__
from evaluator.errors import ConfigurationError
from evaluator.purchase.profiles import Profile
from evaluator.purchase.rounds import Pair
from evaluator.training.pipeline import Pipeline

SCHEMA = 1
"""Version of the files of cells and purchases; raised when a field changes its meaning."""


@dataclass(frozen=True)
class CellSpec:
    """What is run.

    Attributes:
        submission: name of the submission; ``submission_digest``: hash over its files.
        seed: index of the repetition, 0, 1, ...; ``root_seed``: the seed that everything is split from.
        data: content hash per split; ``weights``: identity of the pipeline's starting weights.
        device, threads: of the training.
        label_quality: share of label entries that the market sells right.
        on_timeout: ``fail``, or ``keep`` to score what was bought before the limit.
        participant_weights: identity of the folder of weights that the worker is given; ``worker_threads``: threads it is told to
            use.
    """

    submission: str
    submission_digest: str
    profile: Profile
    pair: Pair
    seed: int
    root_seed: int
    pipeline: Pipeline
    weights: str
    data: dict[str, str]
    score_split: str
    tier: str
    device: str
    threads: int
    label_quality: float = 1.0
    on_timeout: Literal["fail", "keep"] = "fail"
    restart: bool = False
    participant_weights: str = ""
    worker_threads: int = 1

    def __post_init__(self) -> None:
        if self.on_timeout not in ("fail", "keep"):
            raise ConfigurationError(f"on_timeout is {self.on_timeout!r}; it is 'fail' or 'keep'")
        if not 0.5 <= self.label_quality <= 1:
            raise ConfigurationError(f"the label quality is {self.label_quality}; it must be from 0.5 to 1")
        if self.seed < 0 or self.root_seed < 0:
            raise ConfigurationError(f"the seed {self.seed} and the root seed {self.root_seed} must be 0 or more")

    @property
    def trains(self) -> bool:
        """Whether a pipeline is trained at all; where not, the participant's own predictions are scored."""
        return self.profile.round.scores == "organiser"

    @property
    def prediction_split(self) -> str:
        """The split whose images the prediction phase is given."""
        return self.profile.round.prediction_split if self.trains else self.score_split

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, complete."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        fields |= {"pair": self.pair.name, "pipeline": self.pipeline.as_dict(), "profile": self.profile.plain}
        return {"kit": __version__, "schema": SCHEMA, "track": "purchase", **fields}

    def digest(self) -> str:
        """SHA-256 over the spec; names the result file."""
        return self._digests[0]

    def purchase_dict(self) -> dict[str, Any]:
        """What decides a purchase, JSON-able: everything that the worker is given or held to, and nothing of the training.

        A worker is given the GPU where the training uses one, and a strategy that computes on it buys otherwise.
        """
        whole = self.as_dict()
        unseen = {"submission", "pipeline", "weights", "score_split", "device", "threads", "on_timeout"}
        seen = dict.fromkeys(("training", "unlabelled", self.prediction_split))
        hidden = {"pipeline"} if self.profile.embeddings else {"pipeline", "weights"}
        return {name: value for name, value in whole.items() if name not in unseen} | {
            "profile": {name: value for name, value in whole["profile"].items() if name not in hidden},
            "data": {name: self.data.get(name) for name in seen},
            "gpu": self.device.startswith("cuda"),
        }

    def purchase_digest(self) -> str:
        """SHA-256 over what decides the purchase; names its file."""
        return self._digests[1]

    def training_digest(self) -> str:
        """SHA-256 over all but the split that is scored: cells of one purchase that agree in it have the same model."""
        seen = ("training", "unlabelled", self.prediction_split)
        whole = {name: value for name, value in self.as_dict().items() if name != "score_split"}
        return _digest(whole | {"data": {name: self.data.get(name) for name in seen}})

    @cached_property
    def _digests(self) -> tuple[str, str]:
        # A runner asks for them many times over.
        return _digest(self.as_dict()), _digest(self.purchase_dict())


def _digest(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
