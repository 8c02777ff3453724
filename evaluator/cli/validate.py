"""Check a submission before it is sent: its sources, class, signatures, imports and manifest; and a small run on made-up data.

Everything that is found is listed at once, as errors and warnings. The small run is made in the isolation tier at hand. Name the
round that the submission is for, and the run has its classes and its kinds of labels:

python -m evaluator validate my_submission --file public.toml
python -m evaluator validate my_submission --round my-round.toml

An answer (a ledger, rankings, a table of edits; docs/participants.md) is not run. Its files are read; with --profile, --round,
--data or --file they are held against the tasks, as a judge does:

python -m evaluator validate ledger.csv --profile official --data DIR
python -m evaluator validate rankings/ --track cleaning --file public.toml
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaluator.cli.tracks import DEFAULT, add_track, examined, named
from evaluator.errors import ConfigurationError
from evaluator.places import given_path
from evaluator.submission.findings import Finding, Findings, in_order
from evaluator.text import json_text, say
from evaluator.text import name as harmless
from evaluator.words import counted

SECONDS = 20.0
"""Largest duration of parsing the sources."""
AGAINST = ("file", "profile", "round", "data", "seeds", "public_seeds")
"""Options that say which tasks an answer is held against, and which round the small run of code is like."""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``validate`` to the command line."""
    verb = subparsers.add_parser(
        "validate", help="is a submission fit to submit? everything that is wrong, at once", description=__doc__
    )
    verb.add_argument(
        "submission", type=given_path, metavar="PATH", help="folder, .py file, an answer, or an archive made by package"
    )
    add_track(verb.add_argument_group("the track"), DEFAULT)
    verb.set_defaults(track=None)  # then it is that of --file or of the package
    verb.add_argument(
        "--sandbox",
        choices=("auto", "bubblewrap", "docker", "landlock", "process"),
        default="auto",
        help="isolation tier of the small run (default: the strongest that works)",
    )
    verb.add_argument("--weights-dir", type=given_path, metavar="DIR", help="pretrained weights, as TORCH_HOME")
    verb.add_argument("--no-run", action="store_true", help="look at the files only; run nothing")
    rules = verb.add_argument_group("the round", "whose form the small run of code has, and whose tasks an answer is held against")
    rules.add_argument("--file", type=given_path, metavar="FILE", help="TOML with the options of a sweep, as an organiser gives it")
    rules.add_argument("--profile", metavar="NAME|FILE", help="default: the track's own")
    rules.add_argument("--round", metavar="NAME|FILE", help="purchase: another round than the profile's")
    rules.add_argument("--data", type=given_path, metavar="DIR", help="folder of the data")
    tasks = verb.add_argument_group("more of the tasks that an answer is held against")
    tasks.add_argument("--seeds", type=int, metavar="N", help="repetitions of every task (default: 1)")
    tasks.add_argument("--public-seeds", action="store_true", default=None, help="no secret: draws as in published figures")
    verb.add_argument("--full-traceback", action="store_true", help="show all frames, the kit's own, too")
    verb.add_argument("--strict", action="store_true", help="for the judge: a warning counts as an error")
    verb.add_argument("--json", action="store_true", help="print the findings as JSON")


def main(args: argparse.Namespace) -> int:
    """Run the verb. Returns 0 if the submission is fit to submit, else 1."""
    from evaluator.submission.package import is_package, unpacked
    from evaluator.sweep.settings import track_in

    in_file = None if args.file is None else track_in(args.file)
    if not is_package(args.submission):
        args.track = args.track or in_file or DEFAULT.name
        return _validated(args)
    with unpacked(args.submission) as (package, folder):
        said = f"{args.submission}: the package of {package.name}"
        if args.track not in (None, package.track):
            raise ConfigurationError(f"--track is {args.track}; {said} is made for {package.track}. Leave --track out")
        if in_file not in (None, package.track):
            raise ConfigurationError(f"{args.file}: the track is {harmless(in_file)}; {said} is made for {package.track}")
        if not args.json:
            whose = f", by {package.owner}" if package.owner else ""
            n = len(package.files)
            all_are = "its file is" if n == 1 else f"all {counted(n, 'file')} are"
            say(f"{said}{whose}: {all_are} what its manifest says")
        archive, args.submission, args.track = args.submission, folder, package.track
        return _validated(args, package.digest, package.kind, archive)


