"""Label issues on the real numerals, where they are present, against one person's cleaning of them.

    python -m pytest -n0 -s -m endurance tests/curation/test_real_issues.py

prints the table of docs/curation-tools.md.
"""

import hashlib
import tarfile
import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest

from evaluator.curation.held_out import HeldOut, held_out_probabilities
from evaluator.curation.issues import find_issues
from evaluator.curation.toolset import read_toolset
from evaluator.curation.trust import agreement, precision, read_verdicts, write_sample
from evaluator.training.lite import PACKAGES

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "roman-numerals"


def installed() -> bool:
    try:
        distribution(PACKAGES["timm/tf_efficientnet_lite0"].package)
    except PackageNotFoundError:
        return False
    return True


pytestmark = [
    pytest.mark.endurance,
    pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not here"),
    pytest.mark.skipif(not installed(), reason="pip install -r requirements-lite.txt"),
]
pytest.importorskip("cleanlab", reason="pip install -r requirements-cleaning.txt")
EXPECTED = {32: (974, 0.43, 0.720), 64: (445, 0.61, 0.765), 112: (367, 0.63, 0.798)}
"""By size in pixels: labels flagged, share of the worst 142 that the cleaning changed, area under the ROC curve."""


@pytest.fixture(scope="module")
def numerals(tmp_path_factory):
    """The raw data, and for each image whether the careful cleaning changed its label or left it out."""
    folder = tmp_path_factory.mktemp("numerals")
    with tarfile.open(SHARED / "roman-numerals.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    labels: dict[str, set[str]] = {}
    for path in (folder / "hand_cleaned").rglob("*.png"):
        labels.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), set()).add(path.parent.name)
    data = read_toolset(folder / "raw")
    names = [hashlib.sha256((folder / "raw" / name).read_bytes()).hexdigest() for name in data.images.ids]
    changed = [name.split("/")[1] not in labels.get(digest, ()) for name, digest in zip(data.images.ids, names, strict=True)]
    return data, np.array(changed)


@pytest.mark.parametrize("size", sorted(EXPECTED))
def test_the_stronger_the_features_the_nearer_is_the_count(numerals, size, tmp_path):
    from sklearn.metrics import roc_auc_score

    data, changed = numerals
    assert (len(changed), int(changed.sum())) == (2_880, 333)
    started = time.process_time()
    issues = find_issues(
        data.images.ids, data.classes, data.labels, held_out_probabilities(data, HeldOut(size=size), tmp_path / "cache")
    )
    seconds = time.process_time() - started
    hits, found = agreement(issues.flagged, changed)
    worst = issues.worst_first()
    right = issues.probabilities.argmax(axis=1) == data.labels
    area = roc_auc_score(changed, -issues.quality)
    print(
        f"\n| {size} | {seconds:.0f} | {right.mean():.3f} / {right[~changed].mean():.3f} | {issues.flagged.sum()} | {hits:.2f} / "
        f"{found:.2f} | {changed[worst[:142]].mean():.2f} | {changed[worst[:288]].mean():.2f} | {area:.3f} |"
    )
    flagged, share, expected = EXPECTED[size]
    assert issues.flagged.sum() == pytest.approx(flagged, rel=0.05)
    assert changed[worst[:142]].mean() == pytest.approx(share, abs=0.03)
    assert area == pytest.approx(expected, abs=0.01)
    # What a person would learn by checking 60 of the 142.
    write_sample(issues, worst[:142], tmp_path / "check.csv", 60, seed=0)
    truth = dict(zip(issues.ids, changed.tolist(), strict=True))
    lines = (tmp_path / "check.csv").read_text().splitlines()
    filled = [line + ("wrong" if truth[line.split(",")[0]] else "right") for line in lines[1:]]
    (tmp_path / "check.csv").write_text("\n".join([lines[0], *filled]) + "\n")
    estimate = precision(issues, worst[:142], read_verdicts(tmp_path / "check.csv"))
    print(f"checked: {estimate}")
    assert estimate.low <= changed[worst[:142]].mean() <= estimate.high
