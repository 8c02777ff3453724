"""Which stored strategies are better than the reference, by how much, and what is noise.

python -m evaluator compare                          everything in results/, compared with random
python -m evaluator compare mine margin              margin compared with mine
python -m evaluator compare other/results mine --since 2026-11-01
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evaluator.cli.tracks import TRACKS, named, profile_name
from evaluator.errors import ConfigurationError
from evaluator.places import RESULTS, data_place, given_path
from evaluator.plans import Option
from evaluator.specs import DATA_SET
from evaluator.text import json_text
from evaluator.track import Track
from evaluator.words import ending, meant

if TYPE_CHECKING:
    from evaluator.history.people import Shown


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``compare`` to the command line."""
    verb = subparsers.add_parser(
        "compare",
        help="compare strategies with a reference, from stored cells",
        description=__doc__,
    )
    verb.add_argument(
        "named",
        type=given_path,
        nargs="*",
        metavar="RESULTS|NAME",
        help="folder of results (default: results/), and submissions: label, owner/label, digest or folder (default: all)",
    )
    editions = verb.add_mutually_exclusive_group()
    editions.add_argument(
        "--latest", action="store_true", help="of submissions of one owner and label only the latest content (the default)"
    )
    editions.add_argument("--all-editions", action="store_true", help="earlier contents, too, each in a row of its own")
    verb.add_argument("--since", metavar="DATE", help="only submissions that were evaluated then or later, e.g. 2026-11-26")
    verb.add_argument("--failed", action="store_true", help="submissions without any score, too")
    verb.add_argument("--reference", metavar="NAME", help="strategy to compare with (default: random)")
    verb.add_argument("--ceiling", metavar="NAME", help="strategy whose score is the end of the gap (default: full_pool)")
    metrics = dict.fromkeys(metric.name for track in TRACKS for metric in track.metrics)
    verb.add_argument("--metric", metavar="NAME", help=f"{', '.join(metrics)} (default: the round's primary metric)")
    verb.add_argument("--track", metavar="NAME", help="only this track (default: tables for each)")
    verb.add_argument("--profile", type=profile_name, metavar="NAME|FILE", help="only this profile (default: a table for each)")
    verb.add_argument("--pipeline", metavar="NAME", help="only this pipeline")
    for name, option in _conditions().items():
        verb.add_argument(
            f"--{name.replace('_', '-')}", type=option.kind, metavar=option.metavar, help=f"only this {name.replace('_', ' ')}"
        )
    verb.add_argument("--score-split", metavar="SPLIT", help="only cells scored on this split")
    verb.add_argument("--data-set", type=int, metavar="N", help="only this data set of those that sweep --data-sets made")
    verb.add_argument("--items", action="store_true", help="of several data sets, the part of the scored items, from predictions")
    verb.add_argument("--each-data-set", action="store_true", help="of several data sets, a table for each, too")
    verb.add_argument(
        "--family",
        choices=("report", "pair", "table"),
        default="report",
        help="tests that are corrected together: all of all tables, or by Holm those of one pair or of one table "
        "(default: %(default)s)",
    )
    verb.add_argument(
        "--bounds", action="store_true", help="failed cells count as the worst and as the best score; a finding must hold in both"
    )
    verb.add_argument(
        "--hidden",
        nargs="+",
        action="extend",
        metavar="PAIR",
        help="hidden pairs, e.g. 987:42 (default: pairs that are neither public nor part of a grid)",
    )
    verb.add_argument(
        "--wanted",
        type=float,
        default=0.01,
        metavar="D",
        help="difference for which the needed seeds are computed (default: %(default)s)",
    )
    verb.add_argument(
        "--seed", type=int, default=2022, metavar="N", help="root of draws for tests and intervals (default: %(default)s)"
    )
    verb.add_argument(
        "--mixed-versions", action="store_true", help="allow cells of different versions of Python or the libraries in one table"
    )
    verb.add_argument("--json", action="store_true", help="print the figures as JSON")
    verb.add_argument("--out", type=given_path, metavar="FILE.md", help="write the tables as Markdown")
    verb.add_argument("--html", type=given_path, metavar="FILE.html", help="write a page with pictures of the figures")
    drawn = dict.fromkeys(track.map_help for track in TRACKS if track.map_help)
    verb.add_argument("--heat-map", type=given_path, metavar="FILE", help="; ".join(drawn) or "draw the maps of a track")


