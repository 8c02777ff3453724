"""The actions of the verb ``audit`` that need no data of a person's: planted errors, the kit's own board, ImageNet's label sets."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from evaluator.cli.parsing import named_path
from evaluator.places import CACHE_HELP, RESULTS, data_place, given_path
from evaluator.text import json_text, one_line, say

if TYPE_CHECKING:
    from evaluator.audit.planted import Planted
    from evaluator.audit.results import Settings


def _demo_options(action: argparse.ArgumentParser) -> None:
    planted = action.add_argument_group("planted errors, shares of the test images")
    for name, share, what in (
        ("mislabelled", 0.16, "the annotator took the digit for another"),
        ("several", 0.06, "two digits in one image"),
        ("none", 0.03, "no digit is left"),
        ("annotator", 0.16, "wrong labels that half of the classifiers learn from"),
    ):
        planted.add_argument(f"--{name}", type=float, default=share, metavar="P", help=f"{what} (default: %(default)s)")
    action.add_argument("--test", type=int, default=1_000, metavar="N", help="test images (default: %(default)s)")
    action.add_argument(
        "--nulls", type=int, default=0, metavar="N", help="audits of pairs without a change of places, of each kind"
    )
    _shared(action)


def _board_options(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "results", nargs="?", type=given_path, default=RESULTS, metavar="DIR", help="folder of results (default: results)"
    )
    action.add_argument("--task", metavar="NAME", help="of the cells, e.g. 621:17 (default: that of most submissions)")
    action.add_argument("--run-seed", type=int, metavar="N", help="of the cells (default: that of most submissions)")
    action.add_argument(
        "--quality", default="hasty", metavar="NAME|P", help="of the annotator, or a share of wrong entries (default: hasty)"
    )
    action.add_argument("--data", type=given_path, metavar="DIR", help="the data set, if it lies elsewhere")
    action.add_argument("--cache", type=given_path, metavar="DIR", help=CACHE_HELP)
    _shared(action)


def _shared(action: argparse.ArgumentParser) -> None:
    action.add_argument("--check", type=_checked, metavar="N", help="only the N most suspect images are reviewed (default: all)")
    action.add_argument("--seed", type=int, default=0, metavar="N", help="root of all draws (default: %(default)s)")
    action.add_argument("--draws", type=int, default=2_000, metavar="N", help="of images (default: %(default)s)")
    action.add_argument("--tables", action="store_true", help="print all tables of the audit, too")
    action.add_argument("--json", action="store_true", help="print the figures as JSON")
    action.add_argument("--html", type=given_path, metavar="FILE", help="write a page with pictures of the figures")


def _checked(text: str) -> int:
    """A number of images that are reviewed, for ``argparse``."""
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{one_line(repr(text), 40)} images; give one or more that somebody looks at")
    return int(text)


def _kinds_options(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--labels", type=given_path, default=Path("imagenet"), metavar="FILE", help="as of audit rank (default: imagenet)"
    )
    action.add_argument("--ids", type=given_path, metavar="FILE", help="ids of arrays that have none")
    action.add_argument("--stems", action="store_true", help="compare ids by the file's name alone")
    action.add_argument("--classes", metavar="N|FILE", help="number or names of the classes")
    action.add_argument("--multi-label", action="store_true", help="an image may have any number of labels")
    action.add_argument(
        "--corrections", type=named_path, nargs="+", action="extend", metavar="[NAME=]FILE", help="sources (default: real)"
    )
    action.add_argument("--json", action="store_true", help="print the figures as JSON")


def _demo(args: argparse.Namespace) -> int:
    from evaluator.audit.digits import Rates, cross_validated_suspicion, plant
    from evaluator.audit.nulls import null_rates
    from evaluator.audit.planted_shown import nulls_as_dict, show_nulls
    from evaluator.audit.results import Settings
    from evaluator.report.console import terminal
    from evaluator.report.live import doing
    from evaluator.report.page import check_page

    check_page(args.html)
    rates, settings = Rates(args.mislabelled, args.several, args.none, args.annotator), Settings(draws=args.draws, seed=args.seed)
    if args.nulls:
        found = []
        for null in ("twins", "favoured"):
            with doing(terminal(stderr=True), f"audits of {null}") as progress:
                found.append(null_rates(null, args.nulls, args.seed, rates=rates, progress=progress))
        if args.json:
            print(json_text(nulls_as_dict(found), indent=1))
        else:
            show_nulls(terminal(), found)
        return 0
    planted = plant(args.seed, rates, args.test)
    if args.check is not None:
        planted = planted.reviewed(cross_validated_suspicion(planted, args.seed)[: args.check])
    with tempfile.TemporaryDirectory() as folder:
        return _audited(args, planted, settings, Path(folder) if args.html else None)


def _board(args: argparse.Namespace) -> int:
    from evaluator.audit.board import plant_on, read_board, suspicion
    from evaluator.audit.results import Settings
    from evaluator.cli.tracks import TRACKS
    from evaluator.data.annotators import QUALITIES
    from evaluator.data.layout import IMAGES
    from evaluator.errors import ConfigurationError
    from evaluator.report.page import check_page

    check_page(args.html)
    try:
        rate = QUALITIES[args.quality] if args.quality in QUALITIES else float(args.quality)
    except ValueError:
        raise ConfigurationError(
            f"--quality is {args.quality!r}; expected {', '.join(QUALITIES)}, or a share of wrong entries such as 0.08"
        ) from None
    settings = Settings(draws=args.draws, seed=args.seed)
    board = read_board(args.results, TRACKS, task=args.task, seed=args.run_seed, place=data_place(args.cache), data=args.data)
    say(f"board: {board.title}; {len(board.models)} submissions, {len(board.files):,} images")
    for line in board.left_out:
        say(f"left out: {line}")
    planted = plant_on(board, rate, args.seed)
    if args.check is not None:
        planted = planted.reviewed(suspicion(board, planted)[: args.check])
    return _audited(args, planted, settings, board.folder / IMAGES)


def _audited(args: argparse.Namespace, planted: Planted, settings: Settings, images: Path | None) -> int:
    """Audit a planted benchmark and show it. ``images``: a folder, into which those that are at hand are written first."""
    from evaluator.audit.page import audit_page
    from evaluator.audit.planted import audited, found_in
    from evaluator.audit.planted_shown import planted_as_dict, planted_section, show_kinds, show_planted
    from evaluator.audit.record import as_dict
    from evaluator.audit.shown import show_audit
    from evaluator.audit.verdict import verdict_of
    from evaluator.report.console import hanging, terminal
    from evaluator.report.page import write_page

    result = audited(planted, settings)
    found = found_in(planted, result)
    if args.html:
        if images is not None:
            planted.write_images(images)
        write_page(args.html, audit_page(result, images, [planted_section(planted, result, found)]), "--html")
    if args.json:
        print(json_text(as_dict(result, {}) | planted_as_dict(planted, found), indent=1))
        return 0
    console = terminal()
    if args.tables:
        show_audit(console, result)
    else:
        show_kinds(console, result.benchmark, list(result.by_source.values()))
    show_planted(console, planted, result, found)
    if not args.tables:
        hanging(console, f"verdict: {verdict_of(result).headline} --tables, --html and --json show all of it.", "bold")
    if args.html:
        print(f"page: {one_line(args.html, 2_000)}")
    return 0


def _kinds(args: argparse.Namespace) -> int:
    from evaluator.audit.planted_shown import kinds_as_dict, show_kinds
    from evaluator.audit.request import BenchmarkFiles, read_sources
    from evaluator.report.console import terminal

    benchmark, how = BenchmarkFiles(
        args.labels, args.ids, stems=args.stems, classes=args.classes or "", multi=args.multi_label
    ).read()
    sources = read_sources(args.corrections or [("", Path("real"))], benchmark, how)
    if args.json:
        print(json_text(kinds_as_dict(benchmark, sources), indent=1))
    else:
        show_kinds(terminal(), benchmark, sources)
    return 0


PLANTED_ACTIONS: Mapping[str, tuple[str, Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]]] = {
    "demo": ("audit ten classifiers of digits on planted errors, against the truth; needs no data", _demo_options, _demo),
    "board": (
        "plant annotators' mistakes in the scored labels of a folder of results, and audit its board",
        _board_options,
        _board,
    ),
    "kinds": ("count the kinds of label errors by each source; by default those of ImageNet", _kinds_options, _kinds),
}
"""Of each action: its line of help, what adds its options, and what runs it."""
