"""Build an image for a submission: the kit's image with what its apt.txt and requirements.txt ask for.

python -m evaluator image build my_submission              build it, or find it; prints its name
python -m evaluator image build my_submission --dry-run    print the Dockerfile that it would be built from

Needs a Docker engine and the kit's own image (docker build -t data-centric-kit .). A judge may build an image like this for every
submission (docs/organisers.md). To run in it: DATA_CENTRIC_KIT_IMAGE=NAME python local_evaluation.py --sandbox docker
"""

from __future__ import annotations

import argparse
from typing import Any

from evaluator.cli.parsing import add_action
from evaluator.errors import ConfigurationError, Verdict
from evaluator.places import given_path
from evaluator.text import json_text, one_line, say, visible_lines

GIB = 2**30


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``image`` to the command line."""
    verb = subparsers.add_parser("image", help="build an image with the packages that a submission asks for", description=__doc__)
    actions = verb.add_subparsers(dest="action", required=True, metavar="ACTION")
    build = add_action(actions, "build", "build it, where it is not there yet")
    build.add_argument("submission", type=given_path, metavar="PATH", help="folder or .py file")
    build.add_argument("--base", default="", metavar="NAME", help="the kit's image (default: data-centric-kit)")
    build.add_argument("--network", default="default", help="of the build: default, host or none")
    where = build.add_mutually_exclusive_group()
    where.add_argument("--index-url", default="", metavar="URL", help="a package index in the place of PyPI")
    where.add_argument("--wheels", type=given_path, metavar="DIR", help="install from the wheels of a folder, without an index")
    build.add_argument("--sources", action="store_true", help="build packages that have no wheel; runs code of their authors")
    build.add_argument("--seconds", type=float, default=900.0, metavar="S", help="largest duration (default: 900)")
    build.add_argument("--memory", type=float, default=4.0, metavar="GIB", help="of the processes of the build (default: 4)")
    build.add_argument(
        "--largest", type=float, default=8.0, metavar="GIB", help="by which the image may be larger than the kit's (default: 8)"
    )
    build.add_argument("--log", type=given_path, metavar="FILE", help="write what the build says to a file")
    build.add_argument("--dry-run", action="store_true", help="print the Dockerfile; build nothing")
    build.add_argument(
        "--json", action="store_true", help="print name, identifier, size and duration as JSON, or whose fault it is"
    )


def main(args: argparse.Namespace) -> int:
    """Run the verb. Returns 0, or 1 if what the submission asks for cannot be installed."""
    from evaluator.runner.turns import training
    from evaluator.submission.image import How, ImageError, built_image, dockerfile, needs_of

    if not args.submission.exists():
        raise ConfigurationError(f"{args.submission}: it does not exist; a submission was expected. Name a folder or .py file")
    how = How(
        network=args.network,
        index=args.index_url,
        wheels=args.wheels,
        sources=args.sources,
        seconds=args.seconds,
        memory=int(args.memory * GIB),
        image_bytes=int(args.largest * GIB),
    )
    try:
        needs = needs_of(args.submission)
        if args.dry_run:
            print(dockerfile(needs, args.base or "data-centric-kit", how), end="")
            return 0
        image = built_image(args.submission, args.base, how=how, log=args.log, said=_shown(args), turn=training)
    except ImageError as error:
        if args.json:
            print(json_text({"verdict": str(error.verdict), "reason": str(error).partition("\n")[0]}))
        say(f"error: {visible_lines(str(error))}")
        if error.verdict == Verdict.INFRASTRUCTURE:
            say("this is no fault of the submission: look at the engine, its network and its disk, and run it again")
        return 1
    except OSError as error:
        raise ConfigurationError(str(error)) from None
    if args.json:
        told: dict[str, Any] = {"image": image.name, "id": image.id, "built": image.built, "bytes": image.bytes}
        told |= {"seconds": round(image.seconds, 1), "packages": needs.packages, "requirements": needs.requirements}
        print(json_text(told))
        return 0
    if not needs:
        say("its apt.txt and requirements.txt ask for nothing, so it runs in the kit's own image")
    elif image.built:
        say(f"built in {image.seconds:.0f} s, {image.bytes / 2**20:,.0f} MiB more than the kit's image")
    print(one_line(image.name, 300))
    return 0


def _shown(args: argparse.Namespace) -> Any:
    return lambda line: None if args.json else say(one_line(line, 500))
