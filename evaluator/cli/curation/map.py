"""``curation map``: a picture of all images, and of where validation has none."""

from __future__ import annotations

import argparse
from pathlib import Path

from evaluator.cli.curation.common import said
from evaluator.cli.curation.tools import add_folder, cache_of, check_out, network_of, shown_progress
from evaluator.cli.parsing import add_action
from evaluator.places import given_path


def register(actions: argparse._SubParsersAction) -> None:
    """Add the action."""
    action = add_action(actions, "map", "draw all images as points, and where validation has none", "--data")
    add_folder(action)
    out = action.add_argument_group("the picture")
    out.add_argument("--map", dest="projection", choices=("pca", "tsne"), default="pca", help="tsne needs openTSNE (default: pca)")
    out.add_argument(
        "--out",
        type=given_path,
        default=Path("map.html"),
        metavar="FILE",
        help=".html, or .svg for the first picture (default: map.html)",
    )


def main(args: argparse.Namespace) -> int:
    """Draw the map. Returns 0."""
    from evaluator.curation.features import frozen_features
    from evaluator.curation.picture import all_images, data_map, map_section
    from evaluator.curation.toolset import read_toolset, squared
    from evaluator.report.html.render import Page, render
    from evaluator.report.html.standalone import standalone
    from evaluator.report.page import write_page
    from evaluator.report.projection import check_tsne

    check_out("--out", args.out, ".html", ".svg")
    if args.projection == "tsne":
        check_tsne()
    network = network_of(args)
    data = read_toolset(args.data)
    with shown_progress("reading") as progress:
        pixels = squared(data.images.pixels, args.size)
        features = frozen_features(pixels, network, args.size, cache_of(args), lambda share: progress("embedding", share))
        progress("placing the images", 0)
        found = data_map(data, features, args.projection)
    section = map_section(data, found)
    if args.out.suffix == ".svg":
        write_page(args.out, standalone(all_images(data, found)))
    else:
        lead = f"{len(data.images):,} images of {args.data.absolute().name}; frozen features of {network} at {args.size} px"
        write_page(args.out, render(Page("Map of a data set", lead, sections=(section,))))
    said(f"{int(found.uncovered.sum()):,} of {int((~data.validation).sum()):,} training images are far from validation")
    said(f"picture: {args.out}")
    return 0
