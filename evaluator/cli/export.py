"""Write a competition for another platform. So far there is one: Codabench.

python -m evaluator export codabench --round DIR --image NAME --out bundle.zip       of a round, or of a judge's folder
python -m evaluator export codabench --file sweep.toml --image NAME --title T ...    of the options of a sweep
python -m evaluator export codabench --check bundle.zip                              would the server take it? any bundle
python -m evaluator export codabench --try bundle.zip SUBMISSION                     what its compute worker makes of a submission
"""

from __future__ import annotations

import argparse
import datetime
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluator.cli.parsing import add_action
from evaluator.cli.tracks import add_option, add_splits, add_track, named
from evaluator.errors import ConfigurationError
from evaluator.places import ROOT, given_path
from evaluator.sweep.settings import COMMON
from evaluator.text import json_text, one_line, say
from evaluator.track import Track
from evaluator.words import counted

if TYPE_CHECKING:
    from evaluator.export.codabench.bundle import Part
    from evaluator.export.codabench.fields import Problem
    from evaluator.judging.place import Place

OPTIONS = (
    "profile",
    "seeds",
    "first_seed",
    "root_seed",
    "secret",
    "public_seeds",
    "pipelines",
    "starting_weights",
    "data",
    "threads",
)
"""Options of every track that a bundle takes over."""
OWN = frozenset({"round"})
"""Options of a track whose name has another meaning here; they can be given in a file."""
OWNER = "my_submission"
"""A submission by which options are checked; nothing of it is run."""

MOST_NAMED = 8
"""Files of a step's output that are named."""


def register(subparsers: argparse._SubParsersAction, track: Track) -> None:
    """Add the verb ``export`` with the options of a track to the command line."""
    verb = subparsers.add_parser("export", help="write a competition for another platform", description=__doc__)
    platforms = verb.add_subparsers(dest="platform", required=True, metavar="PLATFORM")
    made = add_action(platforms, "codabench", "make, check or try a bundle for Codabench")
    what = made.add_argument_group("what to do")
    what.add_argument("--out", type=given_path, metavar="FILE.zip", help="the bundle to write")
    what.add_argument("--check", type=given_path, metavar="BUNDLE", help="check a bundle, also another's, and write nothing")
    what.add_argument("--try", dest="tried", type=given_path, nargs=2, metavar=("BUNDLE", "SUBMISSION"), help="run both steps here")
    what.add_argument("--task", type=int, metavar="N", help="with --try: index of the task (default: the first)")
    what.add_argument("--replace", action="store_true", help="overwrite the bundle if it is there")
    what.add_argument("--json", action="store_true", help="print what was found as JSON")
    judged = made.add_argument_group("what is judged")
    judged.add_argument("--round", type=given_path, metavar="DIR", help="a round's folder, or a judge's with judge.toml")
    judged.add_argument("--file", type=given_path, metavar="FILE", help="options of a sweep, as TOML")
    add_track(judged, track)
    for name in OPTIONS:
        add_option(judged, name, COMMON[name])
    for name, option in track.options.items():
        if name not in OWN:
            add_option(judged, name, option)
    add_splits(judged, track, many=True)
    told = made.add_argument_group("the competition there")
    told.add_argument("--title", metavar="TEXT", help="default with --round: its name")
    told.add_argument("--description", default="", metavar="TEXT", help="a sentence or two")
    told.add_argument("--image", metavar="NAME", help="a Docker image that holds this kit (docs/codabench.md)")
    told.add_argument("--start", metavar="TIME", help="UTC, e.g. 2026-12-01T08:00 (default: now)")
    told.add_argument("--end", metavar="TIME", help="UTC; default with --round: its deadline")
    told.add_argument("--a-day", type=int, metavar="N", help="submissions of a participant on a day (default: the round's, or 5)")
    told.add_argument("--most", type=int, default=100, metavar="N", help="submissions of a participant in all (default: 100)")
    told.add_argument("--queue", default="", metavar="VHOST", help="the queue of your own compute workers: its vhost, a UUID")
    told.add_argument("--terms", type=given_path, metavar="FILE", help="terms in Markdown (default: the kit's)")
    told.add_argument(
        "--public-data", type=given_path, metavar="DIR", help="what participants may download (default: publish/ of the round)"
    )
    told.add_argument(
        "--sandbox",
        choices=("bubblewrap", "landlock", "process"),
        default="landlock",
        help="the weakest isolation that a submission may run in (default: landlock)",
    )
    told.add_argument(
        "--texts",
        action="store_true",
        help="pages of submissions show tracebacks and prints; a submission can write labels there that it bought",
    )
    told.add_argument(
        "--answers",
        action="store_true",
        help="answers are judged, too, and not code alone (default: as the round says)",
    )
    told.add_argument("--time-limit", type=int, metavar="SECONDS", help="of a step (default: computed from the clocks)")
    told.add_argument("--training-seconds", type=float, metavar="S", help="of one training (default: as --results tells)")
    told.add_argument(
        "--results", type=given_path, metavar="DIR", help="stored cells that tell how long a training takes here (default: results)"
    )


