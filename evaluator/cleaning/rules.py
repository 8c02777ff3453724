"""The rules of the track: profiles (which tasks, how large, how long), and the recipes that judge a ranking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Self

from evaluator.errors import ConfigurationError
from evaluator.words import meant

ROUND = "cleaning"
SEED = 42
"""Of the weights that the original's model starts from."""
MODEL = "two linear layers of 128, AdamW 0.01 with decay 0.9, 20 epochs, batches of 64"
"""The fixed model, in words; it stands in every stored cell."""
MOST_SECONDS = 7 * 24 * 3600.0


@dataclass(frozen=True)
class CleaningProfile:
    """Which tasks are set, and under what limits.

    Attributes:
        name: on the command line; ``tasks``: names of the tasks, empty for all of a folder.
        train, validation, test: rows of a task that is embedded; a folder has its own.
        seconds: limit of ``rank``; ``load_seconds``: for starting the worker and importing the submission.
        enough: share of the accuracy on true labels that counts as reached.

    Raises:
        ConfigurationError: a field makes no sense.
    """

    round_name: ClassVar[str] = ROUND

    name: str
    tasks: tuple[str, ...] = ()
    train: int = 300
    validation: int = 100
    test: int = 500
    seconds: float = 60.0
    load_seconds: float = 60.0
    enough: float = 0.95

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            if getattr(self, name) < 10:
                raise ConfigurationError(f"profile {self.name!r}: {name} is {getattr(self, name)}; expected 10 rows or more")
        for name in ("seconds", "load_seconds"):
            if not 0 < getattr(self, name) <= MOST_SECONDS:
                raise ConfigurationError(
                    f"profile {self.name!r}: {name} is {getattr(self, name):g}; expected more than 0, up to a week"
                )
        if not 0 < self.enough <= 1:
            raise ConfigurationError(f"profile {self.name!r}: enough is {self.enough:g}; expected more than 0, up to 1")

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; the round has nothing but a name."""
        return asdict(self) | {"tasks": list(self.tasks), "round": {"name": ROUND}}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The inverse of ``as_dict``."""
        kept = {name: value for name, value in stored.items() if name != "round"}
        return cls(**kept | {"tasks": tuple(map(str, kept["tasks"]))})


@dataclass(frozen=True)
class CleaningRecipe:
    """How a ranking is judged: the fixed model of ``linear.py``, after which checks it is trained, and from which weights.

    Attributes:
        points: the largest number of trainings of a course; None: after every wrong label that is found.
        exact: train in the order of operations of automatic differentiation, three to six times as slow.
        model: in words.
        start: seed of the starting weights; None: another for every seed of the cell.

    Raises:
        ConfigurationError: ``points`` is below 2.
    """

    name: str
    points: int | None = None
    exact: bool = False
    start: int | None = None
    model: str = MODEL

    def __post_init__(self) -> None:
        if self.points is not None and self.points < 2:
            raise ConfigurationError(f"recipe {self.name!r}: points is {self.points}; expected 2 or more, the first and the last")

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The inverse of ``as_dict``."""
        return cls(**stored)


ORIGINAL = CleaningRecipe(
    "dataperf", start=SEED, model=f"{MODEL}; accuracies with two decimals, as DataPerf's evaluator prints them"
)
"""Stands in cells that ``original.py`` scored. A person asks for it by ``cleaning evaluate --scoring dataperf``."""
DIGITS = CleaningProfile(
    "digits",
    ("digits-uniform-0.3", "digits-pairs-0.2", "digits-instances-0.2", "digits-4v9-uniform-0.2", "digits-3v8-instances-0.2"),
)
PROFILES: Mapping[str, CleaningProfile] = {
    profile.name: profile
    for profile in (
        DIGITS,
        replace(DIGITS, name="debug", tasks=("digits-4v9-uniform-0.2",), train=60, validation=30, test=100, seconds=30.0),
        CleaningProfile("dataperf", seconds=600.0),
    )
}
"""``digits`` and ``debug`` are embedded; ``dataperf`` reads the tasks of a folder in DataPerf's layout (``--data``)."""
RECIPES: Mapping[str, CleaningRecipe] = {
    recipe.name: recipe
    for recipe in (
        CleaningRecipe("linear"),
        CleaningRecipe("coarse", points=31),
        CleaningRecipe("exact", exact=True),
        CleaningRecipe("original_start", start=SEED),
    )
}


def profile_named(name: str) -> CleaningProfile:
    """The profile of a name.

    Raises:
        ConfigurationError: there is none.
    """
    if name not in PROFILES:
        raise ConfigurationError(
            f"--profile: there is no profile {name!r} of cleaning{meant(name, PROFILES)}; known: {', '.join(PROFILES)}"
        )
    return PROFILES[name]


def recipe_named(name: str) -> CleaningRecipe:
    """The recipe of a name.

    Raises:
        ConfigurationError: there is none.
    """
    if name not in RECIPES:
        raise ConfigurationError(
            f"--pipelines: there is no recipe {name!r} of cleaning{meant(name, RECIPES)}; known: {', '.join(RECIPES)}"
        )
    return RECIPES[name]
