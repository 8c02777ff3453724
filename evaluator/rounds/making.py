"""What is asked of a new round, and what a track makes of it: two types that ``make`` and the rooms of the tracks share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluator.errors import ConfigurationError
from evaluator.rounds.terms import Terms

MOST_HIDDEN = 100
"""Largest number of hidden tasks."""


@dataclass(frozen=True)
class Order:
    """What a person asked for.

    Attributes:
        terms: of the round; ``profile``: a name, or for purchase a TOML file.
        tasks: the public tasks, as ``--pairs`` or ``--tasks`` names them; empty for the profile's.
        hidden: number of hidden tasks; None for as many as there are public tasks.
        seeds: repetitions in both parts; ``pipelines``: empty for the profile's.
        data, private_data: folders with data of one's own; None: the kit makes them.
        submit_to: where participants send packages to; empty: nothing is said of it.
    """

    terms: Terms
    profile: str
    tasks: tuple[str, ...] = ()
    hidden: int | None = None
    seeds: int = 3
    pipelines: tuple[str, ...] = ()
    data: Path | None = None
    private_data: Path | None = None
    submit_to: str = ""

    def __post_init__(self) -> None:
        if self.hidden is not None and not 1 <= self.hidden <= MOST_HIDDEN:
            raise ConfigurationError(f"--hidden is {self.hidden}; expected 1 to {MOST_HIDDEN} hidden tasks")
        if (self.data is None) != (self.private_data is None):
            given, other = ("--data", "--private-data") if self.data is not None else ("--private-data", "--data")
            raise ConfigurationError(f"{given} was given without {other}; public and hidden data must be of one kind. Name both")
        if self.data is not None and self.private_data is not None and self.data.resolve() == self.private_data.resolve():
            raise ConfigurationError("--private-data is the folder of --data; expected other data. Name data that nobody has seen")


@dataclass(frozen=True)
class Made:
    """What a track made of an order, beside the data that it wrote.

    Attributes:
        public, private: options of the judge's parts, as a sweep's file has them. Paths are seen from ``keep/judge``.
        published: options of the public part for participants. Paths are seen from ``publish``.
        hidden: names of the hidden tasks.
        digests: of the published data, by part.
        facts: what participants are told of the data and of the judging; ``practise``: commands for them, to be run in ``publish``.
        warnings: what an organiser should know.
    """

    public: Mapping[str, Any]
    private: Mapping[str, Any]
    published: Mapping[str, Any]
    hidden: tuple[str, ...]
    digests: Mapping[str, str]
    facts: Sequence[str]
    practise: Sequence[str]
    warnings: tuple[str, ...] = field(default=())
