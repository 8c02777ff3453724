"""The list of the tracks that this kit has."""

from __future__ import annotations

import argparse
from pathlib import Path

from evaluator.places import given_path
from evaluator.plans import Option
from evaluator.purchase.track import PURCHASE
from evaluator.track import Tracks

TRACKS = Tracks({track.name: track for track in (PURCHASE,)})


def add_option(group: argparse._ArgumentGroup, name: str, option: Option) -> None:
    """Add an option of a track (or of every track) as an argument. Its default is None, which means: not given."""
    flag = f"--{name.replace('_', '-')}"
    if option.kind is bool:
        group.add_argument(flag, action="store_true", default=None, help=option.help)
        return
    many = {"nargs": "+"} if option.many else {}
    shown = {"choices": option.choices} if option.choices else {"metavar": option.metavar}
    kind = given_path if option.kind is Path else option.kind
    group.add_argument(flag, type=kind, help=option.help, **many, **shown)  # type: ignore[arg-type]
