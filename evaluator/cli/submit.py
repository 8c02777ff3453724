"""Send a submission to a challenge or to a judge.

The place stands in aicrowd.json as submit_to, or is given by --to:

git, git:REMOTE      a tag submission-VERSION of the last commit, pushed to a remote (default: aicrowd), as AIcrowd expects it
/path/of/an/inbox    a package, copied into the inbox of a judge
ssh://user@host/dir  a package, sent by rsync or scp

Nothing is committed for you, and nothing that is not committed is sent. --dry-run shows every step and does none.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from evaluator.cli.tracks import DEFAULT, add_track, examined, named
from evaluator.errors import ConfigurationError
from evaluator.places import given_path
from evaluator.text import say
from evaluator.track import Track

SECONDS = 20.0
"""Largest duration of parsing the sources."""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``submit`` to the command line."""
    verb = subparsers.add_parser("submit", help="send a submission to a challenge or to a judge", description=__doc__)
    verb.add_argument(
        "submission", type=given_path, metavar="PATH", help="folder, .py file or an answer; for a judge also a package"
    )
    add_track(verb.add_argument_group("the track"), DEFAULT)
    verb.add_argument("--to", metavar="WHERE", help="git, git:REMOTE, a folder or ssh://user@host/folder (default: aicrowd.json)")
    verb.add_argument("--version", metavar="V", help="git: of the tag submission-V (default: the next number, v1, v2, ...)")
    verb.add_argument("--dry-run", action="store_true", help="show every step; do none")


def main(args: argparse.Namespace) -> int:
    """Run the verb. Returns 0, or 1 if the submission is not fit to submit; then nothing is sent."""
    from evaluator.report.console import terminal
    from evaluator.report.findings import show_findings
    from evaluator.submission.package import is_package, unpacked
    from evaluator.submission.submit import git_steps, named_target, perform, target_of

    track = named(args.track)
    where = args.to or ("" if is_package(args.submission) else named_target(args.submission))
    if not where:
        raise ConfigurationError(
            '--to: it is not said where to. Give --to WHERE, or write "submit_to" into aicrowd.json; see --help'
        )
    target = target_of(where)
    if args.version and target.kind != "git":
        raise ConfigurationError("--version names a tag of git; a package has none. Leave it out, or use --to git")
    if is_package(args.submission):
        if target.kind == "git":
            raise ConfigurationError(
                f"{args.submission} is a package; git sends what is committed. Give the folder, or another --to"
            )
        with unpacked(args.submission) as (package, folder):
            found = named(package.track, f"{args.submission}: track").examined(folder, SECONDS, home=True)
    else:
        found = examined(track, args.submission, SECONDS)
    show_findings(terminal(), found.found)
    if found.errors:
        say("nothing was sent: the submission is not fit to submit")
        return 1
    if target.kind == "git" and track.source(args.submission).answer:
        raise ConfigurationError(f"{args.submission} is an answer; by git goes code. Send it to a judge: --to FOLDER or ssh://...")
    if target.kind == "git":
        steps = git_steps(args.submission, target, args.version or "")
        return _done(steps, args.dry_run, perform)
    with tempfile.TemporaryDirectory(prefix="dck-submit-") as scratch:
        return _done(_package_steps(args, track, target, Path(scratch)), args.dry_run, perform)


def _package_steps(args: argparse.Namespace, track: Track, target: object, scratch: Path) -> list:
    from evaluator.submission.package import file_digest, is_package, unpacked, write_package
    from evaluator.submission.submit import Target, folder_steps, ssh_steps

    assert isinstance(target, Target)
    if is_package(args.submission):
        archive, digest = args.submission, file_digest(args.submission)
        with unpacked(archive) as (package, _):
            name = package.name
    else:
        archive = scratch / "package.zip"
        shown, digest = write_package(args.submission, track.name, archive, track.given(args.submission))
        name = shown.package.name
    print(f"package of {name}, SHA-256 {digest}", flush=True)
    return (folder_steps if target.kind == "folder" else ssh_steps)(archive, name, digest, target)


def _done(steps: list, dry: bool, perform: object) -> int:
    from evaluator.text import one_line

    if dry:
        for step in steps:
            print(one_line(f"would do: {step.said}", 2_000))
        return 0
    perform(steps, lambda text: print(one_line(text, 2_000), flush=True))  # type: ignore[operator]
    print("sent")
    return 0
