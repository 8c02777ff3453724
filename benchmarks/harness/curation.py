"""What the curation track costs: steps and predictions of its fixed model, a plain port's beside them, and embedded data.

    python -m benchmarks.harness curation [--folder DIR] [--repeats 30] [--json FILE] [--page FILE]
    python -m benchmarks.harness curation --stored FILE --page FILE

Everything is measured in turns, in one process on one thread, in processor time. *Plain port* is the competition's program in
torch's own words: a data loader that opens, resizes and centres the files of each batch in every epoch (TensorFlow's
``image_dataset_from_directory`` does the same), batches of 8 with the channels outermost, automatic differentiation, Adam, and a
validation of the whole network. *Plain steps* is its part without the files. *Channels last* is the usual advice on top of that:
channels innermost, Adam as one call. *Kit* is ``evaluator/curation/steps.py``. Each measurement is of 40 images, of the embedded
numerals or of a folder ``<class>/*.png``. From the medians a training of the competition's size is projected: 100 epochs of 2,067
images and 813 validation images. ``--whole`` runs such trainings as well, of some epochs, two at a time in two processes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.pages import Region, write_json, write_text
from benchmarks.stopwatch.machine import described
from benchmarks.stopwatch.processor import processor_seconds
from evaluator.cli.parsing import Prose
from evaluator.curation.embedded import SIZES, made
from evaluator.curation.images import LabelledImages, read_images
from evaluator.curation.inputs import MEANS, centred, resized
from evaluator.curation.network import build_network
from evaluator.curation.recipes import RECIPES
from evaluator.curation.steps import ADAM_EPSILON, Stepper
from evaluator.curation.training import train_and_predict
from evaluator.data.png import stored_png
from evaluator.places import ROOT
from evaluator.report.format import markdown_rows
from evaluator.tables import Block
from evaluator.training.cpu.allocator import kept_memory
from evaluator.training.device import threads

COMMAND = "python -m benchmarks.harness curation"
FIGURES, PAGE = "benchmarks/results/curation.json", "docs/benchmarks.md"
REGION = Region("curation", COMMAND)
COUNT, BATCH, SIZE, RATE = 40, 8, 32, 1e-4
DATA = "quick"
EPOCHS, TRAIN, VALIDATION = 100, 2_067, 813
"""Of a training of the competition's size."""


class Files(Dataset[tuple[Tensor, int]]):
    """The plain port's images: files, opened and resized each time. Those that ``folder`` lacks are written there."""

    def __init__(self, folder: Path, images: LabelledImages) -> None:
        self.paths, self.labels = [folder / name for name in images.ids], images.labels.tolist()
        for path, pixels in zip(self.paths, images.pixels, strict=True):
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(stored_png(pixels))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        """Preprocessed, float32 (3, 32, 32), and the label."""
        with Image.open(self.paths[row]) as image:
            planes = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float()
        small = F.interpolate(planes[None], (SIZE, SIZE), mode="bilinear", align_corners=False)[0]
        return small.flip(0) - torch.tensor(MEANS).view(3, 1, 1), self.labels[row]


