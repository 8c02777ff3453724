"""A part of a round as the judge will run it: its file is read and planned in the same way, and nothing is run."""

from __future__ import annotations

from pathlib import Path

from evaluator.judging import parts
from evaluator.plans import Plan, Step
from evaluator.rounds.terms import Folder
from evaluator.track import Track


def plan_of(folder: Folder, track: Track, file: Path, tier: str, step: Step = lambda what, done, total: None) -> Plan:
    """The plan of a part for one submission. Data are read and checked, and images decoded into the cache of the round.

    Args:
        file: ``keep/judge/public.toml`` or ``private.toml``, or ``publish/public.toml``.
        tier: of the judge, as cells name it.

    Raises:
        KitError: an option, the secret, the data or the weights are not what they should be.
    """
    return parts.plan_of(track, file, tier, folder.cache, step)