def main(args: argparse.Namespace) -> int:
    """Run the verb. Returns 0; with ``--check`` 1 if the server would refuse the bundle; with ``--try`` 1 if the run failed."""
    if sum(given is not None for given in (args.out, args.check, args.tried)) != 1:
        raise ConfigurationError("export codabench: give exactly one of --out FILE.zip, --check BUNDLE, --try BUNDLE SUBMISSION")
    if args.check is not None:
        return _check(args)
    return _try(args) if args.tried is not None else _write(args)


def _check(args: argparse.Namespace) -> int:
    from evaluator.export.codabench.checks import check_bundle

    problems = check_bundle(args.check)
    errors = [problem for problem in problems if problem.kind == "error"]
    if args.json:
        print(
            json_text(
                {"bundle": str(args.check), "taken": not errors, "problems": [asdict(problem) for problem in problems]}, indent=1
            )
        )
        return 1 if errors else 0
    _show(problems)
    warnings = counted(len(problems) - len(errors), "warning")
    said = f"the server would refuse it: {counted(len(errors), 'error')}" if errors else "the server takes it"
    print(one_line(f"{args.check}: {said}, {warnings}", 1_000))
    return 1 if errors else 0


def _show(problems: tuple[Problem, ...]) -> None:
    from evaluator.report.console import terminal
    from evaluator.report.findings import show_findings
    from evaluator.submission.findings import Finding

    show_findings(terminal(), [Finding(p.kind, p.place, f"{p.text.rstrip('.')}. [{p.check}]") for p in problems])


def _try(args: argparse.Namespace) -> int:
    from evaluator.export.codabench.stand_in import try_bundle
    from evaluator.text import quoted

    bundle, submission = args.tried
    found = try_bundle(bundle, submission, args.task)
    if args.json:
        print(json_text(found.as_dict(), indent=1))
        return 0 if found.status == "Finished" else 1
    for step in found.steps:
        ran = "no program" if step.code is None else f"status {step.code}"
        names = list(step.files)
        more = f" and {counted(len(names) - MOST_NAMED, 'more file')}" if len(names) > MOST_NAMED else ""
        output = ", ".join(names[:MOST_NAMED]) or "nothing"
        print(one_line(f"{step.name}: {ran}, {step.seconds:.1f} s; output: {output}{more}", 2_000))
        for name, text in (("prints", step.out), ("says", step.err)):
            if text.strip():
                print(f"  the program {name}, and participants read:\n{quoted(text)}")
        for line in step.left:
            print(one_line(f"  a process outlived it: {line}", 500))
    if found.log.strip():
        print(f"what the kit printed, which the platform shows to nobody:\n{quoted(found.log, lines=60)}")
    counts = "counts against the quota" if found.counts else "does not count against the quota"
    print(one_line(f"status: {found.status}{f' ({found.why})' if found.why else ''}; it {counts}", 1_000))
    row = ", ".join(f"{key} {value:.4f}" for key, value in (found.row or {}).items())
    print(one_line(f"board: {row or 'no row'}{f'; ignored: {found.ignored}' if found.ignored else ''}", 1_000))
    return 0 if found.status == "Finished" else 1


def _write(args: argparse.Namespace) -> int:
    from evaluator.export.codabench.bundle import write_bundle
    from evaluator.export.codabench.contest import Contest
    from evaluator.export.codabench.fields import is_key

    if args.image is None:
        raise ConfigurationError(
            "--image: no image was named; Codabench's own has no kit. Name one that holds it (docs/codabench.md)"
        )
    if args.out.suffix.lower() != ".zip":
        raise ConfigurationError(
            f"--out {args.out}: it does not end in .zip; a bundle is a zip file. Name a file that ends in .zip"
        )
    if args.out.exists() and not args.replace:
        raise ConfigurationError(
            f"--out {args.out}: it is there already; nothing is overwritten unasked. Give --replace, or another name"
        )
    if args.queue and not is_key(args.queue):
        raise ConfigurationError(
            f"--queue {one_line(args.queue, 60)!r}: a UUID was expected, the vhost that the platform shows on the queue's page. "
            "With anything else the server refuses the bundle"
        )
    place = None if args.round is None else _place(args)
    terms = "" if args.terms is None else _terms(args.terms)
    contest = Contest(
        title=args.title or ("" if place is None else place.rules.name),
        docker_image=args.image,
        description=args.description,
        a_day=args.a_day or (5 if place is None else place.rules.quota.a_day),
        most=args.most,
        queue=args.queue,
        public_data=args.public_data is not None,
    )
    parts = _parts(args, place)
    problems = write_bundle(args.out, contest, parts, terms, args.public_data)
    if args.json:
        told = {
            "bundle": str(args.out),
            "seconds": [part.order.seconds for part in parts],
            "problems": [asdict(p) for p in problems],
        }
        print(json_text(told, indent=1))
        return 0
    _show(problems)
    for part in parts:
        print(one_line(f"{part.phase.name}: {counted(len(part.experiment.cells), 'cell')}, {part.order.seconds:,} seconds at most"))
    print(one_line(f"bundle: {args.out}; it holds the hidden data and the secret, so keep it to yourself", 1_000))
    return 0


