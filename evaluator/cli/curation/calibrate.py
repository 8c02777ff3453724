"""``curation calibrate``: how near two hashes must be for their images to be copies, on given images."""

from __future__ import annotations

import argparse

from evaluator.cli.curation.common import add_data, sets_in
from evaluator.cli.parsing import add_action


def register(actions: argparse._SubParsersAction) -> None:
    """Add the action."""
    action = add_action(actions, "calibrate", "show which distance of the perceptual hash tells copies from look-alikes", "--data")
    add_data(action)


def main(args: argparse.Namespace) -> int:
    """Plant copies and show what is found of them. Returns 0."""
    from evaluator.curation.images import class_names, joined, read_images
    from evaluator.curation.leaks import calibrate
    from evaluator.curation.sets import TRAIN, VAL
    from evaluator.curation.shown import show_calibration
    from evaluator.report.console import terminal

    sets = sets_in(args, judged=False)
    if sets.folder is None:
        given = sets.load().given
    else:
        classes = class_names(sets.folder / TRAIN)
        given = joined(read_images(sets.folder / split, classes, prefix=f"{split}/") for split in (TRAIN, VAL))
    show_calibration(terminal(), calibrate(given.pixels, given.labels, 0), sets.name)
    return 0