class Plain:
    """The network under automatic differentiation.

    Args:
        fast: channels innermost, and Adam as one call.
    """

    def __init__(self, fast: bool = False) -> None:
        network: nn.Module = build_network(10, 0)
        self.order = torch.channels_last if fast else torch.contiguous_format
        self.network = network.to(memory_format=self.order)
        self.optimizer = torch.optim.Adam(self.network.parameters(), RATE, eps=ADAM_EPSILON, fused=fast)

    def step(self, images: Tensor, labels: Tensor) -> float:
        """One step on preprocessed images; the loss before it."""
        self.network.train()
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.network(images.contiguous(memory_format=self.order)), labels)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Of preprocessed images."""
        self.network.eval()
        return self.network(images.contiguous(memory_format=self.order))


def ways(folder: Path, images: LabelledImages) -> dict[str, Callable[[], Any]]:
    """What is measured: each call works through ``COUNT`` images."""
    files = Files(folder, images)
    rows, labels = resized(images.pixels, SIZE), torch.from_numpy(images.labels.copy())
    inputs, parts = centred(rows), torch.arange(len(rows)).split(BATCH)
    port, plain, last = Plain(), Plain(), Plain(fast=True)
    kit = {precision: Stepper(build_network(10, 0), RATE, precision) for precision in ("float32", "bfloat16")}  # type: ignore[arg-type]

    def loaded(port: Plain) -> None:
        for given, goal in DataLoader(files, BATCH, shuffle=True, generator=torch.Generator().manual_seed(0)):
            port.step(given, goal)

    def predicted(port: Plain) -> None:
        for given, _ in DataLoader(files, BATCH):
            port.logits(given)

    def stepped(model: Plain | Stepper, given: Tensor) -> Callable[[], None]:
        return lambda: [model.step(given[part], labels[part]) for part in parts] and None

    return {
        "port": lambda: loaded(port),
        "plain": stepped(plain, inputs),
        "last": stepped(last, inputs),
        "float32": stepped(kit["float32"], rows),
        "bfloat16": stepped(kit["bfloat16"], rows),
        "port predicts": lambda: predicted(port),
        "float32 predicts": lambda: kit["float32"].logits(rows),
        "bfloat16 predicts": lambda: kit["bfloat16"].logits(rows),
    }


def measure(folder: Path | None, repeats: int, whole: int) -> dict[str, Any]:
    """All figures. ``whole``: epochs of the trainings that run two at a time; 0 for none."""
    before = processor_seconds()
    images = made(DATA, 0).train
    drawn = (processor_seconds() - before) / sum(SIZES[DATA].values()) * 1e3
    found: dict[str, Any] = {"images": COUNT, "repeats": repeats, "drawn": round(drawn, 3), "embedded": folder is None}
    if folder is not None:
        images = read_images(folder)
    chosen = images.take(np.random.default_rng(0).permutation(len(images))[:COUNT])
    with tempfile.TemporaryDirectory() as place, threads(1), kept_memory():
        works = ways(Path(place) if folder is None else folder, chosen)
        times: dict[str, list[float]] = {name: [] for name in works}
        for turn in range(repeats + 1):
            for name, work in works.items():
                before = processor_seconds()
                work()
                if turn:  # the first is not counted
                    times[name].append(round((processor_seconds() - before) / COUNT * 1e3, 3))
    found["times"] = times
    if whole:
        found["whole"] = {name: _side_by_side(name, whole) for name in ("fixed", "fixed-bf16")} | {"epochs": whole}
    return found


def _side_by_side(recipe: str, epochs: int) -> dict[str, float]:
    """Two trainings of the competition's size at the same time, seeds 0 and 1: seconds, and processor seconds of both."""
    command = [sys.executable, "-m", "benchmarks.harness", "curation", "--train", recipe, "--epochs", str(epochs)]
    started = time.perf_counter()
    runs = [subprocess.Popen([*command, "--seed", str(seed)], cwd=ROOT, stdout=subprocess.PIPE, text=True) for seed in range(2)]
    said = [json.loads(run.communicate()[0]) for run in runs]
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "trainings": [round(one["seconds"], 1) for one in said],  # type: ignore[dict-item]
        "processor": [round(one["processor"], 1) for one in said],  # type: ignore[dict-item]
    }


def train(recipe: str, epochs: int, seed: int) -> dict[str, Any]:
    """One training on the embedded numerals: seconds, processor seconds, accuracies."""
    from dataclasses import replace

    data = made("numerals", 0)
    before = processor_seconds()
    trained = train_and_predict(data.train, data.validation, {"test": data.test}, replace(RECIPES[recipe], epochs=epochs), 10, seed)
    test = float((trained.probabilities["test"].argmax(axis=1) == data.test.labels).mean())
    return {
        "seconds": trained.seconds,
        "processor": processor_seconds() - before,
        "validation": max(trained.validation_accuracy),
        "best_epoch": trained.best_epoch,
        "test": test,
    }