def _conditions() -> dict[str, Option]:
    """The conditions of all tracks that are options, by name; if two tracks have options of one name, that of the first."""
    found: dict[str, Option] = {}
    for track in TRACKS:
        for name in track.conditions:
            if name in track.options:
                found.setdefault(name, track.options[name])
    return found


def _drawing(tracks: Iterable[Track]) -> Track:
    """The track whose maps ``--heat-map`` draws.

    Raises:
        ConfigurationError: there is none, or more than one.
    """
    drawing = [track for track in tracks if track.map_help]
    if len(drawing) != 1:
        seen = ", ".join(track.name for track in drawing) or "none"
        raise ConfigurationError(
            f"--heat-map: tracks that draw maps: {seen}; expected one. Name it with --track, or leave --heat-map out"
        )
    return drawing[0]


def _check(args: argparse.Namespace) -> None:
    """Refuse values that no stored cell can have, before a long list of cells is read.

    A profile or pipeline that this kit does not have may still be stored, by another version or from a file.

    Raises:
        ConfigurationError: the message names the option.
    """
    from evaluator.history.index import read_index
    from evaluator.history.reading import require_results
    from evaluator.purchase.profiles import PROFILES
    from evaluator.purchase.spec import check_quality
    from evaluator.training.recipes import PIPELINES

    if args.out is not None and args.out.suffix.lower() != ".md":
        raise ConfigurationError(
            f"--out {args.out} {ending(args.out.name)}; the tables are written as Markdown. Name a file that ends in .md"
        )
    if args.html is not None and args.html.suffix.lower() not in (".html", ".htm"):
        raise ConfigurationError(f"--html {args.html} {ending(args.html.name)}; the page is HTML. Name a file that ends in .html")
    splits = dict.fromkeys(split for track in TRACKS for split in track.score_splits)
    if args.score_split is not None and splits and args.score_split not in splits:
        raise ConfigurationError(f"--score-split is {args.score_split!r}; it must be {' or '.join(splits)}")
    if getattr(args, "label_quality", None) is not None:
        check_quality(args.label_quality)
    require_results(args.results)
    for name, of_kit in (("profile", PROFILES), ("pipeline", PIPELINES)):
        given = getattr(args, name)
        if given is None or given.partition("@")[0] in of_kit:  # round2@64px-procedural is an adapted round2
            continue
        stored = sorted({row[name] for row in read_index(args.results, TRACKS).cells.values()})
        if given not in stored:
            listed = ", ".join(stored) or "none"
            said = meant(given, {*stored, *of_kit})
            raise ConfigurationError(f"--{name}: there is no {name} {given!r}; stored in {args.results} are: {listed}{said}")


def _command(args: argparse.Namespace) -> list[str]:
    """The options that decide the figures, as words; without files that are written."""
    asked = (
        "reference",
        "ceiling",
        "metric",
        "track",
        "profile",
        "pipeline",
        *_conditions(),
        DATA_SET,
        "score_split",
        "family",
        "wanted",
        "seed",
        "since",
    )
    given = {name: getattr(args, name) for name in asked}
    found = [word for name, value in given.items() if value is not None for word in (f"--{name.replace('_', '-')}", str(value))]
    found += ["--hidden", *args.hidden] if args.hidden else []
    return found + [
        f"--{name.replace('_', '-')}"
        for name in ("mixed_versions", "all_editions", "failed", "bounds", "each_data_set", "items")
        if getattr(args, name)
    ]