def _validated(args: argparse.Namespace, digest: str = "", kind: str = "", archive: Path | None = None) -> int:
    """Run the verb on a folder or file. ``digest``, ``kind``: that a package names, if it is the folder of ``archive``."""
    from evaluator.report.console import terminal
    from evaluator.report.findings import show_validation
    from evaluator.report.traces import own_frames
    from evaluator.submission.apt import FILE as APT
    from evaluator.submission.package import other_kind
    from evaluator.submission.travel import MANIFEST
    from evaluator.submission.validate import unmet_requirements

    track = named(args.track)
    found = examined(track, args.submission, SECONDS, image=args.sandbox == "docker")
    found = found if archive is None else replace(found, path=str(archive.absolute()))
    source = track.source(args.submission)
    if kind and not found.unread and (why := other_kind(kind, source.answer)):
        found = replace(found, found=in_order((*found.found, Finding("error", "submission.json", why))))
    if not source.answer:  # a run says this among its own warnings
        found = replace(found, found=in_order((*found.found, *unmet_requirements(args.submission))))
    if digest and not found.unread and source.digest != digest:
        text = "it was made with another version of the kit's strategies, so it may buy otherwise here. Make it anew with this kit"
        found = replace(found, found=in_order((*found.found, Finding("warning", "submission.json", text))))
    tried = trace = full = ""
    asked = _asked(args, track, source.answer)
    # What does not compile need not be run to know that. A slip in a file beside the code hides nothing that a run finds.
    before = [error for error in found.errors if Path(error.place.partition(",")[0]).name not in (MANIFEST, APT)]
    if source.answer:
        found, tried = (found, "") if before else _held(track, args.submission, asked, found)
    elif before and not (args.no_run or found.unread):
        tried = f"not run, because of {counted(len(before), 'error')} in what a run needs. Mend that first"
    elif not (args.no_run or found.unread):
        found, tried, trace, full = _run(args, track, asked, found)
    if args.json:
        print(json_text(found.as_dict(args.strict) | {"run": tried, "trace": trace, "full_trace": full}, indent=1))
    else:
        show_validation(terminal(), found, args.strict, tried, (full or trace) if args.full_traceback else own_frames(trace))
    return 0 if found.fit(args.strict) else 1


def _asked(args: argparse.Namespace, track: Any, answer: bool) -> dict[str, Any]:
    """The options that name a round and its tasks, as far as they were given, by name.

    Raises:
        ConfigurationError: one says nothing about an answer of this track, or about the small run of code.
    """
    asked = {name: value for name in AGAINST if (value := getattr(args, name)) is not None}
    for name in asked:
        option = f"--{name.replace('_', '-')}"
        if name == "round" and name not in track.options:
            raise ConfigurationError(
                f"{option}: the track {track.name} has no rounds in files of their own; expected the round by --file or --profile. "
                "Leave the option out"
            )
        if not answer and name not in ("file", *track.trial_options):
            may = ", ".join(f"--{other}" for other in ("file", *track.trial_options))
            raise ConfigurationError(
                f"{option}: the submission is code, which is run on a few made-up {track.item_word}s and held "
                f"against no task; of the round, {may} say what they are like. Leave the option out"
            )
    return asked


def _held(track: Any, path: Path, asked: dict[str, Any], found: Findings) -> tuple[Findings, str]:
    """The findings of an answer with those of the tasks that were asked for, and what was done, in words."""
    if not asked:
        names = ["--file", *(f"--{name}" for name in track.trial_options), *([] if "data" in track.trial_options else ["--data"])]
        return found, f"held against no task: name the tasks with {', '.join(names[:-1])} or {names[-1]}"
    from evaluator.report.console import terminal
    from evaluator.report.live import doing
    from evaluator.sweep.given import held_against
    from evaluator.sweep.settings import read_settings

    file = asked.pop("file", None)
    settings, _ = read_settings(asked | {"submissions": [path]}, track, file)
    with doing(terminal(stderr=True), "holding it against the tasks"):
        held, cells, profile = held_against(track, settings)
    said = f"held against {counted(cells, 'task')} of the profile {profile}; each seed counts"
    return replace(found, found=in_order((*found.found, *held))), said


def _run(args: argparse.Namespace, track: Any, asked: dict[str, Any], found: Findings) -> tuple[Findings, str, str, str]:
    """The findings with those of the small run, how it was run, in words, its traceback, and that with all frames."""
    from evaluator.report.console import terminal
    from evaluator.report.live import doing
    from evaluator.sandbox.tiers import choose, exposed, passed_over
    from evaluator.sweep.settings import options_of

    file = asked.pop("file", None)
    like = options_of(asked, track, file) if asked or file is not None else asked
    sandbox = choose(args.sandbox)
    more = [Finding("warning", "--sandbox auto", why)] if args.sandbox == "auto" and (why := passed_over(sandbox.name)) else []
    more += [Finding("warning", f"--sandbox {args.sandbox}", said)] if (said := exposed(sandbox)) else []
    say(f"running it on a few {track.item_word}s in {sandbox.name}, for three minutes at most ...")
    with doing(terminal(stderr=True), "running it"):
        trial = track.trial(args.submission, sandbox, None if args.weights_dir is None else args.weights_dir.resolve(), like)
    if trial is None:
        return found, "", "", ""
    found = replace(found, found=in_order((*found.found, *trial.found, *more)))
    return found, f"run in {sandbox.name}: {trial.said}", trial.trace, trial.full_trace
