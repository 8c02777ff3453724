"""The table of the tracks that this kit has, and the options of a command line that depend on the track."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from evaluator.cleaning.track import CLEANING
from evaluator.curation.track import CURATION
from evaluator.errors import ConfigurationError
from evaluator.places import given_path
from evaluator.plans import Option
from evaluator.purchase.rule_files import chosen_profile, is_file
from evaluator.purchase.track import PURCHASE
from evaluator.track import Track, Tracks

DEFAULT: Track = PURCHASE
"""The track of a command that names none."""
TRACKS = Tracks({track.name: track for track in (DEFAULT, CLEANING, CURATION)})
"""Every track, by name. A track that is listed here works with every verb."""


def named(name: str, option: str = "--track") -> Track:
    """The track of a name.

    Args:
        option: where the name was given, for the message.

    Raises:
        ConfigurationError: there is no such track.
    """
    if name not in TRACKS.known:
        known = ", ".join(sorted(TRACKS.known))
        raise ConfigurationError(f"{option}: there is no track {name!r}; known are {known}. Name one of them")
    return TRACKS.known[name]


def chosen(argv: Sequence[str], *, files: bool = False) -> Track:
    """The track that runs cells: of ``--track``, else of the TOML file of ``--file``, else the default.

    It is found before the arguments are parsed, because they depend on it.

    Args:
        files: whether the command has the option ``--file``.

    Raises:
        ConfigurationError: there is no such track, or the file cannot be read.
    """
    from evaluator.sweep.settings import track_in

    peek = argparse.ArgumentParser(add_help=False, usage=argparse.SUPPRESS, allow_abbrev=False)
    peek.add_argument("--track")
    if files:
        peek.add_argument("--file", type=given_path)
    seen, _ = peek.parse_known_args(argv)
    if seen.track is not None:
        return named(seen.track)
    inside = track_in(seen.file) if files and seen.file is not None else None
    return DEFAULT if inside is None else named(inside, f"{seen.file}: track")


def profile_name(text: str) -> str:
    """The name of a profile as results store it, from a name or a TOML file of a profile.

    Raises:
        ConfigurationError: the file is not good.
    """
    return chosen_profile(text).name if is_file(text) else text


def add_track(group: argparse._ArgumentGroup, track: Track) -> None:
    """Add ``--track`` to the arguments of a command that runs cells. ``track``: as ``chosen`` found it."""
    group.add_argument(
        "--track", default=track.name, metavar="NAME", help=f"{', '.join(sorted(TRACKS.known))} (default: {DEFAULT.name})"
    )


def add_splits(group: argparse._ArgumentGroup, track: Track, many: bool) -> None:
    """Add ``--score-split``, if the track has a choice of splits. ``many``: whether it takes several."""
    splits = track.score_splits
    if not splits:
        return
    if not many:
        group.add_argument("--score-split", choices=splits, help="default: the round's own")
        return
    words = f"{' or '.join(splits)}, or {'both' if len(splits) == 2 else 'several'}" if len(splits) > 1 else splits[0]
    group.add_argument("--score-split", nargs="+", action="extend", metavar="SPLIT", help=words)


def add_option(group: argparse._ArgumentGroup, name: str, option: Option) -> None:
    """Add an option of a track (or of every track) as an argument. Its default is None, which means: not given."""
    flag = f"--{name.replace('_', '-')}"
    if option.kind is bool:
        group.add_argument(flag, action="store_true", default=None, help=option.help)
        return
    many = {"nargs": "+", "action": "extend"} if option.many else {}
    shown = {"choices": option.choices} if option.choices else {"metavar": option.metavar}
    kind = given_path if option.kind is Path else option.kind
    group.add_argument(flag, type=kind, help=option.help, **many, **shown)  # type: ignore[arg-type]
