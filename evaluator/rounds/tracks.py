"""The table of the tracks that a round can be made of, and what each has to say of its data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluator.errors import ConfigurationError
from evaluator.plans import Step
from evaluator.rounds import cleaning, curation, purchase
from evaluator.rounds.making import Made, Order
from evaluator.rounds.terms import Folder
from evaluator.secret import Secret

WITHOUT = {
    "audit": "it has verbs and no submissions that a judge could run; hand its votes and corrections in by its own verbs",
}
"""Tracks without cells, and why no round can be made of them."""


@dataclass(frozen=True)
class OfTrack:
    """What a track does for a round.

    Attributes:
        make: write the data, and say how both parts are judged.
        digests: of the published data, as a participant reads them.
    """

    make: Callable[[Order, Secret, Folder, Step], Made]
    digests: Callable[[Path, Mapping[str, Any]], dict[str, str]]


TRACKS: Mapping[str, OfTrack] = {
    "purchase": OfTrack(purchase.make, purchase.digests_of),
    "cleaning": OfTrack(cleaning.make, cleaning.digests_of),
    "curation": OfTrack(curation.make, curation.digests_of),
}


def of_track(name: str, option: str = "--track") -> OfTrack:
    """What the track of a name does for a round.

    Raises:
        ConfigurationError: no round can be made of it.
    """
    if name in TRACKS:
        return TRACKS[name]
    why = WITHOUT.get(name, "there is no such track")
    raise ConfigurationError(f"{option}: no round of {name!r} can be made: {why}. Known are {', '.join(TRACKS)}")
