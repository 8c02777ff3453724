"""Profiles. A profile is a scaled-down version of a round: fewer images, smaller budgets and times, the same rules.

It is chosen by name, printed at the top of every run, and stored in every result. Profiles of one's own are TOML files: see
``rule_files``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

import msgspec

from evaluator.data.layout import MAX_SIDE, RESIZE, SPLITS
from evaluator.data.painted.shift import SHIFTS
from evaluator.errors import ConfigurationError
from evaluator.purchase.rounds import ROUND1, ROUND2, Pair, Round
from evaluator.training.recipes import PIPELINES
from evaluator.words import counted, meant, number

WEIGHTS = ("imagenet", "procedural", "none")
PROXIES = tuple(name for name, pipeline in PIPELINES.items() if pipeline.proxy)
"""Pipelines whose frozen features submissions may be given."""
MOST = 1_000_000
"""Largest scale of budgets and times."""


@dataclass(frozen=True)
class Profile:
    """How a round is scaled.

    Attributes:
        name: how results and tables call it.
        round: the rules. Pairs are always given in the round's units; the profile scales them.
        sizes: images per split; empty for as many as the data have.
        image_size: side of the images in pixels, for participant and pipeline alike.
        budget_scale: the labels of a pair are multiplied by this number and rounded.
        seconds_per_minute: seconds of the clock for one minute of a pair.
        pairs: the pairs that are run by default.
        pipeline: name of the default pipeline.
        weights: starting weights of the pipelines: ``imagenet`` (the weights that the pipeline names), or ``procedural`` or
            ``none``, which replace ImageNet's.
        data_folder: name of its data folder below ``data/``.
        data_seed: root seed of the public data that the kit's generator makes for it.
        prediction_seconds: time limit of the prediction phase.
        generated: whether the kit makes the data if they are missing; else they are imported, or made by ``data make``.
        shift: distribution of the generated data; ``shifted``: splits with another distribution, by name of the split.
        drawn: number of images that every seed draws from a split; other splits are used whole, and so is a split that has no
            more. Seeds then differ in their data, too, so an interval over seeds covers different training sets and pools. What
            is scored is never drawn: kept predictions of all seeds are of the same images, as on an organiser's test split.
        embeddings: whether the submission gets embeddings of the images, made by the pipelines' starting weights.
        embeddings_by: the proxy pipeline whose frozen features they are, e.g. ``proxy-lite0``; empty: ``proxy``, with ``weights``.
        load_seconds: time limit for starting the worker and importing the submission; no clock counts this time.
        resize: how images that are not square become square: ``pad`` (black borders), ``crop`` (the middle) or ``stretch``. Empty
            refuses such images, and images of different sizes in one split.
        data_place: folder of the data where it is not below ``data/``; ``pipeline_file``: file of the default pipeline where it is
            not the kit's; ``file``: the file that it was read from, for messages. They belong to this machine and are no part of
            the profile's identity.

    Raises:
        ConfigurationError: a field makes no sense.
    """

    name: str
    round: Round
    sizes: dict[str, int]
    image_size: int
    budget_scale: float
    seconds_per_minute: float
    pairs: tuple[Pair, ...]
    pipeline: str
    data_folder: str
    data_seed: int
    prediction_seconds: float
    generated: bool = False
    load_seconds: float = 120.0
    weights: Literal["imagenet", "procedural", "none"] = "procedural"
    shift: str = "public"
    shifted: dict[str, str] = field(default_factory=dict)
    drawn: dict[str, int] = field(default_factory=dict)
    embeddings: bool = False
    embeddings_by: str = ""
    resize: Literal["", "pad", "crop", "stretch"] = ""
    data_place: str = field(default="", compare=False)
    pipeline_file: str = field(default="", compare=False)
    file: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        unknown = set(self.sizes) - set(SPLITS)
        if unknown:
            raise ConfigurationError(f"profile {self.name}: sizes has the splits {sorted(unknown)}; expected {', '.join(SPLITS)}")
        for split, count in self.drawn.items():
            if split not in ("training", "unlabelled") or not 1 <= count <= (self.sizes or self.drawn).get(split, 0):
                raise ConfigurationError(
                    f"profile {self.name}: drawn has {count} images of {split!r}; expected training or unlabelled, with at least 1 "
                    "and at most all of its images"
                )
        if self.resize not in RESIZE:
            raise ConfigurationError(f"profile {self.name}: resize is {self.resize!r}; expected pad, crop or stretch, or nothing")
        if self.embeddings_by and not (self.embeddings and self.embeddings_by in PROXIES):
            raise ConfigurationError(
                f"profile {self.name}: embeddings_by is {self.embeddings_by!r}, embeddings {str(self.embeddings).lower()}; "
                f"expected {' or '.join(PROXIES)}, and embeddings = true"
            )
        if self.weights not in WEIGHTS:
            raise ConfigurationError(f"profile {self.name}: weights is {self.weights!r}; expected {', '.join(WEIGHTS)}")
        for split in self.shifted:
            if split not in SPLITS:
                raise ConfigurationError(f"profile {self.name}: shifted has the split {split!r}; expected {', '.join(SPLITS)}")
        for name, shift in (("shift", self.shift), *(("shifted", shift) for shift in self.shifted.values())):
            if shift not in SHIFTS:
                said = meant(shift, SHIFTS) or f"; expected {', '.join(SHIFTS)}"
                raise ConfigurationError(f"profile {self.name}: {name} is {shift!r}, which is no distribution of the kit{said}")
        for name in ("prediction_seconds", "load_seconds"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigurationError(
                    f"profile {self.name}: {name} is {getattr(self, name)}; expected a number of seconds above 0"
                )
        if not 1 <= self.image_size <= MAX_SIDE:
            raise ConfigurationError(f"profile {self.name}: image_size is {self.image_size}; expected 1 to {MAX_SIDE} pixels")
        for name in ("budget_scale", "seconds_per_minute"):
            if not 0 < getattr(self, name) <= MOST:
                raise ConfigurationError(
                    f"profile {self.name}: {name} is {getattr(self, name)}; expected more than 0, and at most {MOST:,}"
                )

    @property
    def round_name(self) -> str:
        """Name of the round."""
        return self.round.name

    @property
    def primary_metric(self) -> str:
        """The metric that ranks submissions."""
        return self.round.primary_metric

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Profile:
        """The inverse of ``as_dict``, also after it was written as JSON and read.

        Raises:
            ConfigurationError: a field is missing, unknown or makes no sense.
        """
        try:
            msgspec.convert(stored, cls)  # checks the types of all values
            # Made of the values as they are: a converted 17.0 in place of 17 would give the spec another hash.
            rules = dict(stored["round"])
            rules |= {"pairs": _pairs(rules["pairs"])} | {
                name: tuple(rules[name]) for name in ("classes", "label_interval", "minute_interval")
            }
            return cls(**dict(stored) | {"round": Round(**rules), "pairs": _pairs(stored["pairs"])})
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise ConfigurationError(f"a stored profile was not understood: {error}") from error

    def as_dict(self) -> dict[str, Any]:
        """Every field, JSON-able. Made once, because ten thousand specs share it; callers must not change it."""
        return self._plain

    @cached_property
    def _plain(self) -> dict[str, Any]:
        plain = asdict(self)
        # What decides no result has no part in a spec's hash, and a key that is younger than published results must not change it.
        for name in (
            "data_place",
            "pipeline_file",
            "file",
            *(name for name in ("resize", "embeddings_by") if not getattr(self, name)),
        ):
            del plain[name]
        for name in ("opens", "closes"):
            del plain["round"][name]
        return plain

    def budget(self, pair: Pair) -> int:
        """Number of labels that ``pair`` allows under this profile."""
        return round(pair.labels * self.budget_scale)

    def seconds(self, pair: Pair) -> float:
        """Seconds that pre-training and purchase share under this profile."""
        return pair.minutes * self.seconds_per_minute

    def describe(self, pair: Pair) -> str:
        """``621:17 = 62 labels, 17 s`` if the profile scales the pair, else ``621 labels, 17 min``."""
        if self.budget_scale == 1 and self.seconds_per_minute == 60:
            return f"{counted(pair.labels, 'label')}, {pair.minutes:g} min"
        return f"{pair.name} = {counted(self.budget(pair), 'label')}, {number(self.seconds(pair))} s"


def _pairs(stored: Sequence[Mapping[str, Any]]) -> tuple[Pair, ...]:
    return tuple(Pair(**pair) for pair in stored)


OFFICIAL = Profile(
    name="official",
    round=ROUND2,
    sizes=ROUND2.sizes,
    image_size=224,
    budget_scale=1.0,
    seconds_per_minute=60.0,
    pairs=ROUND2.pairs,
    pipeline="round2",
    data_folder="official",
    data_seed=2022,
    prediction_seconds=ROUND2.prediction_minutes * 60.0,
    weights="imagenet",
)

OFFICIAL_ROUND1 = Profile(
    name="official-round1",
    round=ROUND1,
    sizes=ROUND1.sizes,
    image_size=224,
    budget_scale=1.0,
    seconds_per_minute=60.0,
    pairs=ROUND1.pairs,
    pipeline="round2",
    data_folder="official-round1",
    data_seed=2021,
    prediction_seconds=ROUND1.prediction_minutes * 60.0,
    weights="imagenet",
)

QUICK = Profile(
    name="quick",
    round=ROUND2,
    sizes={"training": 500, "unlabelled": 4_000, "validation": 300, "test": 300, "debug": 10},
    image_size=64,
    budget_scale=0.1,
    seconds_per_minute=1.0,
    pairs=ROUND2.pairs,
    pipeline="quick",
    data_folder="quick",
    data_seed=2022,
    prediction_seconds=10.0,
    generated=True,
    drawn={"training": 100, "unlabelled": 1_000},
)
"""The default. Every seed draws a training set and a pool of its own: if all seeds had the same, ten seeds of a strategy that draws
nothing itself would be one observation ten times."""

RARE = Profile(
    name="rare",
    round=ROUND2,
    sizes={"training": 300, "unlabelled": 3_000, "validation": 600, "test": 600, "debug": 10},
    image_size=64,
    budget_scale=0.06,
    seconds_per_minute=1.0,
    pairs=ROUND2.pairs,
    pipeline="round2",
    data_folder="rare",
    data_seed=2022,
    prediction_seconds=10.0,
    generated=True,
    shift="rare",
    shifted={"test": "rare-private"},
    drawn={"training": 60, "unlabelled": 1_000},
    embeddings=True,
)
"""A production line with few damages, so that the choice of labels matters: two thirds of the sheets have none, and each damage is
on 4 to 10 % of them. The test split is of another production line. Smaller than ``quick``, for experiments with many seeds."""

DEBUG = Profile(
    name="debug",
    round=ROUND2,
    sizes={"training": 60, "unlabelled": 80, "validation": 20, "debug": 10},
    image_size=64,
    budget_scale=0.02,
    seconds_per_minute=0.5,
    pairs=ROUND2.pairs[:1],
    pipeline="debug",
    data_folder="debug",
    data_seed=2022,
    prediction_seconds=10.0,
    generated=True,
    drawn={"training": 30, "unlabelled": 40},
)

PROFILES = {p.name: p for p in (QUICK, RARE, DEBUG, OFFICIAL, OFFICIAL_ROUND1)}


def profile_named(name: str) -> Profile:
    """The profile called ``name``.

    Raises:
        ConfigurationError: there is no profile of that name.
    """
    if name not in PROFILES:
        said = meant(name, PROFILES) or f"; choose one of {', '.join(PROFILES)}, or name a TOML file"
        raise ConfigurationError(f"--profile: there is no profile {name!r}{said}")
    return PROFILES[name]
