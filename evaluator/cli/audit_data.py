"""The actions of the verb ``audit`` that get its data: suspects, sheets, votes, predictions of models."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evaluator.places import given_path
from evaluator.text import json_text, one_line, say
from evaluator.words import counted

if TYPE_CHECKING:
    from evaluator.audit.benchmark import Benchmark
    from evaluator.audit.reading import Reading
    from evaluator.audit.votes import Rule

OUT = Path("audit")


def _suspects_options(action: argparse.ArgumentParser) -> None:
    _benchmark(action, needed=True)
    source = action.add_argument_group("probabilities").add_mutually_exclusive_group(required=True)
    source.add_argument("--probabilities", type=given_path, metavar="FILE", help="out of sample: npz, npy, CSV or Parquet")
    source.add_argument("--features", type=given_path, metavar="FILE", help="npz or npy, from which a model is cross-validated")
    action.add_argument("--model", default="logistic", metavar="NAME", help="logistic, neighbours or forest (default: logistic)")
    action.add_argument("--folds", type=int, default=5, metavar="N", help="of the cross-validation (default: 5)")
    action.add_argument("--repeats", type=int, default=1, metavar="N", help="how often the folds are drawn anew (default: 1)")
    action.add_argument(
        "--filter", default="prune_by_noise_rate", metavar="NAME", help="cleanlab's filter (default: prune_by_noise_rate)"
    )
    action.add_argument("--votes", nargs="+", action="extend", type=given_path, metavar="FILE", help="of people, on some of them")
    _rule(action)
    _common(action)
    _json(action)


def _sheet_options(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--suspects", type=given_path, required=True, metavar="FILE", help="the suspects.csv that `audit suspects` wrote"
    )
    action.add_argument("--images", type=given_path, metavar="PLACE", help="a folder, or an npz file with ids and images")
    action.add_argument("--most", type=int, metavar="N", help="suspects on the sheet, the most suspect first (default: all)")
    action.add_argument("--controls", type=int, metavar="N", help="images that are not suspect (default: a tenth of the suspects)")
    action.add_argument("--classes", metavar="FILE", help="names of the classes, a line each")
    action.add_argument("--title", default="Are these labels right?", metavar="TEXT", help="of the page")
    action.add_argument("--prefix", default="", metavar="TEXT", help="before the paths of images in the tasks of Label Studio")
    _common(action)


def _votes_options(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--votes",
        nargs="+",
        action="extend",
        type=given_path,
        required=True,
        metavar="FILE",
        help="of a checking sheet, of Label Studio (JSON), or counts of labelerrors.com",
    )
    _benchmark(action, needed=False)
    _rule(action)
    action.add_argument(
        "--neither",
        choices=("none", "unknown"),
        default="none",
        help="what 'neither' means: no label fits, or the right label is unknown",
    )
    _common(action)
    _json(action)


def _models_options(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--images", type=given_path, required=True, metavar="DIR", help="images in it, or in a folder for each class"
    )
    action.add_argument("--list", dest="list_", type=given_path, metavar="FILE", help="of the images that count, and their classes")
    action.add_argument(
        "--models", nargs="+", action="extend", metavar="NAME", help="of torchvision, or tf_efficientnet_lite0 to 2 (default: ten)"
    )
    action.add_argument("--batch", type=int, default=32, metavar="N", help="images at a time (default: 32)")
    action.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu or cuda (default: auto)")
    action.add_argument("--out", type=given_path, default=OUT / "predictions", metavar="DIR", help="default: audit/predictions")


def _benchmark(action: argparse.ArgumentParser, *, needed: bool) -> None:
    group = action.add_argument_group("benchmark")
    group.add_argument(
        "--labels",
        type=given_path,
        required=needed,
        metavar="FILE",
        help="labels as given: .csv, .parquet, .npz, .npy, or imagenet",
    )
    group.add_argument("--ids", type=given_path, metavar="FILE", help="ids of arrays that have none (default: the rows' numbers)")
    group.add_argument("--stems", action="store_true", help="compare ids by the file's name alone, without folder and ending")
    group.add_argument("--classes", metavar="FILE", help="names of the classes, a line each, or their number")
    group.add_argument("--multi-label", action="store_true", help="an image may have any number of labels")
    group.add_argument("--revision", default="", metavar="TEXT", help="of the benchmark; stored with the figures")


def _rule(action: argparse.ArgumentParser) -> None:
    group = action.add_argument_group("votes")
    group.add_argument("--sheet", nargs="+", action="extend", type=given_path, metavar="FILE", help="sheet.csv of what was asked")
    group.add_argument(
        "--majority", default="0.5", metavar="N", help="votes that decide (3), or more than this share (default: 0.5)"
    )
    group.add_argument("--fewest", type=int, default=2, metavar="N", help="votes that an image needs (default: 2)")
    group.add_argument("--by", choices=("answer", "label"), default="answer", help="what is counted (default: answer)")


def _common(action: argparse.ArgumentParser) -> None:
    action.add_argument("--seed", type=_seed, default=0, metavar="N", help="root of all draws (default: %(default)s)")
    action.add_argument("--out", type=given_path, default=OUT, metavar="DIR", help="folder of the files (default: audit)")


def _seed(text: str) -> int:
    """A root seed, for ``argparse``."""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"{one_line(repr(text), 40)} is no seed; give a whole number of 0 or more")
    return int(text)


def _json(action: argparse.ArgumentParser) -> None:
    action.add_argument("--json", action="store_true", help="print the figures as JSON")


def _suspects(args: argparse.Namespace) -> int:
    import numpy as np

    from evaluator.audit.ballots import read_ballot
    from evaluator.audit.data_files import suspects_as_dict, write_json, write_suspects
    from evaluator.audit.data_shown import show_suspects
    from evaluator.audit.out_of_sample import Folds, cross_validated, read_features, read_probabilities
    from evaluator.audit.suspects import FILTERS, find_suspects
    from evaluator.audit.trust import trust
    from evaluator.audit.votes import decide
    from evaluator.errors import ConfigurationError
    from evaluator.report.console import terminal

    _check_out(args.out)
    if args.filter not in FILTERS:
        raise ConfigurationError(f"--filter is {args.filter!r}; expected {', '.join(FILTERS)}")
    rule, folds = _rule_of(args), Folds(args.model, args.folds, args.repeats, args.seed)
    benchmark, how = _read_benchmark(args, args.probabilities)
    decisions = None
    if args.votes:
        ballot = read_ballot(args.votes, benchmark.classes, _given(benchmark), args.sheet or ())
        decisions = decide(ballot, rule)
    labels = benchmark.labels.astype(np.int64)
    settings = {"filter": args.filter, "probabilities": str(args.probabilities or args.features)}
    if args.features:
        tables = cross_validated(read_features(args.features, benchmark, how), labels, len(benchmark.classes), folds)
        settings |= {"model": args.model, "folds": args.folds, "repeats": args.repeats, "seed": args.seed}
    else:
        tables = read_probabilities(args.probabilities, benchmark, how)[None]
    probabilities = tables.mean(axis=0)
    found = find_suspects(labels, probabilities, benchmark.classes, args.filter)
    each = [find_suspects(labels, table, benchmark.classes, args.filter).flagged for table in tables] if len(tables) > 1 else []
    counts = [int(flagged.sum()) for flagged in each]
    trusted = None
    if decisions is not None:
        ranked = [benchmark.ids[row] for row in found.order]
        trusted = trust(ranked, ranked[: found.count], decisions, multi=benchmark.multi)
    written = write_suspects(args.out, benchmark, found, probabilities, np.mean(each, axis=0) if each else None)
    content = suspects_as_dict(benchmark, found, settings | {"flagged_by_repeat": counts}, trusted)
    written.append(write_json(args.out / "suspects.json", content))
    if args.json:
        print(json_text(content, indent=1))
        return 0
    show_suspects(terminal(), found, len(benchmark), trusted, counts)
    return _wrote(written)


def _sheet(args: argparse.Namespace) -> int:
    from evaluator.audit.reading import read_classes
    from evaluator.audit.sheet import chosen, find_pictures, read_suspects, write_sheets

    _check_out(args.out)
    asked, flagged = read_suspects(args.suspects)
    most = flagged if args.most is None else args.most
    controls = -(-min(most, flagged) // 10) if args.controls is None else args.controls
    shown = chosen(asked, flagged, most=args.most, controls=controls, root=args.seed)
    names = (
        read_classes(args.classes)
        if args.classes
        else tuple(sorted({n for row in asked for n in (row.given_name, row.suggested_name)}))
    )
    pictures = find_pictures(args.images) if args.images else None
    written = write_sheets(shown, names, args.out, pictures, title=args.title, prefix=args.prefix)
    _say(
        f"{len(shown):,} images: {min(most, flagged):,} suspects and {len(shown) - min(most, flagged):,} controls, in a drawn order"
    )
    if pictures is None:
        _say("no page was written: --images names no pictures")
    return _wrote(written)


def _votes(args: argparse.Namespace) -> int:
    from evaluator.audit.ballots import read_ballot
    from evaluator.audit.data_files import votes_as_dict, write_json, write_votes
    from evaluator.audit.data_shown import show_votes
    from evaluator.audit.reading import read_classes
    from evaluator.audit.votes import by_voter, correction_rows, decide, voters_agree
    from evaluator.report.console import terminal

    _check_out(args.out)
    rule = _rule_of(args)
    benchmark = _read_benchmark(args, None)[0] if args.labels else None
    classes = benchmark.classes if benchmark is not None else read_classes(args.classes) if args.classes else ()
    ballot = read_ballot(args.votes, classes, None if benchmark is None else _given(benchmark), args.sheet or ())
    decisions = decide(ballot, rule)
    rows, left_out = correction_rows(decisions, neither=args.neither)
    agreed, voters = voters_agree(ballot, args.seed), by_voter(ballot, rule)
    written = write_votes(args.out, ballot, decisions, rows)
    content = votes_as_dict(ballot, rule, decisions, agreed, voters, left_out)
    written.append(write_json(args.out / "votes.json", content))
    if args.json:
        print(json_text(content, indent=1))
        return 0
    show_votes(terminal(), rule, decisions, agreed, voters, left_out)
    return _wrote(written)


def _models(args: argparse.Namespace) -> int:
    from evaluator.audit.imagenet import chosen_images
    from evaluator.audit.models import PUBLISHED, classifier, predict_folder, write_labels
    from evaluator.errors import ConfigurationError
    from evaluator.machine import cores
    from evaluator.report.console import terminal
    from evaluator.report.live import doing

    _check_out(args.out)
    if args.batch < 1:
        raise ConfigurationError(f"--batch is {args.batch}; expected 1 image or more")
    asked = [classifier(name) for name in dict.fromkeys(args.models or PUBLISHED)]
    images = chosen_images(args.images, args.list_)
    _say(f"{counted(len(images), 'image')}, {counted(len(asked), 'model')}")
    written = [path] if (path := write_labels(args.out.parent, images)) else []
    for model in asked:
        with doing(terminal(stderr=True), model.name) as progress:
            path, computed = predict_folder(
                model, images, args.out, batch=args.batch, device=args.device, readers=cores(), progress=progress
            )
        _say(f"{model.name}: {computed:,} images computed, {len(images) - computed:,} were there")
        written.append(path)
    return _wrote(written)


def _read_benchmark(args: argparse.Namespace, beside: Path | None) -> tuple[Benchmark, Reading]:
    """The benchmark of the options. ``beside``: a file whose rows are its rows, where neither has ids."""
    from evaluator.audit.reading import Reading, read_benchmark, read_classes
    from evaluator.audit.request import BenchmarkFiles
    from evaluator.audit.tables import arrays

    files = BenchmarkFiles(
        args.labels, args.ids, stems=args.stems, classes=args.classes or "", multi=args.multi_label, revision=args.revision
    )
    if args.ids is not None or args.labels.suffix.lower() != ".npy":
        return files.read()
    rows = arrays(args.labels)[""]
    ids = tuple(map(str, range(len(rows)))) if rows.ndim else ()
    say(f"--ids was not given: rows of {args.labels} are called by their numbers, 0 to {len(ids) - 1:,}")
    classes = read_classes(args.classes) if args.classes else None if args.multi_label or beside is None else _columns(beside)
    how = Reading(ids=ids, stems=args.stems, classes=classes, multi=args.multi_label)
    return read_benchmark(args.labels, how, args.revision), how


def _columns(beside: Path) -> tuple[str, ...] | None:
    """Class numbers for as many columns as an array of probabilities has: labels may lack the last classes."""
    from evaluator.audit.tables import arrays

    if beside.suffix.lower() not in (".npy", ".npz"):
        return None
    found = arrays(beside)
    table = next((found[name] for name in ("probabilities", "scores", "") if name in found), None)
    return tuple(map(str, range(table.shape[1]))) if table is not None and table.ndim == 2 and table.shape[1] > 1 else None


def _given(benchmark: Benchmark) -> dict[str, frozenset[int]]:
    return {name: frozenset(labels) for name, labels in zip(benchmark.ids, benchmark.given.lists(), strict=True)}


def _rule_of(args: argparse.Namespace) -> Rule:
    from evaluator.audit.votes import Rule

    return Rule.parse(args.majority, args.fewest, args.by)


def _check_out(out: Path) -> None:
    """Refuse a folder that cannot be one, before anything is computed for it."""
    from evaluator.errors import ConfigurationError

    above = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not above.is_dir():
        raise ConfigurationError(f"--out is {one_line(out, 200)}, and {one_line(above, 200)} is a file; name a folder")


def _wrote(written: Sequence[Path]) -> int:
    for path in dict.fromkeys(written):
        _say(f"file: {path}")
    return 0


def _say(text: str) -> None:
    print(one_line(text, 5_000), flush=True)


DATA_ACTIONS: Mapping[str, tuple[str, Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]]] = {
    "suspects": ("name the labels that are likely wrong, by confident learning", _suspects_options, _suspects),
    "sheet": ("write the checking sheet of suspects for people who vote on them", _sheet_options, _sheet),
    "votes": ("read votes back, and derive corrections from them", _votes_options, _votes),
    "models": ("predict a folder of ImageNet's validation images with published models", _models_options, _models),
}
"""Of each action: its line of help, what adds its options, and what runs it."""
