"""Suspects: planted mistakes are found, votes say how far the count can be trusted, and the real case is the known case."""

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from evaluator.audit.ballots import read_ballot
from evaluator.audit.benchmark import Benchmark
from evaluator.audit.data_files import suspects_as_dict, write_suspects
from evaluator.audit.out_of_sample import Folds, cross_validated, read_features, read_probabilities
from evaluator.audit.reading import Reading
from evaluator.audit.sheet import CHOICES, chosen, find_pictures, read_suspects, write_sheets
from evaluator.audit.suspects import find_suspects
from evaluator.audit.trust import trust
from evaluator.audit.votes import Decision, Rule, decide
from evaluator.errors import ConfigurationError, DataError

pytest.importorskip("cleanlab", reason="pip install -r requirements-audit.txt")
CIFAR = Path(__file__).resolve().parents[3] / "shared" / "data" / "cifar10-label-errors"


def blobs(n=240, classes=3, wrong=18, seed=0):
    """Features in well separated clouds, and labels of which the last ``wrong`` rows are of another cloud."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % classes
    x = rng.normal(size=(n, 4)) * 0.6 + 3 * np.eye(4)[truth]
    given = truth.copy()
    given[-wrong:] = (given[-wrong:] + 1) % classes
    return x, truth, given


@pytest.mark.parametrize("model", ["logistic", "neighbours", "forest"])
def test_planted_mistakes_are_the_suspects(model):
    x, truth, given = blobs()
    p = cross_validated(x, given, 3, Folds(model, folds=3))[0]
    found = find_suspects(given, p, "abc")
    wrong = np.flatnonzero(truth != given)
    assert np.isin(found.order[: found.count], wrong).mean() > 0.85
    assert np.isin(wrong, found.order[: len(wrong)]).mean() > 0.85
    assert (found.suggested[wrong].argmax(axis=1) == truth[wrong]).mean() > 0.85
    assert not found.suggested[np.arange(len(given)), given].any(), "what was given is never suggested"
    assert 0.03 < max(row.wrong for row in found.classes) < 0.2


def test_no_fold_sees_what_it_is_asked_about():
    """Labels that are pure chance cannot be predicted out of sample; a neighbour that saw the row would know it."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(300, 3)), rng.integers(0, 2, 300)
    p = cross_validated(x, y, 2, Folds("forest", folds=2))[0]
    assert (p.argmax(1) == y).mean() < 0.62
    first, second = cross_validated(x, y, 2, Folds("logistic", repeats=2))
    assert not np.array_equal(first, second), "every repeat draws its folds anew"


def test_a_class_that_nobody_has_takes_part_in_nothing():
    x, _, given = blobs()
    p = cross_validated(x, given, 3, Folds(folds=3))[0]
    wider = np.insert(p, 1, 0.0, axis=1)
    moved = np.array([0, 2, 3])[given]
    plain, found = find_suspects(given, p, "abc"), find_suspects(moved, wider, "axbc")
    assert np.array_equal(plain.order, found.order)
    assert [row.name for row in found.classes] == [row.name for row in plain.classes]


def test_several_labels_an_image_are_looked_at_class_by_class():
    rng = np.random.default_rng(2)
    truth = rng.random((400, 3)) < 0.4
    x = truth * 3.0 + rng.normal(size=truth.shape) * 0.7
    given = truth.copy()
    given[:20, 0] ^= True
    p = cross_validated(x, given.astype(int), 3, Folds(folds=4))[0]
    found = find_suspects(given.astype(int), p, "abc")
    assert np.isin(found.order[: found.count], np.arange(20)).mean() > 0.8
    assert np.isin(np.arange(20), np.flatnonzero(found.flagged)).mean() > 0.8
    assert (found.suggested != given).any(axis=1).all(), "another set is suggested for every image, controls included"
    assert found.classes[0].name == "a"


@pytest.mark.parametrize(
    ("labels", "p", "message"),
    [
        ([0, 1], [[0.5, 0.5]], "shape is"),
        ([0, 1], [[0.5, 0.6], [0.5, 0.5]], "row 0 sums to 1.1"),
        ([0, 1], [[0.5, 0.5], [1.5, -0.5]], "row 1 holds a value that is no probability"),
        ([0, 1], [[0.5, 0.5], [np.nan, 0.5]], "row 1 holds a value"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "0 to 2 were seen"),
    ],
)
def test_probabilities_that_do_not_fit_are_refused(labels, p, message):
    with pytest.raises(ConfigurationError, match=message):
        find_suspects(np.array(labels), np.array(p, float), "ab")


