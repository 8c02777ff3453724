"""Data boosting against as many random augmentations of the same pool, on a folder of labelled images.

    python -m experiments.studies.boosting --data DIR [--seeds 5] [--pool 10000] [--cleaned EDITS.csv]

The model is a linear one on frozen features. Each seed has its own pool, its own parts of the validation set, and its own random
draw of as many augmentations as boosting added. What is compared is the accuracy on the judge's part, which boosting never asks.
Intervals are Student's over seeds, of differences within a seed; seeds share the images, so they speak of this data set alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from evaluator.curation.boost import BoostRules, boost
from evaluator.curation.boosting import Remembered, linear_fit
from evaluator.curation.features import best_network, embedder
from evaluator.curation.held_out import STRENGTH
from evaluator.curation.pool import Pool
from evaluator.curation.toolset import read_toolset, squared
from evaluator.data.edits import EditTable
from evaluator.scoring.intervals import t_interval
from evaluator.seeds import generator


def measured(
    data: Path, seeds: int, size: int, cleaned: Path | None, said: Callable[[str], None] = print
) -> dict[str, list[float]]:
    """Accuracy of the judge's part by seed: as given, with random augmentations, boosted."""
    tools = read_toolset(data)
    kept = np.ones(len(tools.images), bool)
    if cleaned is not None:
        dropped = {edit.id for edit in EditTable.read(cleaned) if edit.action == "drop"}
        kept = np.array([name not in dropped for name in tools.images.ids])
    pixels, groups = squared(tools.images.pixels, 64), tools.groups
    train = np.flatnonzero(~tools.validation & kept)
    val = np.flatnonzero(tools.validation)
    barred = np.isin(groups[train], groups[val])
    features = Remembered(embedder(best_network(), 64))
    fit = linear_fit(features, len(tools.classes), STRENGTH)
    found: dict[str, list[float]] = {"as given": [], "random": [], "boosted": [], "added": []}
    for seed in range(seeds):
        pool = Pool(pixels[train], size, seed)
        given = pixels[train], tools.labels[train]
        made = boost(given, (pixels[val], tools.labels[val]), groups[val], pool, fit, features.keep, BoostRules(), barred=barred)
        allowed = np.flatnonzero(~barred[pool.parent(np.arange(size))])
        drawn = generator(seed, "random augmentations").choice(allowed, len(made.numbers), replace=False)
        labels = np.concatenate([given[1], given[1][pool.parent(drawn)]])
        guessed = fit(np.concatenate([given[0], pool.images(drawn)]), labels, pixels[val], made.driven_by)
        right = (guessed == tools.labels[val])[made.judged_by]
        found["as given"].append(made.rounds[0].judged)
        found["random"].append(float(right.mean()))
        found["boosted"].append(made.rounds[-1].judged)
        found["added"].append(len(made.numbers))
        said(f"seed {seed}: " + ", ".join(f"{name} {values[-1]:.3f}" for name, values in found.items()))
    return found


def main() -> None:
    """Measure, and print what came out."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.studies.boosting", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with train and val")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument("--pool", type=int, default=10_000, metavar="N", help="augmentations (default: 10,000)")
    parser.add_argument("--cleaned", type=Path, metavar="EDITS", help="training images that this table drops take no part")
    args = parser.parse_args()
    found = measured(args.data, args.seeds, args.pool, args.cleaned, lambda text: print(text, flush=True))
    for name in ("as given", "random", "boosted"):
        print(f"{name}: {t_interval(found[name])}")
    for name in ("as given", "random"):
        print(f"boosted - {name}: {t_interval(np.subtract(found['boosted'], found[name]).tolist())}")


if __name__ == "__main__":
    main()
