"""What a reader of a page has before its first block: files, and values for placeholders."""

from __future__ import annotations

import csv
import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

DIGITS = "digits-4v9-uniform-0.2"
"""An embedded task of the cleaning track."""

RANDOM = """from run import ZEWDPCBaseRun


class Mine(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset, budget):
        unlabelled_dataset.purchase_labels(range(min(budget, len(unlabelled_dataset))))
"""


CURATION = """from run import CurationRun


class Mine(CurationRun):
    def curate(self, dataset):
        return [{"id": dataset.ids[0], "action": "drop"}]
"""


def nothing(folder: Path) -> None:
    """A fresh copy of the kit."""


@dataclass(frozen=True)
class Setting:
    """What is there before a page is read.

    Attributes:
        prepare: writes files into the copy of the kit.
        given: values for placeholders, such as ``PATH``.
        names: makes the names that blocks of Python may use.
        statuses: commands that end with another status than 0, by their beginning.
    """

    prepare: Callable[[Path], None] = nothing
    given: dict[str, str] = field(default_factory=dict)
    names: Callable[[], dict[str, Any]] = dict
    statuses: dict[str, int] = field(default_factory=dict)


def kit(*words: str) -> None:
    """Run a verb of the kit, as part of a preparation."""
    from evaluator.cli.main import main

    assert main(list(words)) in (0, 1), words


def mine(folder: Path) -> None:
    (folder / "own").mkdir(exist_ok=True)
    (folder / "own" / "mine.py").write_text(RANDOM)


def archive(folder: Path) -> None:
    """An archive as the challenge gave it out, of all splits."""
    kit("data", "make", "--profile", "debug")
    with tarfile.open(folder / "training-v0.2-rc4.tar.gz", "w:gz") as file:
        for split in ("training", "unlabelled", "validation", "debug"):
            file.add(folder / "data" / "debug" / split, split)


def a_run(folder: Path) -> None:
    """A run of a strategy in ``results/``, and a file of a sweep."""
    import local_evaluation

    mine(folder)
    assert local_evaluation.main(["--submission", "own/mine.py", "--pair", "621:17"]) in (0, 1)
    (folder / "inbox").mkdir()
    (folder / "own" / "aicrowd.json").write_text(json.dumps({"submit_to": str(folder / "inbox")}))
    (folder / "sweep.toml").write_text('submissions = ["baselines/random", "own/mine.py"]\nprofile = "debug"\n')


def answers(folder: Path) -> None:
    """A run, the ledger of another on data that are used whole, and rankings for the tasks of an organiser's file."""
    import local_evaluation

    a_run(folder)
    kit("data", "make", "--profile", "debug")
    on = ["--profile", "official", "--data", "data/debug", "--starting-weights", "none", "--pair", "621:17", "--out", "bought"]
    assert local_evaluation.main(["--submission", "own/mine.py", *on]) in (0, 1)
    (bought,) = folder.glob("bought/*/purchases.csv")
    shutil.copy2(bought, folder / "ledger.csv")
    shutil.rmtree(folder / "bought")
    kit("cleaning", "download", "--folder", "cleaning", "--tasks", DIGITS)
    kit("cleaning", "create-baselines", "--folder", "cleaning", "--methods", "own_loss")
    (folder / "rankings").mkdir()
    shutil.copy2(folder / "cleaning" / "submissions" / f"{DIGITS}_own_loss.txt", folder / "rankings" / f"{DIGITS}.txt")
    shutil.rmtree(folder / "cleaning")
    (folder / "public.toml").write_text(f'profile = "digits"\ntasks = ["{DIGITS}"]\npublic_seeds = true\n')
    (folder / "publish").mkdir()
    (folder / "publish" / "profile.toml").write_text('name = "small"\nlike = "debug"\n')
    (folder / "publish" / "public.toml").write_text('profile = "profile.toml"\nseeds = 2\n')


def organisers(folder: Path) -> None:
    """Submissions of others, beside what participants have."""
    archive(folder)
    a_run(folder)
    for name in ("ada", "bob", "eve"):
        (folder / "theirs" / name).mkdir(parents=True)
        (folder / "theirs" / name / "run.py").write_text(RANDOM.replace("Mine", name.title()))
    shutil.copytree(folder / "theirs" / "ada", folder / "path" / "to" / "theirs")


