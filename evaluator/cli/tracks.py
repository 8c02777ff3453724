"""The table of the tracks that this kit has, and the options of a command line that depend on the track."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from evaluator.cleaning.track import CLEANING
from evaluator.curation.track import CURATION
from evaluator.errors import ConfigurationError, SubmissionError
from evaluator.places import given_path
from evaluator.plans import Option
from evaluator.purchase.rule_files import chosen_profile, is_file
from evaluator.purchase.track import PURCHASE
from evaluator.submission.answers import AnswerFiles
from evaluator.submission.findings import Finding, Findings
from evaluator.submission.source import plain_name
from evaluator.text import name as harmless
from evaluator.track import SECONDS, Track, Tracks

DEFAULT: Track = PURCHASE
"""The track of a command that names none."""
TRACKS = Tracks({track.name: track for track in (DEFAULT, CLEANING, CURATION)})
"""Every track, by name. A track that is listed here works with every verb."""

CHECKED_BY = {"curation": "`python -m evaluator curation check PATH --data DIR` holds it against a data set"}
"""What else checks an answer, by track."""


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


def examined(track: Track, path: Path, seconds: float = SECONDS, *, image: bool = False) -> Findings:
    """As ``Track.examined``; of an answer that another track takes, this is the only thing that is said."""
    found = track.examined(path, seconds, image=image, home=True)
    if found.errors and (why := of_another_track(track, path)):
        place = harmless(found.submission if path.is_dir() else path.name, 200)
        return replace(found, found=(Finding("error", place, why),), left=(), unread=True)
    return found


ADVICE = "Add --track {track}"


def refused_answers(track: Track, paths: Sequence[Path], advice: str = ADVICE) -> list[str]:
    """A warning for every path at which an answer of another track lies. ``advice``: what to do, with ``{track}`` for its name.

    Raises:
        ConfigurationError: nothing else was given.
    """
    found = [(plain_name(path), why) for path in paths if (why := of_another_track(track, path, advice))]
    said = [f"{harmless(name, 200)}: {why}" for name, why in found]
    if said and len(said) == len(paths):
        raise ConfigurationError("\n".join(said))
    return said


def of_another_track(track: Track, path: Path, advice: str = ADVICE) -> str:
    """Why an answer is not for this track, and what to do, in words; empty for code, and for what this track takes."""
    own = _answer(track, path)
    if own is not None and not _wrong(own):
        return ""
    others = [(other, answer) for other in TRACKS.known.values() if other is not track and (answer := _answer(other, path))]
    good = [(other, answer) for other, answer in others if not _wrong(answer)]
    # With a fault it may be another track's still, but only where this track has no use for such files at all.
    for other, answer in good or (others if own is None else []):
        more = f"; {CHECKED_BY[other.name]}" if other.name in CHECKED_BY else ""
        seen = f"it is an answer of the track {other.name} ({answer.said})"
        return f"{seen}; code or an answer of the track {track.name} was expected. {advice.format(track=other.name)}{more}"
    return ""


def _answer(track: Track, path: Path) -> AnswerFiles | None:
    try:
        return track.given(path)
    except SubmissionError:
        return None


def _wrong(answer: AnswerFiles) -> bool:
    return any(finding.kind == "error" for finding in answer.found)


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
