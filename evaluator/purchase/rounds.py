"""The rounds of the challenge, as frozen tables. Tables are added, never edited, so that old rounds can always be scored again.

Source of the figures: the rules of the Data Purchasing Challenge 2022 (AIcrowd / ZEW), rounds 1 and 2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from evaluator.errors import ConfigurationError


@dataclass(frozen=True, order=True)
class Pair:
    """A label budget and a compute budget, always in the round's own units.

    Attributes:
        labels: number of labels that may be bought.
        minutes: wall-clock minutes that the pre-training and the purchase phase share.
    """

    labels: int
    minutes: float

    def __post_init__(self) -> None:
        if self.labels < 0 or not 0 < self.minutes < float("inf"):
            raise ConfigurationError(
                f"the pair {self.labels}:{self.minutes:g} is not possible; expected 0 or more labels and more than 0 minutes"
            )

    @property
    def name(self) -> str:
        """``621:17``, as on the command line."""
        return f"{self.labels}:{self.minutes:g}"

    @classmethod
    def parse(cls, text: str) -> Pair:
        """Read ``LABELS:MINUTES``.

        Raises:
            ConfigurationError: the text has another form.
        """
        match = re.fullmatch(r"\s*(-?[0-9]{1,12})\s*:\s*(-?[0-9]{1,12}(?:\.[0-9]{1,12})?)\s*", text)
        if not match:
            raise ConfigurationError(
                f"the pair {text!r} was not understood; write LABELS:MINUTES in the round's units, e.g. 621:17"
            )
        return cls(int(match[1]), float(match[2]))


@dataclass(frozen=True)
class Round:
    """The rules of one round.

    Attributes:
        classes: names of the damages, in the order of the label vector.
        sizes: images per split; a split that the round did not have is missing.
        pairs: the public pairs.
        label_interval, minute_interval: the closed intervals that hidden pairs are drawn from.
        prediction_minutes: time limit of the prediction phase.
        scores: whose predictions are scored: ``organiser`` (a model trained on the training set and the bought labels) or
            ``participant`` (the submission's own predictions).
        primary_metric: the metric that ranks submissions.
        score_split: the split that local scores come from (official archives hold no test split).
        prediction_split: the split whose images ``prediction_phase`` gets, without labels.
    """

    name: str
    classes: tuple[str, ...]
    sizes: dict[str, int]
    pairs: tuple[Pair, ...]
    label_interval: tuple[int, int]
    minute_interval: tuple[float, float]
    prediction_minutes: float
    scores: Literal["organiser", "participant"]
    primary_metric: Literal["macro_f1", "accuracy"]
    score_split: str
    prediction_split: str


_FOUR_DAMAGES = ("scratch_small", "scratch_large", "dent_small", "dent_large")

ROUND1 = Round(
    name="round1",
    classes=_FOUR_DAMAGES,
    sizes={"training": 5_000, "unlabelled": 10_000, "validation": 3_000, "debug": 100},
    pairs=(Pair(3_000, 180),),
    label_interval=(3_000, 3_000),
    minute_interval=(180, 180),
    prediction_minutes=10,
    scores="participant",
    primary_metric="accuracy",
    score_split="validation",
    prediction_split="validation",
)

ROUND2 = Round(
    name="round2",
    classes=(*_FOUR_DAMAGES, "stray_particle", "discoloration"),
    sizes={"training": 1_000, "unlabelled": 10_000, "validation": 3_000, "test": 3_000, "debug": 100},
    pairs=(Pair(621, 17), Pair(621, 51), Pair(1_889, 17), Pair(1_889, 51), Pair(1_321, 34)),
    label_interval=(500, 2_000),
    minute_interval=(15, 60),
    prediction_minutes=10,
    scores="organiser",
    primary_metric="macro_f1",
    score_split="validation",
    prediction_split="debug",
)

ROUNDS = {r.name: r for r in (ROUND1, ROUND2)}
NODE_CPUS = 4
NODE = {"cpus": NODE_CPUS, "memory_gb": 16, "gpu": "T4"}
"""The machine that judged in 2022: 4 CPU, 16 GB, one T4."""
