"""Does a profile measure what was bought? Full trainings of its pipeline on true, random and shuffled labels.

    python -m experiments.studies.learning [--profile quick] [--pair 1889:17] [--seeds 3] [--json FILE]

Three conditions with the same images, bought at random, the same seeds and the same initial weights:

``true``      the market sells true labels
``random``    the market sells the labels of other images; the training set has its true labels
``shuffled``  all labels, of the training set and bought, are those of other images: only class rates can be learnt

``training set only`` buys nothing. The best constant answer, which needs no training, is printed beside them.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.pages import write_json
from evaluator.cli.parsing import Prose
from evaluator.purchase.cell import train_and_score
from evaluator.purchase.ledger import Ledger, Purchase
from evaluator.purchase.profiles import profile_named
from evaluator.purchase.rounds import Pair
from evaluator.purchase.sets import RoundSets, provide_data, read_sets
from evaluator.purchase.spec import PurchaseSpec
from evaluator.scoring.intervals import t_interval
from evaluator.seeds import generator
from evaluator.training.recipes import PIPELINES


def ledger_of(labels: np.ndarray, chosen: np.ndarray) -> Ledger:
    """A ledger of the images ``chosen``, int (m,), with their rows of ``labels``, (pool, k)."""
    return Ledger([Purchase(i, int(c), int(c), 0.0, tuple(labels[c].tolist())) for i, c in enumerate(chosen)])


def shuffled_sets(sets: RoundSets, seed: int) -> RoundSets:
    """The same sets with the training labels shuffled among the images."""
    training = sets.splits["training"]
    order = generator(seed, "shuffled training labels").permutation(len(training))
    return replace(sets, splits=sets.splits | {"training": replace(training, labels=training.labels[order])})


def main() -> None:
    """Train under every condition, print the table."""
    parser = argparse.ArgumentParser(prog="python -m experiments.studies.learning", description=__doc__, formatter_class=Prose)
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--pair", default="1889:17")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pipeline")
    parser.add_argument("--json", type=Path, metavar="FILE", help="store the figures there")
    args = parser.parse_args()
    profile, pair = profile_named(args.profile), Pair.parse(args.pair)
    folder = Path("data") / profile.data_folder
    provide_data(profile, folder)
    sets = read_sets(profile, folder, cache=Path("data/.cache"))
    pool = sets.splits["unlabelled"].labels
    rows: dict[str, list[float]] = {"true": [], "random": [], "shuffled": [], "training set only": []}
    constant = 0.0
    for seed in range(args.seeds):
        spec = PurchaseSpec(
            submission="benchmark",
            submission_digest="",
            profile=profile,
            pair=pair,
            seed=seed,
            root_seed=2022,
            pipeline=PIPELINES[args.pipeline or profile.pipeline],
            weights="",
            data=sets.digests(),
            score_split=profile.round.score_split,
            tier="none",
            device="cpu",
            threads=args.threads,
        )
        rng = generator(2022, seed, "benchmark", "learning")
        chosen = rng.permutation(len(pool))[: profile.budget(pair)]
        others = pool[rng.permutation(len(pool))]
        conditions = {
            "true": (sets, ledger_of(pool, chosen)),
            "random": (sets, ledger_of(others, chosen)),
            "shuffled": (shuffled_sets(sets, seed), ledger_of(others, chosen)),
            "training set only": (sets, Ledger()),
        }
        for name, (used, ledger) in conditions.items():
            started = time.perf_counter()
            scored = train_and_score(spec, used.of(spec), ledger)
            constant = scored.constant
            rows[name].append(scored.metrics.macro_f1)
            assert scored.training is not None
            items, seconds = scored.training.n_items, time.perf_counter() - started
            print(f"seed {seed} {name:18} macro F1 {scored.metrics.macro_f1:.3f}  {items} items, {seconds:.1f} s", flush=True)
    print(
        f"\n{profile.name}, {pair.name}: macro F1 on {profile.sizes['validation']} images, mean and 95 % t-interval, n={args.seeds}"
    )
    print(f"{'best constant answer':22}{constant:.3f}")
    for name, values in rows.items():
        print(f"{name:22}{t_interval(values)}")
    if args.json:
        write_json(args.json, {"profile": profile.name, "pair": pair.name, "constant": constant, "macro_f1": rows})


if __name__ == "__main__":
    main()
