"""Make starting weights from procedural primitives."""

from __future__ import annotations

import argparse

from evaluator.cli.parsing import add_action
from evaluator.errors import ConfigurationError
from evaluator.places import given_path


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``weights`` with its one action ``make``."""
    verb = subparsers.add_parser("weights", help="make starting weights from procedural primitives", description=__doc__)
    actions = verb.add_subparsers(dest="action", required=True)
    make = add_action(
        actions, "make", "pre-train a network on procedural primitives and write its feature layers", path_option="--out"
    )
    make.add_argument(
        "--out", type=given_path, required=True, help="file to write (.safetensors); figures are written beside it (.json)"
    )
    make.add_argument("--architecture", default="efficientnet_b4", help="or timm/<name>; default: %(default)s")
    make.add_argument("--size", type=int, default=64, help="image side in pixels; default: %(default)s")
    make.add_argument("--images", type=int, default=6_000_000, help="images to train on, each once; default: %(default)s")
    make.add_argument("--batch-size", type=int, default=1024, help="default: %(default)s")
    make.add_argument("--learning-rate", type=float, default=2e-3, help="largest learning rate; default: %(default)s")
    make.add_argument("--large-share", type=float, default=0.0, help="share of batches at 1.5 times the size; default: %(default)s")
    make.add_argument(
        "--held-out", type=int, default=8192, help="images that the final figures are measured on; default: %(default)s"
    )
    make.add_argument("--seed", type=int, default=2022, help="default: %(default)s")
    make.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps; default: %(default)s")
    make.add_argument("--threads", type=int, metavar="N", help="CPU threads; default: torch's own choice")
    make.add_argument("--minutes", type=float, help="end within this time; the learning-rate schedule is shortened to fit")
    make.add_argument("--compile", action=argparse.BooleanOptionalAction, help="use torch.compile; default: only on CUDA")


def main(args: argparse.Namespace) -> int:
    """Run the parsed action; returns the exit status 0.

    Raises:
        KitError: the options make no sense.
        TrainingError: the training failed.
    """
    import torch  # imported here, so that no other verb waits for it

    from evaluator.training.device import resolve
    from evaluator.training.pretraining.make import pretrain
    from evaluator.training.pretraining.spec import PretrainSpec

    if args.threads is not None:
        if args.threads < 1:
            raise ConfigurationError(f"--threads is {args.threads}; it must be 1 or more")
        torch.set_num_threads(args.threads)

    mps = args.device == "mps" and torch.backends.mps.is_available()
    try:
        device = torch.device("mps") if mps else resolve(args.device)
    except ConfigurationError as error:
        raise ConfigurationError(f"--device: {error}") from None
    names = ("architecture", "size", "images", "batch_size", "learning_rate", "large_share", "held_out", "seed")
    spec = PretrainSpec(**{name: getattr(args, name) for name in names})
    pretrain(
        spec,
        args.out,
        device=device,
        minutes=args.minutes,
        compiled=args.compile,
        progress=lambda line: print(line, flush=True),
    )
    return 0