def page_text(stored: Mapping[str, Any]) -> str:
    """The part of the page with figures: command, hardware, and a table."""
    where = stored["machine"]
    middle = {name: statistics.median(of) for name, of in stored["times"].items()}
    lines = [
        f"`{where['command']}`; figures in `{FIGURES}`. {where['cores']} cores, {where['processor']}, {where['memory_gib']} GiB; "
        f"{where['system']}, Python {where['python']}, numpy {where['numpy']}, torch {where['torch']}; load average "
        f"{where['load'][0]} at the end. One process, one thread, processor time per image; medians, n = {stored['repeats']}, in "
        f"turns; images: {'embedded' if stored['embedded'] else 'of the folder'}. An embedded image is drawn in "
        f"{stored['drawn']:.1f} ms (n = 1).",
        "",
    ]
    named = {
        "port": "plain port, files opened in every epoch",
        "plain": "its steps alone",
        "last": "channels last, Adam as one call",
        "float32": "kit",
        "bfloat16": "kit, bfloat16",
    }
    guesses = {"port": "port predicts", "float32": "float32 predicts", "bfloat16": "bfloat16 predicts"}
    rows = []
    for name, text in named.items():
        seen = f"{middle[guesses[name]]:.2f} ms" if name in guesses else ""
        whole = f"{projected(middle, name, guesses[name]) / 60:.1f} min" if name in guesses else ""
        rows.append((text, f"{middle[name]:.2f} ms", f"{middle['port'] / middle[name]:.1f} times as fast", seen, whole))
    table = Block("", ("", "a training image", "against the port", "a predicted image", "100 epochs, projected"), tuple(rows))
    return "\n".join([*lines, *markdown_rows(table), *_whole_lines(stored), ""])


def projected(middle: Mapping[str, float], training: str, prediction: str) -> float:
    """Seconds of processor time of a training of the competition's size."""
    return EPOCHS * (TRAIN * middle[training] + VALIDATION * middle[prediction]) / 1e3


def _whole_lines(stored: Mapping[str, Any]) -> list[str]:
    if "whole" not in stored:
        return []
    epochs = stored["whole"]["epochs"]
    said = [
        f"{name}: {of['seconds']:.0f} s, of which {' and '.join(f'{one:.0f}' for one in of['processor'])} s of processor time"
        for name, of in stored["whole"].items()
        if name != "epochs"
    ]
    return ["", f"Two seeds side by side, {epochs} epochs, with reading and prediction (n = 1): {'; '.join(said)}."]


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and store."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__, formatter_class=Prose)
    parser.add_argument("--folder", type=Path, metavar="DIR", help="<class>/*.png to measure on (default: embedded numerals)")
    parser.add_argument("--repeats", type=int, default=30, help="measurements of each way (default: %(default)s)")
    parser.add_argument("--whole", type=int, default=0, metavar="EPOCHS", help="run trainings of so many epochs as well")
    parser.add_argument("--train", metavar="RECIPE", help="run one training alone, and print what it took")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of --train (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of --train (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="store the figures there")
    parser.add_argument("--stored", type=Path, metavar="FILE", help="measure nothing: take figures that were stored")
    parser.add_argument("--page", type=Path, metavar="FILE", help=f"write the part of {PAGE} that stands between the marks")
    args = parser.parse_args(arguments)
    if args.train:
        print(json.dumps(train(args.train, args.epochs, args.seed)))
        return
    if args.stored:
        figures = json.loads(args.stored.read_text(encoding="utf-8"))
    else:
        figures = measure(args.folder, args.repeats, args.whole) | {"machine": described("numpy", "torch")}
    print(json.dumps(figures, indent=1))
    if args.json:
        write_json(args.json, figures)
    if args.page:
        write_text(args.page, REGION.replaced(args.page.read_text(encoding="utf-8"), page_text(figures)))


if __name__ == "__main__":
    main()
