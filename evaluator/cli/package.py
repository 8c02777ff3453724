"""Pack a submission, code or an answer, into one file that can be sent: what travels, and a manifest with the digest of every file.

Shows what goes in and what stays at home. Files that are secrets by their name (keys, .env and the like) never travel; lines that
look like secrets are warned of. Equal files give an equal archive.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from evaluator.cli.tracks import DEFAULT, add_track, examined, named
from evaluator.errors import ConfigurationError
from evaluator.places import given_path
from evaluator.text import json_text, one_line, say
from evaluator.words import counted

SECONDS = 20.0
"""Largest duration of parsing the sources."""
MOST = 30
"""Files that are listed; further files are counted."""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``package`` to the command line."""
    verb = subparsers.add_parser("package", help="pack a submission into one file that can be sent", description=__doc__)
    verb.add_argument("submission", type=given_path, metavar="PATH", help="folder or .py file; or an answer (docs/participants.md)")
    add_track(verb.add_argument_group("the track"), DEFAULT)
    verb.add_argument("--out", type=given_path, metavar="FILE.zip", help="default: NAME.zip in this folder")
    verb.add_argument("--dry-run", action="store_true", help="show what would be packed; write nothing")
    verb.add_argument("--replace", action="store_true", help="overwrite the archive if it is there")
    verb.add_argument("--json", action="store_true", help="print the manifest and the findings as JSON")


def main(args: argparse.Namespace) -> int:
    """Run the verb. Returns 0, or 1 if the submission is not fit to submit; then nothing is written."""
    from evaluator.report.console import hanging, terminal
    from evaluator.report.findings import show_findings
    from evaluator.submission.findings import Finding, in_order
    from evaluator.submission.leaked import HOW, available, leaked
    from evaluator.submission.package import is_package, preview, write_package

    track = named(args.track)
    if is_package(args.submission):
        raise ConfigurationError(f"{args.submission} is a package already; give the folder or .py file that it is made of")
    out = _target(args)
    checked = examined(track, args.submission, SECONDS)
    found = list(checked.found)
    shown, digest, answer = None, "", None
    if not checked.errors:
        answer = track.given(args.submission)
        shown = preview(args.submission, track.name, answer)
        root = args.submission.resolve() if args.submission.is_dir() else args.submission.resolve().parent
        if available():
            found += leaked(root, (m.path.partition("/")[2] for m in shown.package.files if "/" in m.path))
        else:
            found.append(Finding("warning", "secrets", f"files were not searched for passwords and tokens. {HOW}"))
        if not shown.package.owner:
            found.append(
                Finding("warning", "aicrowd.json", "it names no team and no author; a board shows the package without an owner")
            )
        if not args.dry_run:
            shown, digest = write_package(args.submission, track.name, out, answer)
    found = list(in_order(found))
    if args.json:
        told: dict[str, Any] = {"archive": str(out) if digest else "", "sha256": digest}
        told |= {"package": None if shown is None else shown.package.as_dict()}
        told |= {"left_behind": dict(checked.left), "errors": [f.line for f in checked.errors]}
        told |= {"warnings": [f.line for f in found if f.kind == "warning"]}
        print(json_text(told, indent=1))
        return 1 if checked.errors else 0
    console = terminal()
    if shown is not None:
        package = shown.package
        by = f" of {package.owner}" if package.owner else ""
        hanging(
            console,
            f"{package.name}{by}: {counted(len(package.files), 'file')}, {package.bytes:,} bytes, "
            + (f"begins in {package.entry}" if answer is None else f"an answer for {track.name}: {answer.said}"),
        )
        for member in package.files[:MOST]:
            hanging(console, f"  {member.path}  {member.bytes:,}")
        if len(package.files) > MOST:
            hanging(console, f"  and {counted(len(package.files) - MOST, 'more file')}; --json lists all")
    for name, why in checked.left[:MOST]:
        hanging(console, f"  stays at home: {name} ({why})", "dim")
    if len(checked.left) > MOST:
        hanging(console, f"  and {counted(len(checked.left) - MOST, 'more name')} at home", "dim")
    show_findings(console, found)
    if checked.errors:
        say("nothing was packed: the submission is not fit to submit")
        return 1
    if digest:
        hanging(console, one_line(f"package: {out}", 1_000), "green")
        hanging(console, f"SHA-256: {digest}")
    return 0


def _target(args: argparse.Namespace) -> Path:
    """Where the archive goes, checked before anything is read.

    Raises:
        ConfigurationError: it would become a part of the submission, is there already, or has another ending.
    """
    from evaluator.submission.source import plain_name

    source: Path = args.submission
    name = plain_name(source) if source.is_dir() else source.stem
    out: Path = args.out or Path(f"{name}.zip")
    if out.suffix.lower() != ".zip":
        raise ConfigurationError(f"--out {out}: it does not end in .zip; the archive is a zip file. Name a file that ends in .zip")
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise ConfigurationError(
            f"--out {out}: it lies in the submission's folder, so it would become a part of it. Name a place outside"
        )
    if not out.resolve().parent.is_dir():
        raise ConfigurationError(f"--out {out}: the folder {out.resolve().parent} does not exist. Make it first")
    if out.exists() and not args.replace and not args.dry_run:
        raise ConfigurationError(f"--out {out}: it is there already. Name another file, or add --replace")
    return out
