"""Options that several actions of the verb ``curation`` share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, get_args

from evaluator.places import given_path

if TYPE_CHECKING:
    from evaluator.curation.sets import CurationSets
    from evaluator.secret import Secret

ROOT_SEED = 2022


def add_data(action: argparse.ArgumentParser, *, rules: bool = False) -> None:
    """Add the options that say which data set is meant. ``rules``: with those that say what is allowed."""
    from evaluator.curation.rules import Count, Duplicates

    data = action.add_argument_group("the data set")
    data.add_argument("--data", type=given_path, metavar="DIR", help="folder with train and val (default: the profile's, embedded)")
    data.add_argument("--profile", metavar="NAME", help="numerals, quick, debug or roman (default: numerals; with --data roman)")
    data.add_argument("--root-seed", type=int, default=ROOT_SEED, metavar="N", help=f"draws follow from it (default: {ROOT_SEED})")
    data.add_argument(
        "--secret",
        type=given_path,
        metavar="FILE",
        help="file of a secret that draws follow from, too, so that nobody else can draw the hidden images (default: none)",
    )
    if not rules:
        return
    data.add_argument("--label-book", type=given_path, metavar="DIR", help="default: label_book in --data, or beside it")
    data.add_argument("--test", type=given_path, metavar="DIR", help="hidden test set (default: test in --data, or beside it)")
    allowed = action.add_argument_group("rules")
    allowed.add_argument("--count", choices=get_args(Count), help="what the limit counts (default: images)")
    allowed.add_argument("--duplicates", choices=get_args(Duplicates), help="equal pixels in train and val (default: report)")
    allowed.add_argument("--seconds", type=float, metavar="S", help="limit of curate (default: the profile's)")


def add_sandbox(action: argparse._ActionsContainer, what: str) -> None:
    """Add the choice of the isolation tier. ``what``: it is for."""
    action.add_argument(
        "--sandbox",
        choices=("auto", "bubblewrap", "docker", "landlock", "process"),
        default="auto",
        help=f"{what} (default: auto, the strongest that works here)",
    )


def sets_in(args: argparse.Namespace, *, judged: bool = True) -> CurationSets:
    """The data set that the options name.

    Args:
        judged: whether the label book and the test set are needed.

    Raises:
        ConfigurationError: a folder is missing, or options contradict each other.
    """
    from evaluator.curation.rules import profile_named, ruled
    from evaluator.curation.sets import sets_of

    profile = profile_named(args.profile or ("numerals" if args.data is None else "roman"))
    given = vars(args)
    profile = ruled(profile, given.get("count"), given.get("duplicates"), given.get("seconds"))
    return sets_of(profile, root_in(args), args.data, given.get("label_book"), given.get("test"), judged=judged)


def secret_in(args: argparse.Namespace) -> Secret | None:
    """The secret that ``--secret`` names; None without the option.

    Raises:
        ConfigurationError: the file does not hold a secret.
    """
    from evaluator.secret import read_secret

    return None if args.secret is None else read_secret(args.secret)


def root_in(args: argparse.Namespace) -> int:
    """What every draw follows from: the root seed, and the secret where one is named. It is not to be shown.

    Raises:
        ConfigurationError: as of ``secret_in``; or the root seed is negative.
    """
    from evaluator.errors import ConfigurationError

    if args.root_seed < 0:
        raise ConfigurationError(f"--root-seed is {args.root_seed}; expected 0 or more")
    secret = secret_in(args)
    return args.root_seed if secret is None else secret.root(args.root_seed)


def said(text: str) -> None:
    """Print a line of progress."""
    from evaluator.text import one_line

    print(one_line(text, 5_000), flush=True)