def _place(args: argparse.Namespace) -> Place:
    from evaluator.judging.place import FILE, Place

    if args.file is not None:
        raise ConfigurationError("--round and --file were both given; a round has its own options. Leave one out")
    inner, given = args.round / "keep" / "judge", args.round / "publish"
    if args.public_data is None and given.is_dir():
        args.public_data = given
    return Place.of(inner if (inner / FILE).is_file() else args.round)


def _terms(path: Path) -> str:
    from evaluator.bounded import read_bytes

    return read_bytes(path, 1 << 20).decode("utf-8-sig")


def _parts(args: argparse.Namespace, place: Place | None) -> list[Part]:
    """The phases: that of the options, or the public and the private part of a round."""
    from evaluator.export.codabench.contest import Phase, instant

    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None, second=0, microsecond=0)
    start = now if args.start is None else instant("--start", args.start)
    end = None if args.end is None else instant("--end", args.end)
    if place is None:
        return [_part(args, named(args.track), args.file, Phase("Public", start, end, 0), "public", 1)]
    if end is None and place.rules.deadline is not None:
        end = datetime.datetime.fromtimestamp(place.rules.deadline, datetime.UTC).replace(tzinfo=None)
        _require_ahead(args, start, end)
    track, version = named(place.rules.track), place.rules.version
    args.answers = args.answers or place.rules.answers
    parts = [_part(args, track, place.sweep("public"), Phase("Public", start, end, 0), "public", version)]
    if place.rules.private:
        if end is None:
            raise ConfigurationError("--end: the round has a private part, and no end of the public one is known. Give --end TIME")
        final = Phase("Final", end + datetime.timedelta(seconds=1), None, 0, carried=True)
        parts.append(_part(args, track, place.sweep("private"), final, "private", version))
    return parts


def _require_ahead(args: argparse.Namespace, start: datetime.datetime, deadline: datetime.datetime) -> None:
    """Refuse a deadline of the round that comes before the phase begins: nobody gave it as an option.

    Raises:
        ConfigurationError: it has passed, or lies before ``--start``.
    """
    if args.start is None and deadline <= datetime.datetime.now(datetime.UTC).replace(tzinfo=None):
        raise ConfigurationError(
            f"--round {args.round}: its deadline was {deadline:%Y-%m-%d %H:%M} (UTC), so the round is closed; expected one that "
            "lies ahead. Say with --end TIME until when Codabench takes submissions, or name a round that is open"
        )
    if deadline <= start:
        raise ConfigurationError(
            f"--start is {start:%Y-%m-%d %H:%M} (UTC), and the deadline of the round is {deadline:%Y-%m-%d %H:%M}; expected a "
            "start before it. Give an earlier --start, or another end with --end TIME"
        )


def _part(args: argparse.Namespace, track: Track, file: Path | None, phase: Any, part: str, version: int) -> Part:
    from evaluator.export.codabench.bundle import planned
    from evaluator.sweep.experiment import prepare
    from evaluator.sweep.settings import options_of, read_settings

    known = {*OPTIONS, "score_split", *track.options} - OWN
    given = {name: value for name, value in vars(args).items() if name in known and value is not None}
    options = options_of(given, track, file)
    if not options.get("secret") and not options.get("public_seeds"):
        raise ConfigurationError(
            "--secret: the bundle needs the secret that all draws follow from, and none was named. Give --secret FILE, or for "
            "a class --public-seeds"
        )
    if options.get("public_seeds"):
        say("warning: with public seeds every draw can be computed by everybody")
    more = {"submissions": (ROOT / OWNER,), "sandbox": "process"}
    if args.results is not None:
        more["out"] = args.results
    settings, _ = read_settings(given | more, track, file)
    experiment = prepare(track, replace(settings, label=()), keep_secret=False)
    how = {"texts": args.texts, "answers": args.answers, "seconds": args.time_limit, "training": args.training_seconds}
    return planned(experiment, options, phase, sandbox=args.sandbox, part=part, version=version, **how)
