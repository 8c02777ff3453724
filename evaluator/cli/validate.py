"""Check a submission before it is sent: its sources, class, signatures, imports and manifest; and a small run on made-up data.

Everything that is found is listed at once, as errors and warnings. The small run is made in the isolation tier at hand.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from evaluator.cli.tracks import DEFAULT, add_track, named
from evaluator.errors import ConfigurationError
from evaluator.places import given_path
from evaluator.submission.findings import Finding, Findings, in_order
from evaluator.text import json_text, say
from evaluator.words import counted

SECONDS = 20.0
"""Largest duration of parsing the sources."""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``validate`` to the command line."""
    verb = subparsers.add_parser(
        "validate", help="is a submission fit to submit? everything that is wrong, at once", description=__doc__
    )
    verb.add_argument("submission", type=given_path, metavar="PATH", help="folder, .py file, or an archive made by package")
    add_track(verb.add_argument_group("the track"), DEFAULT)
    verb.add_argument(
        "--sandbox",
        choices=("auto", "bubblewrap", "docker", "landlock", "process"),
        default="auto",
        help="isolation tier of the small run (default: the strongest that works)",
    )
    verb.add_argument("--weights-dir", type=given_path, metavar="DIR", help="pretrained weights, as TORCH_HOME")
    verb.add_argument("--no-run", action="store_true", help="look at the files only; run nothing")
    verb.add_argument("--full-traceback", action="store_true", help="show all frames, the kit's own, too")
    verb.add_argument("--strict", action="store_true", help="for the judge: a warning counts as an error")
    verb.add_argument("--json", action="store_true", help="print the findings as JSON")


def main(args: argparse.Namespace) -> int:
    """Run the verb. Returns 0 if the submission is fit to submit, else 1."""
    from evaluator.submission.package import is_package, unpacked

    if not is_package(args.submission):
        return _validated(args)
    with unpacked(args.submission) as (package, folder):
        said = f"{args.submission}: the package of {package.name}"
        if args.track != DEFAULT.name and args.track != package.track:
            raise ConfigurationError(f"--track is {args.track}; {said} is made for {package.track}. Leave --track out")
        if not args.json:
            whose = f", by {package.owner}" if package.owner else ""
            say(f"{said}{whose}: all {counted(len(package.files), 'file')} are what its manifest says")
        args.submission, args.track = folder, package.track
        return _validated(args, package.digest)


def _validated(args: argparse.Namespace, digest: str = "") -> int:
    """Run the verb on a folder or file. ``digest``: that a package names, if it is the folder of one."""
    from evaluator.report.console import terminal
    from evaluator.report.findings import show_validation
    from evaluator.report.traces import own_frames
    from evaluator.submission.source import looked_at
    from evaluator.submission.validate import examine, unmet_requirements

    track = named(args.track)
    found = examine(args.submission, track.name, SECONDS)
    # A run says this among its own warnings.
    found = replace(found, found=in_order((*found.found, *unmet_requirements(args.submission))))
    if digest and not found.unread and looked_at(args.submission).digest != digest:
        text = "it was made with another version of the kit's strategies, so it may buy otherwise here. Make it anew with this kit"
        found = replace(found, found=in_order((*found.found, Finding("warning", "submission.json", text))))
    tried = trace = full = ""
    if not args.no_run and not found.errors:  # what does not compile need not be run to know that
        found, tried, trace, full = _run(args, track, found)
    if args.json:
        print(json_text(found.as_dict(args.strict) | {"run": tried, "trace": trace, "full_trace": full}, indent=1))
    else:
        show_validation(terminal(), found, args.strict, tried, (full or trace) if args.full_traceback else own_frames(trace))
    return 0 if found.fit(args.strict) else 1


def _run(args: argparse.Namespace, track: Any, found: Findings) -> tuple[Findings, str, str, str]:
    """The findings with those of the small run, how it was run, in words, its traceback, and that with all frames."""
    from evaluator.report.console import terminal
    from evaluator.report.live import doing
    from evaluator.sandbox.tiers import choose, passed_over

    sandbox = choose(args.sandbox)
    more = [Finding("warning", "--sandbox auto", why)] if args.sandbox == "auto" and (why := passed_over(sandbox.name)) else []
    say(f"running it on a few {track.item_word}s in {sandbox.name}, for three minutes at most ...")
    with doing(terminal(stderr=True), "running it"):
        trial = track.trial(args.submission, sandbox, None if args.weights_dir is None else args.weights_dir.resolve())
    if trial is None:
        return found, "", "", ""
    found = replace(found, found=in_order((*found.found, *trial.found, *more)))
    return found, f"run in {sandbox.name}: {trial.said}", trial.trace, trial.full_trace
