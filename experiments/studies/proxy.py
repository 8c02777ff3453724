"""How long a cell of the pipeline ``proxy`` takes and what it scores, by the number of labels bought at random.

    python -m experiments.studies.proxy [--pipeline proxy] [--seeds 20]

Time is that of training and scoring, from the ledger onward, when all images are embedded; the purchase is not in it. The data of
the profile ``quick`` must exist (``make data``); their decoded images are used (``data/quick``, ``data/.cache``).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from evaluator.cli.parsing import Prose
from evaluator.purchase.cell import train_and_score
from evaluator.purchase.ledger import Ledger, Purchase
from evaluator.purchase.profiles import QUICK
from evaluator.purchase.sets import RoundSets, read_sets
from evaluator.purchase.spec import PurchaseSpec
from evaluator.scoring.intervals import t_interval
from evaluator.seeds import generator
from evaluator.training.recipes import load_pipeline

ROOT = Path(__file__).resolve().parents[2]


def cell(sets: RoundSets, pipeline: str, bought: int, seed: int, threads: int) -> float:
    """Macro F1 of a cell whose labels were bought at random."""
    pool = sets.splits["unlabelled"]
    images = generator(2022, seed, "bought").permutation(len(pool))[:bought].tolist()
    rows = [Purchase(i, n, n, 0.0, tuple(map(int, pool.labels[n]))) for i, n in enumerate(images)]
    spec = PurchaseSpec(
        submission="random",
        submission_digest="",
        profile=QUICK,
        pair=QUICK.pairs[0],
        seed=seed,
        root_seed=2022,
        pipeline=load_pipeline(pipeline),
        weights="",
        data=sets.digests(),
        score_split="validation",
        tier="process",
        device="cpu",
        threads=threads,
    )
    return train_and_score(spec, sets.of(spec), Ledger(rows)).metrics.macro_f1


def main() -> None:
    """Print a row per number of labels."""
    parser = argparse.ArgumentParser(prog="python -m experiments.studies.proxy", description=__doc__, formatter_class=Prose)
    parser.add_argument("--pipeline", default="proxy", help="(default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=20, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--bought", type=int, nargs="+", default=[0, 62, 132, 189, 1000], metavar="N", help="numbers of labels")
    args = parser.parse_args()
    sets = read_sets(QUICK, ROOT / "data" / "quick", cache=ROOT / "data" / ".cache")
    started = time.perf_counter()
    cell(sets, args.pipeline, 0, 0, args.threads)
    print(f"first cell: {time.perf_counter() - started:.2f} s, with the embedding of images that were not embedded yet")
    for bought in args.bought:
        wall, cpu = time.perf_counter(), time.process_time()
        found = t_interval([cell(sets, args.pipeline, bought, seed, args.threads) for seed in range(args.seeds)])
        wall, cpu = (1000 * (now - then) / args.seeds for now, then in ((time.perf_counter(), wall), (time.process_time(), cpu)))
        print(f"{bought} bought: macro F1 {found}; {wall:.0f} ms per cell, {cpu:.0f} ms of processor time", flush=True)


if __name__ == "__main__":
    main()