def test_files_of_probabilities_and_features_follow_the_ids(tmp_path):
    benchmark = Benchmark(("a", "b", "c"), np.array([0, 1, 0]), ("x", "y"))
    table = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    turned = [2, 0, 1]
    np.savez(tmp_path / "p.npz", ids=np.array(benchmark.ids)[turned], probabilities=table[turned])
    lines = [f"{name},{a},{b}" for name, (a, b) in zip(benchmark.ids, table, strict=True)]
    (tmp_path / "p.csv").write_text("\n".join(["id,score0,score1", *reversed(lines)]) + "\n")
    for name in ("p.npz", "p.csv"):
        assert np.array_equal(read_probabilities(tmp_path / name, benchmark, Reading()), table)
    np.savez(tmp_path / "f.npz", ids=np.array(benchmark.ids)[turned], features=np.arange(12).reshape(3, 2, 2)[turned])
    assert np.array_equal(read_features(tmp_path / "f.npz", benchmark, Reading()), np.arange(12.0).reshape(3, 4))
    np.savez(tmp_path / "short.npz", ids=np.array(["a", "b"]), probabilities=table[:2])
    with pytest.raises(ConfigurationError, match=r"1 id missing \(c\)"):
        read_probabilities(tmp_path / "short.npz", benchmark, Reading())


def decision(name, given, labels, votes=5):
    given, labels = frozenset(given), None if labels is None else frozenset(labels)
    return Decision(name, given, votes, 0, (), labels, None if labels is not None else "tie")


def test_trust_counts_what_was_voted_and_bounds_what_was_not():
    decisions = [
        decision("a", [1], [1]),
        decision("b", [1], [2]),
        decision("c", [1], [1, 2]),
        decision("d", [1], None),
        decision("x", [1], []),
        decision("y", [1], [1]),
    ]
    found = trust(list("abcdefxy"), list("abcdef"), decisions)
    assert (found.voted, found.kept, found.wrong, found.several, found.undecided) == (4, 1, 1, 1, 1)
    assert found.unvoted == ("e", "f")
    assert found.precision.value == pytest.approx(1 / 3)
    assert found.bounds == pytest.approx((1 / 6, 4 / 6))
    assert (found.controls, found.missed.hits, found.missed.n) == (2, 1, 2)
    both = trust(["a"], ["a"], [decision("a", [1], [1, 2])], multi=True)
    assert both.wrong == 1, "where an image may have several labels, a set that lacks a label is wrong"


@pytest.fixture
def asked(tmp_path):
    """A table of suspects, its benchmark and pictures."""
    x, _, given = blobs()
    p = cross_validated(x, given, 3, Folds(folds=3))[0]
    benchmark = Benchmark(tuple(f"i{n:03d}" for n in range(len(given))), given, ("ape", "bat, brown", "=cat"), "r1")
    found = find_suspects(given, p, benchmark.classes)
    write_suspects(tmp_path, benchmark, found, p, np.ones(len(given)))
    content = suspects_as_dict(benchmark, found, {}, None)
    assert json.loads(json.dumps(content))["flagged"] == found.count
    return tmp_path, benchmark, found


def test_a_sheet_hides_which_images_are_suspect(asked):
    folder, benchmark, found = asked
    rows, flagged = read_suspects(folder / "suspects.csv")
    assert flagged == found.count
    assert [row.id for row in rows] == [benchmark.ids[n] for n in found.order]
    shown = chosen(rows, flagged, most=10, controls=5, root=1)
    assert len(shown) == 15
    assert {row.id for row in shown} & {row.id for row in rows[10:flagged]} == set(), "suspects beyond --most are no controls"
    places = [place for place, row in enumerate(shown) if row in rows[:10]]
    assert places != list(range(10))
    assert shown == chosen(rows, flagged, most=10, controls=5, root=1)
    assert shown != chosen(rows, flagged, most=10, controls=5, root=2)
    with pytest.raises(ConfigurationError, match="would be empty"):
        chosen(rows, flagged, most=0, controls=0, root=1)
    write_sheets(shown, benchmark.classes, folder / "sheet", None, title="t")
    table = list(csv.DictReader((folder / "sheet" / "sheet.csv").open()))
    assert not {"quality", "flagged", "p_given"} & set(table[0])
    tasks = json.loads((folder / "sheet" / "label-studio.json").read_text())
    assert [task["data"]["id"] for task in tasks] == [row["id"] for row in table]
    config = (folder / "sheet" / "label-studio.xml").read_text()
    assert {tag.get("toName", "image") for tag in ElementTree.fromstring(config)} == {"image"}
    assert all(f'<Choice value="{choice}"/>' in config for choice in CHOICES)
    assert {word for word in ("image", "question") if f"${word}" in config} == {"image", "question"}


