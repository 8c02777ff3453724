"""``curation boost``: augmentations that look like the images which a model gets wrong, as a table of edits with its images."""

from __future__ import annotations

import argparse
from pathlib import Path

from evaluator.cli.curation.common import said
from evaluator.cli.curation.tools import add_folder, cache_of, network_of, shown_progress
from evaluator.cli.parsing import add_action
from evaluator.places import given_path


def register(actions: argparse._SubParsersAction) -> None:
    """Add the action."""
    action = add_action(
        actions, "boost", "add augmentations that look like the validation images which are predicted wrongly", "--data"
    )
    add_folder(action)
    how = action.add_argument_group("boosting")
    how.add_argument(
        "--pool", type=int, default=100_000, metavar="N", help="augmentations that are searched, up to 1,000,000 (default: 100,000)"
    )
    how.add_argument(
        "--neighbours", type=int, default=20, metavar="K", help="nearest augmentations of each wrong image (default: 20)"
    )
    how.add_argument("--per-query", type=int, default=4, metavar="N", help="of one parent among them (default: 4)")
    how.add_argument("--per-parent", type=int, default=20, metavar="N", help="of one parent in all (default: 20)")
    how.add_argument("--rounds", type=int, default=3, metavar="N", help="default: 3")
    how.add_argument("--limit", type=int, default=10_000, metavar="N", help="images in train and val together (default: 10,000)")
    how.add_argument(
        "--judge", type=float, default=0.5, metavar="S", help="share of val that judges and is never asked (default: 0.5)"
    )
    how.add_argument(
        "--same-class", action="store_true", help="only augmentations that have the label of the image that asks for them"
    )
    how.add_argument("--recipe", metavar="NAME", help="the model whose mistakes count (default: linear on frozen features)")
    how.add_argument("--side", type=int, default=64, metavar="PX", help="of the images that are made (default: 64)")
    how.add_argument("--out", type=given_path, default=Path("boosted"), metavar="DIR", help="a new folder (default: boosted)")


def main(args: argparse.Namespace) -> int:
    """Boost. Returns 0, or 130 if a person ended it; what had joined is written then, too."""
    import numpy as np

    from evaluator.curation.boost import BoostRules, boost
    from evaluator.curation.boosting import EDITS, Remembered, linear_fit, recipe_fit, write_boosted
    from evaluator.curation.features import embedder
    from evaluator.curation.held_out import STRENGTH
    from evaluator.curation.pool import Pool, PoolFeatures, check_size
    from evaluator.curation.recipes import recipe_named
    from evaluator.curation.toolset import read_toolset, squared
    from evaluator.errors import ConfigurationError

    network = network_of(args)
    rules = BoostRules(args.neighbours, args.per_query, args.per_parent, args.rounds, args.limit, args.judge, args.same_class)
    check_size(args.pool)
    recipe = recipe_named(args.recipe) if args.recipe else None
    if not 16 <= args.side <= 512:
        raise ConfigurationError(f"--side is {args.side}; expected 16 to 512 pixels")
    if args.out.exists():
        raise ConfigurationError(f"--out {args.out}: it exists; expected a new folder. Name another, or remove it")
    data = read_toolset(args.data)
    pixels = squared(data.images.pixels, args.side)
    train, val = np.flatnonzero(~data.validation), np.flatnonzero(data.validation)
    # A training image with the pixels of a validation image would give the answer away: its children do not join.
    barred = np.isin(data.groups[train], data.groups[val])
    pool = Pool(pixels[train], args.pool, args.seed)
    embed = embedder(network, args.size)
    classes, answers = len(data.classes), data.labels[val]
    with shown_progress("training") as progress:
        fit = (
            linear_fit(Remembered(embed), classes, STRENGTH)
            if recipe is None
            else recipe_fit(recipe, classes, answers, args.seed, lambda share: progress("training", share))
        )
        found = boost(
            (pixels[train], data.labels[train]),
            (pixels[val], answers),
            data.groups[val],
            pool,
            fit,
            embed,
            rules,
            barred=barred,
            vectors=PoolFeatures(pool, embed, cache_of(args)),
            said=said,
            progress=lambda share: progress("searching the pool", share),
        )
    if found.interrupted and not len(found.numbers):
        said("nothing had joined, so nothing is written")
        return 130
    table = write_boosted(found, pool, data.labels[train], data.classes, args.out)
    said(
        f"{len(table):,} augmentations of {len(set(found.parents.tolist())):,} images join: {args.out / EDITS}; apply them with "
        "`curation apply`"
    )
    said(
        f"accuracy above is that of {len(found.judged_by)} validation images that were never asked; the others drove the choice, "
        "so the accuracy on val afterwards proves nothing"
    )
    return 130 if found.interrupted else 0