def _results(named: Sequence[Path]) -> tuple[Path, tuple[str, ...]]:
    """The folder of results, and the names of submissions, among what was named.

    A folder with cells is the folder of results. Without one, the first name is that folder if it is a path and no submission of
    the default folder lay there.

    Raises:
        ConfigurationError: several folders of results.
    """
    from evaluator.history.entries import place_text, read_entries

    folders = [path for path in named if (path / "cells").is_dir()]
    if len(folders) > 1:
        raise ConfigurationError(f"compare: {folders[0]} and {folders[1]} are both folders of results; name one of them")
    is_path = bool(named) and (os.sep in str(named[0]) or named[0].exists())
    if not folders and is_path and place_text(named[0]) not in {entry.folder for entry in read_entries(RESULTS)[0]}:
        folders = [named[0]]
    return (folders[0] if folders else RESULTS), tuple(str(path) for path in named if path not in folders)


def _rows(args: argparse.Namespace, names: tuple[str, ...]) -> Shown:
    """The submissions that are shown. Of a single one that is named, what it is measured against is shown, too."""
    from evaluator.history.people import Shown, since
    from evaluator.report.comparison.asked import CEILING, REFERENCE

    asked = tuple(name for name in (args.reference, args.ceiling) if name is not None)
    beside = (REFERENCE, CEILING) if len(names) == 1 else ()
    return Shown(names, (*asked, *beside), since(args.since) if args.since else "", not args.all_editions, args.failed)


def main(args: argparse.Namespace) -> int:
    """Run the verb. Returns 0."""
    from evaluator.history.groups import Wanted, conditions
    from evaluator.report.comparison.asked import Asked
    from evaluator.report.comparison.figures import comparison_report
    from evaluator.report.comparison.headings import heading
    from evaluator.report.comparison.markdown import markdown
    from evaluator.report.comparison.terminal import show_comparison
    from evaluator.report.console import terminal
    from evaluator.report.html.comparison import comparison_html
    from evaluator.report.levels import add_items, kinds
    from evaluator.report.page import write_page

    args.results, names = _results(args.named)
    _check(args)
    rows = _rows(args, names)
    reference = names[0] if args.reference is None and len(names) > 1 else args.reference
    hidden = None if args.hidden is None else tuple(args.hidden)
    asked = Asked(
        reference,
        args.ceiling,
        args.metric,
        args.family,
        args.wanted,
        root=args.seed,
        hidden=hidden,
        bounds=args.bounds,
        each_data_set=args.each_data_set,
    )
    only = None if args.track is None else named(args.track)
    if args.heat_map is not None:
        drawing = _drawing(TRACKS if only is None else [only])
        drawing.check_drawing(args.heat_map)
    own = {name: getattr(args, name) for name in (*_conditions(), DATA_SET)}
    wanted = Wanted(args.profile, args.pipeline, args.score_split, own, None if only is None else only.name)
    found, left_out = conditions(args.results, TRACKS, wanted, args.mixed_versions, rows)
    report = comparison_report(found, left_out, asked)
    if args.items:
        for kind, table in zip(kinds([c for c in found if c.shown]), report["levels"], strict=True):
            table["items"] = add_items(kind, table, args.results, TRACKS, data_place())
    if args.out is not None:
        write_page(args.out, markdown(report, TRACKS))
    if args.html is not None:
        write_page(args.html, comparison_html(report, found, TRACKS, args.results.name, [*names, *_command(args)]), "--html")
    if args.heat_map is not None:
        tables = [table for table in report["tables"] if table["track"] == drawing.name]
        maps = [(heading(drawing, table), found) for table in tables for found in table["heat_maps"]]
        drawing.draw_maps(args.heat_map, maps, f"cells of {args.results.name}")
    if args.json:
        print(json_text(report, indent=1, allow_nan=False))
    elif args.out is None and args.html is None:
        show_comparison(terminal(), report, TRACKS)
    return 0
