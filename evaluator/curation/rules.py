"""The rules of the track: profiles (which data, which limits), and judges: a fixed model, or an organiser's panel of several."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_args

from evaluator.bounded import read_toml
from evaluator.curation.recipes import RECIPES, CurationRecipe, recipe_named
from evaluator.errors import ConfigurationError
from evaluator.words import meant

ROUND = "curation"
MOST_SECONDS = 7 * 24 * 3600.0
BATCH = 8
"""Images of a batch in the original's count."""
Count = Literal["images", "batches"]
Duplicates = Literal["report", "refuse"]
Rank = Literal["mean", "worst"]


@dataclass(frozen=True)
class CurationProfile:
    """Which data are given, and what a returned data set must keep to.

    Attributes:
        name: on the command line; ``data``: name of the embedded data set, empty for a folder (``--data``).
        pipeline: name of the recipe that judges unless another is asked for.
        seconds: limit of ``curate``; ``load_seconds``: for starting the worker and importing the submission.
        most: images that train and val may hold together.
        count: ``images`` counts them. ``batches`` counts batches of 8 of either split, as the original did, which refuses 5,001 +
            4,999 images.
        most_side: longest side of an image, in pixels.
        duplicates: whether images with equal pixels in train and in val are reported or refused.

    Raises:
        ConfigurationError: a field makes no sense.
    """

    round_name: ClassVar[str] = ROUND

    name: str
    data: str = ""
    pipeline: str = "fixed"
    seconds: float = 600.0
    load_seconds: float = 60.0
    most: int = 10_000
    count: Count = "images"
    most_side: int = 1_024
    duplicates: Duplicates = "report"

    def __post_init__(self) -> None:
        for name in ("seconds", "load_seconds"):
            if not 0 < getattr(self, name) <= MOST_SECONDS:
                raise ConfigurationError(
                    f"profile {self.name!r}: {name} is {getattr(self, name):g}; expected more than 0, up to a week"
                )
        if not 2 <= self.most <= 10_000:
            raise ConfigurationError(f"profile {self.name!r}: most is {self.most}; expected 2 to 10,000 images")
        for name, known in (("count", get_args(Count)), ("duplicates", get_args(Duplicates))):
            if getattr(self, name) not in known:
                raise ConfigurationError(f"--{name} is {getattr(self, name)!r}; it must be {' or '.join(known)}")

    def too_many(self, train: int, validation: int) -> str:
        """Why so many images are too many, in words; empty if they are not."""
        if self.count == "images":
            many = train + validation
            return "" if many <= self.most else f"{train:,} + {validation:,} images; at most {self.most:,} in train and val"
        batches, most = math.ceil(train / BATCH) + math.ceil(validation / BATCH), self.most // BATCH
        if batches <= most:
            return ""
        return f"{train:,} + {validation:,} images are {batches:,} batches of {BATCH}; at most {most:,} in train and val"

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; the round has nothing but a name."""
        return asdict(self) | {"round": {"name": ROUND}}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The inverse of ``as_dict``."""
        return cls(**{name: value for name, value in stored.items() if name != "round"})


@dataclass(frozen=True)
class Judges:
    """What judges a data set: one recipe, or a panel of several whose mean or worst score ranks.

    Attributes:
        name: in tables. That of a panel does not say which models are in it.
        members: the recipes, each trained from its own starting weights.
        rank: how the scores of several become one: their ``mean``, or the ``worst`` of them.

    Raises:
        ConfigurationError: no member, a member twice, or an unknown rank.
    """

    name: str
    members: tuple[CurationRecipe, ...]
    rank: Rank = "mean"

    def __post_init__(self) -> None:
        names = [member.name for member in self.members]
        if not names or len(set(names)) != len(names):
            raise ConfigurationError(f"--panel: the models are {', '.join(names) or 'none'}; expected one or more, each once")
        if self.rank not in get_args(Rank):
            raise ConfigurationError(f"--panel-rank is {self.rank!r}; it must be mean or worst")

    @classmethod
    def of(cls, recipe: CurationRecipe) -> Self:
        """One recipe, under its own name."""
        return cls(recipe.name, (recipe,))

    @classmethod
    def panel(cls, names: Sequence[str], rank: Rank) -> Self:
        """A panel of recipes by name or TOML file.

        Raises:
            ConfigurationError: a name or a file is no recipe, or one is named twice.
        """
        return cls(f"panel of {len(names)}, {rank}", tuple(map(chosen_recipe, names)), rank)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"name": self.name, "rank": self.rank, "members": [member.as_dict() for member in self.members]}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The inverse of ``as_dict``."""
        return cls(stored["name"], tuple(map(CurationRecipe.from_dict, stored["members"])), stored["rank"])


PROFILES: Mapping[str, CurationProfile] = {
    profile.name: profile
    for profile in (
        CurationProfile("numerals", "numerals"),
        CurationProfile("quick", "quick", "quick", seconds=120.0),
        CurationProfile("debug", "debug", "linear", seconds=30.0, most=2_000),
        CurationProfile("roman"),
    )
}
"""``numerals``, ``quick`` and ``debug`` are embedded; ``roman`` reads a folder in the layout of the competition (``--data``)."""


def profile_named(name: str) -> CurationProfile:
    """The profile of a name.

    Raises:
        ConfigurationError: there is none.
    """
    if name not in PROFILES:
        raise ConfigurationError(
            f"--profile: there is no profile {name!r} of curation{meant(name, PROFILES)}; known: {', '.join(PROFILES)}"
        )
    return PROFILES[name]


def chosen_recipe(text: str) -> CurationRecipe:
    """The recipe of a name, or of a TOML file with the fields of a ``CurationRecipe``: a model that an organiser keeps to itself.

    Raises:
        ConfigurationError: there is no such recipe, or the file is not good.
    """
    if not text.endswith(".toml"):
        return recipe_named(text)
    path = Path(text)
    try:
        content = read_toml(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}); expected a recipe. Name another file") from error
    known = {"name": path.stem} | asdict(next(iter(RECIPES.values())))
    if unknown := [key for key in content if key not in known]:
        fields = ", ".join(known)
        raise ConfigurationError(f"{path}: the key {unknown[0]!r} is unknown{meant(unknown[0], known)}; expected {fields}")
    try:
        return CurationRecipe(**({"name": path.stem} | content))
    except TypeError as error:
        raise ConfigurationError(f"{path}: a value has the wrong type ({error}); expected the fields of a recipe") from error


def ruled(profile: CurationProfile, count: str | None, duplicates: str | None, seconds: float | None) -> CurationProfile:
    """The profile with what was asked for on the command line in its place."""
    asked = {"count": count, "duplicates": duplicates, "seconds": seconds}
    return replace(profile, **{name: value for name, value in asked.items() if value is not None})  # type: ignore[arg-type]