def pets(folder: Path) -> None:
    """Photographs with three classes, in the layout that ``docs/files.md`` shows."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for split, count in (("training", 12), ("unlabelled", 60), ("validation", 20)):
        images = folder / "pets" / "images" / split / "images"
        images.mkdir(parents=True)
        rows = [["filename", "cat", "dog", "bird"]]
        for i in range(count):
            Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(images / f"{i}.png")
            rows.append([f"{i}.png", *map(str, rng.integers(0, 2, 3))])
        _table(images.parent / "labels.csv", rows)


def numerals(folder: Path) -> None:
    """A table of edits for the embedded numerals."""
    kit("curation", "make", "--folder", "numerals")
    (image, other, *_) = sorted((folder / "numerals" / "train").rglob("*.png"))
    rows = [[str(path.relative_to(folder / "numerals")) for path in (image,)] + ["drop", "", "", ""]]
    rows += [[str(other.relative_to(folder / "numerals")), "relabel", "vi", "", ""]]
    _table(folder / "edits.csv", [["id", "action", "label", "split", "file"], *rows])
    shutil.rmtree(folder / "numerals")
    (folder / "theirs").mkdir()
    (folder / "theirs" / "ada.py").write_text(CURATION)


def benchmark(folder: Path) -> None:
    """The labels of a test set, predictions of three models in three formats, corrections of two sources, votes."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    rng = np.random.default_rng(0)
    n, k = 400, 4
    truth = rng.integers(0, k, n)
    given = np.where(rng.random(n) < 0.08, (truth + 1) % k, truth)
    ids = [f"{i:04d}" for i in range(n)]
    _table(folder / "labels.csv", [["id", "label"], *([i, str(g)] for i, g in zip(ids, given, strict=True))])
    features = np.eye(k)[truth] * 3 + rng.normal(size=(n, k))
    np.savez(folder / "embeddings.npz", ids=np.array(ids), features=features.astype(np.float32))
    scores = np.exp(features) / np.exp(features).sum(1, keepdims=True)
    np.savez(folder / "p.npz", ids=np.array(ids), probabilities=scores)
    said = {name: np.where(rng.random(n) < share, truth, given) for name, share in (("a", 0.9), ("b", 0.5), ("c", 0.2))}
    _table(folder / "a.csv", [["id", "class"], *([i, str(c)] for i, c in zip(ids, said["a"], strict=True))])
    np.savez(folder / "b.npz", ids=np.array(ids), **{"class": said["b"]})
    pq.write_table(pa.table({"id": ids, "class": said["c"]}), folder / "c.parquet")
    wrong = [(i, g, t) for i, g, t in zip(ids, given, truth, strict=True) if g != t]
    _table(folder / "careful.csv", [["id", "originalLabel", "correction"], *([i, str(g), str(t)] for i, g, t in wrong)])
    _table(folder / "votes.csv", [["id", "originalLabel", "correction"], *([i, str(g), str(t)] for i, g, t in wrong[::2])])
    (folder / "published.json").write_text(json.dumps({"a": [76.1, 80.2, 90.0], "b": [75.9, 80.6, 90.4]}))
    (folder / "pictures").mkdir()
    for i in ids:
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / "pictures" / f"{i}.png")


def votes(folder: Path) -> None:
    """A benchmark, its suspects, and what three people voted on them."""
    benchmark(folder)
    kit("audit", "suspects", "--labels", "labels.csv", "--probabilities", "p.npz")
    kit("audit", "sheet", "--suspects", "audit/suspects.csv", "--images", "pictures/", "--most", "300", "--controls", "60")
    with open(folder / "audit" / "sheet.csv", newline="") as file:
        asked = [row["id"] for row in csv.DictReader(file)]
    for name in ("ann", "bo"):
        _table(folder / f"{name}.csv", [["id", "vote", "voter"], *([i, "given", name] for i in asked)])
    (folder / "export.json").write_text("[]")


def _table(path: Path, rows: list[list[str]]) -> None:
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)


def training_set() -> dict[str, Any]:
    """The names that stand in a phase."""
    from run import practice

    training, pool, _ = practice("debug")

    class Mine:
        def purchase_phase(self, unlabelled_dataset: Any, budget: int) -> None:
            unlabelled_dataset.purchase_labels(range(budget))

    return {"training_dataset": training, "unlabelled_dataset": pool, "Mine": Mine}


def pool_strategies() -> dict[str, Any]:
    from evaluator.strategies.activeml import PoolStrategy

    return {"PoolStrategy": PoolStrategy}


def a_round(folder: Path) -> None:
    """A judge's folder with a small public part."""
    (folder / "judge").mkdir()
    (folder / "judge" / "judge.toml").write_text('name = "Labels"\n')
    (folder / "judge" / "secret").write_text("0123456789abcdef" * 2 + "\n")
    (folder / "judge" / "public.toml").write_text('profile = "debug"\nseeds = 2\nsecret = "secret"\n')


SETTINGS: dict[str, Setting] = {
    "baselines/README.md": Setting(names=pool_strategies),
    "data/README.md": Setting(archive),
    "docs/audit.md": Setting(benchmark),
    "docs/audit-data.md": Setting(votes),
    "docs/cleaning.md": Setting(mine),
    "docs/codabench.md": Setting(a_round),
    "docs/curation.md": Setting(numerals),
    "docs/data-sets.md": Setting(mine),
    "docs/files.md": Setting(pets),
    "docs/organisers.md": Setting(organisers),
    "docs/participants.md": Setting(answers, {"PATH": "own/mine.py", "NAME.zip": "mine.zip", "DIR": "data/debug"}, training_set),
    "docs/troubleshooting.md": Setting(mine, {"PATH": "own/mine.py"}),
    "docs/write-a-strategy.md": Setting(mine, names=training_set),
}
"""By page; a page that is not here begins with a fresh copy of the kit."""
