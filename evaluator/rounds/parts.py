"""A part of a round as the judge will run it: its file is read and planned in the same way, and nothing is run."""

from __future__ import annotations

from pathlib import Path

from evaluator.places import data_place
from evaluator.plans import Choices, Plan, Step
from evaluator.rounds.terms import README, Folder
from evaluator.secret import read_secret
from evaluator.submission.source import Source
from evaluator.sweep.settings import Settings, read_settings
from evaluator.track import Track

NOBODY = "0" * 32
"""Digest of the submission that a plan is made for; there is none."""


def settings_of(folder: Folder, track: Track, file: Path) -> Settings:
    """The options of a part.

    Raises:
        ConfigurationError: the file is not what a sweep takes.
    """
    return read_settings({"submissions": (folder.publish / README,)}, track, file)[0]


def plan_of(folder: Folder, track: Track, file: Path, tier: str, step: Step = lambda what, done, total: None) -> Plan:
    """The plan of a part for one submission. Data are read and checked, and images decoded into the cache of the round.

    Args:
        file: ``keep/judge/public.toml`` or ``private.toml``, or ``publish/public.toml``.
        tier: of the judge, as cells name it.

    Raises:
        KitError: an option, the secret, the data or the weights are not what they should be.
    """
    settings = settings_of(folder, track, file)
    cache = folder.cache if settings.cache is None else data_place(settings.cache)
    choices = Choices(
        submissions=(Source(folder.publish, "submission", NOBODY),),
        profile=settings.profile,
        pipelines=settings.pipelines,
        seeds=settings.seed_numbers,
        root_seed=settings.root_seed,
        secret=None if settings.secret is None else read_secret(settings.secret),
        starting_weights=settings.starting_weights,
        score_splits=settings.score_split,
        tier=tier,
        device="cpu",
        threads=settings.threads,
        data=settings.data,
        folder=cache,
        weights_dir=None,
        options=settings.options,
    )
    return track.plan(choices, step)
