"""What starting weights are worth: macro F1 on painted sheets after ten epochs on a few hundred images, with them and without.

    python -m experiments.studies.transfer --weights FILE.safetensors --device cuda

The recipe is plain on purpose (batches of 16, one-cycle AdamW, flips and quarter turns) and the same for all starting weights;
training images, order and initial head are the same for each seed, so that differences are paired. Three figures per row: macro F1
at thresholds of 0.5, macro F1 at thresholds that predict each class as often as it occurs in the training labels, and the mean
average precision, which needs no threshold. The first line is the best constant prediction, the floor of every macro F1. Figures
are mean and standard deviation over seeds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace

import numpy as np
from sklearn.metrics import average_precision_score, f1_score

from evaluator.cli.parsing import Prose
from evaluator.data.painted import Generator
from evaluator.training.loop import train
from evaluator.training.pipeline import Augmentation, Pipeline
from evaluator.training.predict import decide, predict

RECIPE = Pipeline(
    name="transfer",
    image_size=64,
    batch_size=16,
    epochs=10,
    learning_rate=1e-3,
    augmentation=Augmentation(horizontal_flip=True, vertical_flip=True, quarter_turns=True),
    threshold="base_rate",
)


def painted(split: str, count: int, seed: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 images (n, size, size, 3) and labels (n, k)."""
    images, labels = zip(*(Generator(seed=seed, size=size).sample(split, index) for index in range(count)), strict=True)
    return np.stack(images), np.stack(labels)


def figures(pipeline: Pipeline, data: tuple[np.ndarray, ...], seed: int, device: str) -> tuple[float, float, float]:
    """Macro F1 at 0.5 and at base-rate thresholds, and mean average precision, of one training."""
    images, labels, test_images, truth = data
    trained = train(pipeline, images, labels, seed=seed, device=device)
    found = predict(trained, test_images)
    half = f1_score(truth, decide(found, np.full(truth.shape[1], 0.5)), average="macro", zero_division=0)
    matched = f1_score(truth, decide(found, trained.thresholds), average="macro", zero_division=0)
    return float(half), float(matched), float(average_precision_score(truth, found, average="macro"))


def main() -> None:
    """Train, and print a row per number of images, weights and learning rate."""
    parser = argparse.ArgumentParser(prog="python -m experiments.studies.transfer", description=__doc__, formatter_class=Prose)
    parser.add_argument("--weights", nargs="+", default=["procedural"], help="files, or procedural, imagenet; default: %(default)s")
    parser.add_argument("--architecture", default="efficientnet_b4")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--images", type=int, nargs="+", default=[160, 300])
    parser.add_argument("--test-images", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--learning-rates", type=float, nargs="+", default=[1e-3])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--no-baseline", action="store_true", help="do not train from random weights")
    args = parser.parse_args()
    test_images, truth = painted("test", args.test_images, 1, args.size)
    constant = f1_score(truth, np.ones_like(truth), average="macro", zero_division=0)
    print(
        f"all damages everywhere: macro F1 {constant:.3f} on {len(truth)} images; class rates {truth.mean(0).round(3)}", flush=True
    )
    for count in args.images:
        # Nested sets: a smaller set is the beginning of a larger set. Other seeds train on other images.
        sets = [painted(f"train {seed}", count, 1, args.size) for seed in range(args.seeds)]
        for weights in args.weights + ([] if args.no_baseline else ["none"]):
            for rate in args.learning_rates:
                pipeline = replace(
                    RECIPE,
                    architecture=args.architecture,
                    weights=weights,
                    image_size=args.size,
                    learning_rate=rate,
                    epochs=args.epochs,
                )
                began = time.process_time()
                rows = [figures(pipeline, (*data, test_images, truth), seed, args.device) for seed, data in enumerate(sets)]
                text = "  ".join(
                    f"{name} {statistics.mean(column):.3f} ± {statistics.stdev(column) if len(column) > 1 else 0:.3f}"
                    for name, column in zip(("F1@0.5", "F1@base", "mAP"), zip(*rows, strict=True), strict=True)
                )
                spent = (time.process_time() - began) / len(rows)
                print(f"n {count:4d}  rate {rate:g}  {text}  {spent:.0f} s of processor each  {weights}", flush=True)


if __name__ == "__main__":
    main()