def test_votes_on_a_sheet_come_back(asked):
    folder, benchmark, found = asked
    rows, flagged = read_suspects(folder / "suspects.csv")
    write_sheets(chosen(rows, flagged, most=4, controls=2, root=0), benchmark.classes, folder, None, title="t")
    table = list(csv.DictReader((folder / "sheet.csv").open()))
    for voter in ("ann", "bo"):
        lines = [f"{row['id']},suggested,{voter}" for row in table]
        (folder / f"{voter}.csv").write_text("\n".join(["id,vote,voter", *lines]) + "\n")
    votes = read_ballot([folder / "ann.csv", folder / "bo.csv"], benchmark.classes, sheets=[folder / "sheet.csv"])
    said = {d.id: d.labels for d in decide(votes, Rule())}
    place = {name: n for n, name in enumerate(benchmark.ids)}
    assert said == {name: frozenset(np.flatnonzero(found.suggested[place[name]]).tolist()) for name in said}
    assert len(said) == 6


def test_a_sorted_table_of_suspects_is_refused(asked):
    folder, *_ = asked
    lines = (folder / "suspects.csv").read_text().splitlines()
    (folder / "sorted.csv").write_text("\n".join([lines[0], *sorted(lines[1:], key=lambda line: line.split(",")[1])]) + "\n")
    with pytest.raises(ConfigurationError, match="Do not sort"):
        read_suspects(folder / "sorted.csv")


def test_pictures_are_found_by_every_name_that_is_unique(tmp_path):
    from PIL import Image

    for name in ("one/a.png", "two/b.png", "two/same.png", "one/same.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (12, 8), (10, 20, 30)).save(tmp_path / name)
    found = find_pictures(tmp_path)
    assert {name: found.of(name) is not None for name in ("a", "a.png", "one/a.png", "one/a", "one/same")} == dict.fromkeys(
        ("a", "a.png", "one/a.png", "one/a", "one/same"), True
    )
    assert found.lacking(["b", "same", "c"]) == ["same", "c"]
    rows = read_rows(["a", "same"])
    with pytest.raises(DataError, match=r"1 image of the sheet has no picture \(same\)"):
        write_sheets(rows, ["x", "y"], tmp_path / "out", found, title="t")
    assert not (tmp_path / "out").exists(), "nothing is written before everything is there"
    write_sheets(read_rows(["a"]), ["x", "y"], tmp_path / "out", found, title="t", prefix="/data/local-files/?d=")
    tasks = json.loads((tmp_path / "out" / "label-studio.json").read_text())
    assert tasks[0]["data"]["image"] == "/data/local-files/?d=one/a.png", "no place of this machine stands in the tasks"
    assert "data:image/jpeg" in (tmp_path / "out" / "sheet.html").read_text()
    np.savez(tmp_path / "images.npz", ids=np.array(["a"]), images=np.zeros((1, 8, 8), np.uint8))
    assert find_pictures(tmp_path / "images.npz").of("a").shape == (8, 8)


def read_rows(names):
    from evaluator.audit.sheet import Asked

    return [Asked(name, "0", "1", "x", "y") for name in names]


@pytest.mark.skipif(not CIFAR.is_dir(), reason=f"{CIFAR} is not here")
def test_cifar_10_has_the_known_flags_and_the_known_votes():
    labels = np.load(CIFAR / "original_labels.npy")
    found = find_suspects(labels, np.load(CIFAR / "cross_validated_probabilities.npy"), tuple("0123456789"))
    assert found.count == 284
    decisions = decide(read_ballot([CIFAR / "human_votes.json"]), Rule(votes=3))
    assert len(decisions) == 275
    assert sum(d.keeps for d in decisions) == 221
    assert sum(d.labels is not None and len(d.labels) == 1 and not d.keeps for d in decisions) == 18
    assert sum(d.labels == frozenset() for d in decisions) == 4
    assert sum(d.labels is None for d in decisions) == 32
    ranked = [str(row) for row in found.order]
    trusted = trust(ranked, ranked[:284], decisions)
    assert (trusted.voted, len(trusted.unvoted)) == (240, 44)
    assert (trusted.wrong, trusted.precision.n) == (19, 210)
    assert trusted.of_voted.interval == pytest.approx((0.0513, 0.1203), abs=5e-4)
