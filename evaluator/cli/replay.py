"""``python -m evaluator replay``: train on a stored ledger again, with the same pipeline or another."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from evaluator.errors import ConfigurationError, DataError
from evaluator.purchase.profiles import profile_named


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``replay`` to the command line."""
    verb = subparsers.add_parser("replay", help="score a stored ledger again, through any pipeline", description=__doc__)
    verb.add_argument("cell", type=Path, help="a result file, results/cells/<hash>.json")
    verb.add_argument("--pipeline", help="name of the pipeline (default: the cell's own)")
    verb.add_argument("--data", type=Path, help="data folder (default: the profile's)")
    verb.add_argument("--device", help="cpu, cuda or auto (default: the cell's own)")
    verb.add_argument("--json", action="store_true", help="print the figures as JSON")


def main(args: argparse.Namespace) -> int:
    """Run the verb; 0, or 1 where the same pipeline did not give the stored result to the bit."""
    from evaluator.purchase.cell import CellSpec, train_and_score
    from evaluator.purchase.ledger import Ledger
    from evaluator.purchase.rounds import Pair
    from evaluator.purchase.sets import read_sets
    from evaluator.training.recipes import PIPELINES

    try:
        stored = json.loads(args.cell.read_text(encoding="utf-8"))
        spec, ledger = stored["spec"], Ledger.from_rows(stored["ledger"])
        profile = profile_named(spec["profile"]["name"])
        name = args.pipeline or spec["pipeline"]["name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{args.cell} is not a stored cell ({error}); name a file of results/cells/") from None
    if name not in PIPELINES:
        raise ConfigurationError(f"there is no pipeline {name!r}; choose one of {', '.join(PIPELINES)}")
    sets = read_sets(
        profile, args.data or Path("data") / profile.data_folder, score_split=spec["score_split"], cache=Path("data/.cache")
    )
    changed = [split for split, digest in spec["data"].items() if sets.digests().get(split) != digest]
    if changed:
        raise DataError(
            f"the data in {sets.folder} is not what the cell was run on ({', '.join(changed)} differ); name it with --data"
        )
    again = CellSpec(
        submission=spec["submission"],
        submission_digest=spec["submission_digest"],
        profile=profile,
        pair=Pair.parse(spec["pair"]),
        seed=spec["seed"],
        root_seed=spec["root_seed"],
        pipeline=PIPELINES[name],
        weights=spec["weights"],
        data=spec["data"],
        score_split=spec["score_split"],
        tier=spec["tier"],
        device=args.device or spec["device"],
        threads=spec["threads"],
    )
    scored = train_and_score(again, sets, ledger)
    same = scored.fingerprint == stored["fingerprint"]
    own = name == spec["pipeline"]["name"]
    if args.json:
        print(json.dumps({"pipeline": name, "metrics": asdict(scored.metrics), "fingerprint": scored.fingerprint, "same": same}))
    else:
        m = scored.metrics
        console = Console()
        console.print(f"{name}: macro F1 {m.macro_f1:.4f}, accuracy {m.accuracy:.4f}, Hamming loss {m.hamming_loss:.4f} (n={m.n})")
        if own:
            console.print(
                "the stored result, to the bit" if same else "not the stored result to the bit: another machine or version?"
            )
    return 1 if own and not same else 0
