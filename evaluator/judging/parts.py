"""A part of a competition as the judge's sweeps will run it: its file is read and planned in the same way, and nothing is run."""

from __future__ import annotations

from pathlib import Path

from evaluator.errors import KitError
from evaluator.judging.jobs import Part
from evaluator.judging.place import Place
from evaluator.places import data_place
from evaluator.plans import Choices, Plan, Step
from evaluator.secret import read_secret
from evaluator.submission.source import Source
from evaluator.sweep.settings import read_settings
from evaluator.track import Track

NOBODY = "0" * 32
"""Digest of the submission that a plan is made for; there is none."""


def plan_of(track: Track, file: Path, tier: str, cache: Path | None = None, step: Step = lambda what, done, total: None) -> Plan:
    """The plan of a part for one submission. Data are read and checked, and images decoded into the cache.

    Args:
        file: the options of the part; it stands for the submission as well, of which only the digest counts.
        tier: of the judge, as cells name it.
        cache: folder of caches where the options name none; None: that of a sweep.

    Raises:
        KitError: an option, the secret, the data or the weights are not what they should be.
    """
    settings = read_settings({"submissions": (file,)}, track, file)[0]
    choices = Choices(
        submissions=(Source(file.parent, "submission", NOBODY),),
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
        folder=cache if cache is not None and settings.cache is None else data_place(settings.cache),
        weights_dir=None,
        options=settings.options,
    )
    return track.plan(choices, step)


def why_not(place: Place, track: Track, part: Part) -> str:
    """Why no submission can be judged in a part (``public``, ``private``), in words; empty if it can.

    A judge asks before it begins: an option that no sweep takes would fail every submission by the judge's fault.
    """
    file = place.sweep(part)
    try:
        plan_of(track, file, place.rules.sandbox)
    except KitError as error:
        text = str(error)
        return text if text.startswith(str(file)) else f"{file}: {text}"
    return ""
