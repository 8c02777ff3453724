"""Fixtures: a tiny data set whose damages are bright rows of pixels, sessions and cells on it, submissions from text."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evaluator.purchase.profiles import Profile
from evaluator.purchase.rounds import ROUND2, Pair
from tests import durations

SUBMISSIONS = Path(__file__).with_name("submissions")
CLASSES = ROUND2.classes
TINY = Profile(
    name="tiny",
    round=ROUND2,
    sizes={"training": 16, "unlabelled": 80, "validation": 80, "debug": 6},
    image_size=8,
    budget_scale=0.02,
    seconds_per_minute=3.0,
    pairs=(Pair(621, 17), Pair(1321, 34)),
    pipeline="milliseconds",
    data_folder="tiny",
    data_seed=0,
    prediction_seconds=50.0,
)


def write_split(folder: Path, n: int, seed: int) -> None:
    """A split of 8 x 8 images: damage k brightens row k + 1, so that a linear model can learn it from a few dozen labels."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((n, len(CLASSES))) < 0.4).astype(int)
    images = rng.integers(70, 130, (n, 8, 8, 3), dtype=np.uint8)
    for k in range(len(CLASSES)):
        images[labels[:, k] == 1, k + 1] += 90
    (folder / "images").mkdir(parents=True)
    lines = [",".join(("filename", *CLASSES))]
    for i in range(n):
        name = f"{i:04d}.png"
        Image.fromarray(images[i]).save(folder / "images" / name)
        lines.append(",".join((name, *map(str, labels[i]))))
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def write_data(folder: Path, sizes: dict[str, int]) -> Path:
    """All splits of a tiny data set."""
    for seed, (name, n) in enumerate(sizes.items()):
        write_split(folder / name, n, seed)
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the longest tests first: each runs in one process, and a long file that begins last leaves the others idle."""
    seconds = durations.of_files()
    items.sort(key=lambda item: -seconds.get(item.path.relative_to(durations.FILE.parents[1]).as_posix(), 0.0))


@pytest.fixture(scope="session")
def tiny() -> Profile:
    """A profile of 8 px images: ``621:17`` is 12 labels, far more seconds than anything here needs."""
    return TINY


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory) -> Path:
    """The data of ``tiny`` on disk."""
    return write_data(tmp_path_factory.mktemp("data") / "tiny", TINY.sizes)


@pytest.fixture(scope="session")
def sets(data_folder, tmp_path_factory):
    """The data of ``tiny``, read and decoded."""
    from evaluator.purchase.sets import read_sets

    return read_sets(TINY, data_folder, cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture
def submission(tmp_path) -> Callable[..., Path]:
    """Write a submission: files by name (the dot of the suffix is a double underscore), its folder comes back."""
    count = 0

    def write(text: str, **others: str) -> Path:
        nonlocal count
        count += 1
        folder = tmp_path / f"submission{count}"
        folder.mkdir()
        (folder / "run.py").write_text(textwrap.dedent(text))
        for name, content in others.items():
            (folder / name.replace("__", ".")).write_text(textwrap.dedent(content))
        return folder

    return write


@pytest.fixture
def strategy(submission) -> Callable[..., Path]:
    """Write a submission whose class holds the methods given, under the imports given; buys nothing unless told to."""

    def write(methods: str, top: str = "") -> Path:
        body = textwrap.indent(textwrap.dedent(methods), "    ")
        default = "" if "def purchase_phase" in methods else "    def purchase_phase(self):\n        pass\n"
        head = "import json, os, sys, time\nimport numpy as np\nfrom run import ZEWDPCBaseRun\n" + textwrap.dedent(top)
        tell = "\ndef tell(value):\n    print('TOLD', json.dumps(value), flush=True)\n"
        return submission(f"{head}{tell}\nclass Strategy(ZEWDPCBaseRun):\n{default}{body}\n")

    return write


@pytest.fixture(scope="session")
def told() -> Callable[[Any], list[Any]]:
    """What a strategy said with ``tell``, out of a session's result or a log."""

    def read(source: Any) -> list[Any]:
        text = source if isinstance(source, str) else source.log
        return [json.loads(line[5:]) for line in text.splitlines() if line.startswith("TOLD ")]

    return read


@pytest.fixture
def session(sets):
    """Run the phases of a submission, without any training."""
    from evaluator.purchase.session import run_session
    from evaluator.purchase.session_spec import SessionSpec
    from evaluator.sandbox.process import ProcessSandbox

    def run(path: Path, *, budget: int = 12, order=None, sold=None, sandbox=None, progress=lambda what, share: None, **changes):
        pool = sets.splits["unlabelled"].labels
        order = np.arange(len(pool)) if order is None else order
        settings = {"seconds": 50.0, "prediction_seconds": 50.0, "load_seconds": 50.0, "seed": 7} | changes
        spec = SessionSpec(
            submission=path,
            classes=CLASSES,
            training=sets.images["training"],
            training_labels=sets.splits["training"].labels,
            pool=sets.images["unlabelled"],
            order=order,
            prediction=sets.images["debug"],
            sold=pool if sold is None else sold,
            budget=budget,
            **settings,
        )
        return run_session(spec, sandbox or ProcessSandbox(), progress)

    return run


@pytest.fixture
def cell_spec(sets):
    """The spec of one cell on ``tiny``."""
    from evaluator.purchase.spec import PurchaseSpec
    from evaluator.submission.source import read_source
    from evaluator.training.recipes import PIPELINES

    def make(path: Path, **changes):
        source = read_source(path)
        settings = {
            "submission": source.name,
            "submission_digest": source.digest,
            "profile": TINY,
            "pair": TINY.pairs[0],
            "seed": 0,
            "root_seed": 1,
            "pipeline": PIPELINES["milliseconds"],
            "weights": "none",
            "data": sets.digests(),
            "score_split": "validation",
            "tier": "process",
            "device": "cpu",
            "threads": 1,
        }
        return PurchaseSpec(**(settings | changes))

    return make


@pytest.fixture
def cell(sets, cell_spec):
    """Run one cell on ``tiny``: (result, log). ``sold`` and ``weights_dir`` go to its inputs, everything else to its spec."""
    from evaluator.purchase.cell import run_cell
    from evaluator.purchase.purchased import PurchaseInputs
    from evaluator.sandbox.process import ProcessSandbox

    def run(path: Path, *, sold=None, weights_dir=None, progress=lambda what, share: None, **changes):
        inputs = PurchaseInputs(path, sets, ProcessSandbox(), weights_dir=weights_dir, sold=sold)
        result, log = run_cell(cell_spec(path, **changes), inputs, progress)
        return result.as_dict(), log

    return run


@pytest.fixture
def ready(monkeypatch, tmp_path, data_folder):
    """Make a sweep on ``tiny`` ready; ``changes`` are settings and the purchase track's own options."""
    from evaluator.purchase import profiles
    from evaluator.purchase.track import PURCHASE
    from evaluator.sweep.experiment import prepare
    from evaluator.sweep.settings import Settings

    monkeypatch.setitem(profiles.PROFILES, "tiny", TINY)

    def make(*submissions: Path, out: Path | None = None, **changes):
        given = {"profile": "tiny", "sandbox": "process", "device": "cpu", "workers": 2, "data": data_folder, "public_seeds": True}
        given |= {"pipelines": ("milliseconds",), "out": out or tmp_path / "results"} | changes
        own = {name: given.pop(name, option.default) for name, option in PURCHASE.options.items()}
        return prepare(
            PURCHASE, Settings(submissions or (SUBMISSIONS / "random_buyer.py",), own, **given), folder=tmp_path / "data"
        )

    return make
