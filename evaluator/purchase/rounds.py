"""The rounds of the challenge, as frozen tables. Tables are added, never edited, so that old rounds can always be scored again.

Rounds of one's own are TOML files: see ``rule_files``.

Source of the figures: the rules of the Data Purchasing Challenge 2022 (AIcrowd / ZEW), rounds 1 and 2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from evaluator.data.labels import check_classes
from evaluator.data.layout import SCORED_SPLITS, SPLITS
from evaluator.errors import ConfigurationError

SCORES = ("organiser", "participant")
PRIMARY = ("macro_f1", "accuracy")
MOST_MINUTES = 1_000_000
"""Largest number of minutes of a phase: two years."""


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
        name: how results and tables call it.
        classes: names of the classes (the round's damages), in the order of the label vector.
        sizes: images per split; a split that the round did not have is missing.
        pairs: the public pairs.
        label_interval, minute_interval: the closed intervals that hidden pairs are drawn from.
        prediction_minutes: time limit of the prediction phase.
        scores: whose predictions are scored: ``organiser`` (a model trained on the training set and the bought labels) or
            ``participant`` (the submission's own predictions).
        primary_metric: the metric that ranks submissions.
        score_split: the split that local scores come from (official archives hold no test split).
        prediction_split: the split whose images ``prediction_phase`` gets, without labels.
        opens, closes: first and last day of the round, as ``2026-01-31``; empty for none. They decide no result: a run outside them
            says so.

    Raises:
        ConfigurationError: a field makes no sense.
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
    opens: str = ""
    closes: str = ""

    def __post_init__(self) -> None:
        def refused(key: str, seen: object, expected: str) -> ConfigurationError:
            return ConfigurationError(f"round {self.name}: {key} is {seen!r}; expected {expected}")

        try:
            check_classes(self.classes)
        except ConfigurationError as error:
            raise ConfigurationError(f"round {self.name}: classes: {error}") from None
        for split, count in self.sizes.items():
            if split not in SPLITS or count < 1:
                raise refused("sizes", f"{split} = {count}", f"{', '.join(SPLITS)}, each with 1 image or more")
        if not self.pairs:
            raise refused("pairs", [], 'one pair or more, e.g. ["100:10"]')
        for key in ("label_interval", "minute_interval"):
            low, high = getattr(self, key)
            if not 0 <= low <= high < float("inf"):
                raise refused(key, [low, high], "its lower and its upper end, 0 or more")
        if not 0 < self.prediction_minutes <= MOST_MINUTES:
            raise refused("prediction_minutes", self.prediction_minutes, f"more than 0, and at most {MOST_MINUTES:,}")
        for key, known in (("scores", SCORES), ("primary_metric", PRIMARY)):
            if getattr(self, key) not in known:
                raise refused(key, getattr(self, key), " or ".join(known))
        if self.score_split not in SCORED_SPLITS:
            raise refused("score_split", self.score_split, " or ".join(SCORED_SPLITS))
        if self.prediction_split not in SPLITS:
            raise refused("prediction_split", self.prediction_split, " or ".join(SPLITS))
        for key in ("opens", "closes"):
            try:
                if day := getattr(self, key):
                    date.fromisoformat(day)
            except (TypeError, ValueError):
                raise refused(key, getattr(self, key), "a day such as 2026-01-31") from None
        if self.opens and self.closes and date.fromisoformat(self.closes) < date.fromisoformat(self.opens):
            raise refused("closes", self.closes, f"a day that is not before opens, {self.opens}")

    def outside(self, today: date) -> str:
        """Why a run of today is not of the round, in words; empty if it is, or if the round has no dates."""
        if self.opens and today < date.fromisoformat(self.opens):
            return f"{self.name} opens on {self.opens}; this run is before it"
        if self.closes and today > date.fromisoformat(self.closes):
            return f"{self.name} closed on {self.closes}; this run is after it"
        return ""


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


def tables_besides(classes: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The classes of the kit's rounds that have all of ``classes`` and more: a table of one of them is read, and the rest left out.

    Every command that reads a table of labels uses this, so that all accept and refuse the same tables.
    """
    return tuple(known.classes for known in ROUNDS.values() if set(classes) < set(known.classes))


NODE_CPUS = 4
NODE = {"cpus": NODE_CPUS, "memory_gb": 16, "gpu": "T4"}
"""The machine that judged in 2022: 4 CPU, 16 GB, one T4."""
