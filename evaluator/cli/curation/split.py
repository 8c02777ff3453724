"""``curation split``: a validation set that looks like the training set, as a table of moves."""

from __future__ import annotations

import argparse
from pathlib import Path

from evaluator.cli.curation.common import said
from evaluator.cli.curation.tools import add_folder, cache_of, check_out, network_of, shown_progress
from evaluator.cli.parsing import add_action
from evaluator.places import given_path


def register(actions: argparse._SubParsersAction) -> None:
    """Add the action."""
    action = add_action(
        actions, "split", "balance train and val in the space of features, as a table of edits that moves", "--data"
    )
    add_folder(action)
    out = action.add_argument_group("the new split")
    out.add_argument("--share", type=float, metavar="S", help="of all images in validation (default: as it is)")
    out.add_argument("--edits", type=given_path, default=Path("moves.csv"), metavar="FILE", help="default: moves.csv")


def main(args: argparse.Namespace) -> int:
    """Write the edits. Returns 0."""
    from evaluator.curation.features import frozen_features
    from evaluator.curation.rebalance import rebalance
    from evaluator.curation.toolset import TRAIN, VAL, read_toolset, squared
    from evaluator.data.edits import ENDINGS, Edit, EditTable

    check_out("--edits", args.edits, *ENDINGS)
    network = network_of(args)
    data = read_toolset(args.data)
    with shown_progress("reading") as progress:
        pixels = squared(data.images.pixels, args.size)
        features = frozen_features(pixels, network, args.size, cache_of(args), lambda share: progress("embedding", share))
    found = rebalance(features, data.labels, data.validation, data.groups, args.share, args.seed)
    edits = [Edit(data.images.ids[i], "move", split=VAL if found.validation[i] else TRAIN) for i in found.moved]
    EditTable(tuple(edits)).write(args.edits)
    for name, coverage in (("before", found.before), ("after", found.after)):
        said(
            f"{name}: {coverage.empty} of {coverage.clusters} clusters have no validation image; {coverage.uncovered:.3f} of the "
            f"training images have none near; mean distance to the nearest {coverage.distance:.4f} (within training "
            f"{coverage.within:.4f}); {coverage.twice} images are in both splits"
        )
    into = int(found.validation[found.moved].sum())
    said(f"{into:,} images move to val, {len(found.moved) - into:,} to train: {args.edits}; apply them with `curation apply`")
    return 0
