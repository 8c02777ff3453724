"""Label issues: folds that share nothing, probabilities out of sample, planted mistakes found, and how far the count is trusted."""

import csv
import math

import numpy as np
import pytest

from evaluator.curation import trust
from evaluator.curation.folds import cross_validated, grouped_folds, linear_learner
from evaluator.curation.issues import find_issues, write_issues
from evaluator.curation.trust import precision, read_verdicts, strata_of, write_sample
from evaluator.errors import ConfigurationError

cleanlab = pytest.importorskip("cleanlab", reason="pip install -r requirements-cleaning.txt")
CLASSES = ("a", "b", "c")


@pytest.fixture(scope="module")
def planted():
    """Three clouds in 8 dimensions, a tenth of 600 labels wrong: features, given labels, whether each is wrong."""
    rng = np.random.default_rng(0)
    true = np.arange(600) % 3
    x = rng.normal(size=(600, 8)).astype(np.float32)
    x[:, :3] += 3 * np.eye(3)[true]
    wrong = rng.random(600) < 0.1
    return x, np.where(wrong, (true + rng.integers(1, 3, 600)) % 3, true), wrong


@pytest.fixture(scope="module")
def issues(planted):
    x, given, _ = planted
    folds = grouped_folds(given, np.arange(600), 5, 0)
    p = cross_validated(folds, 3, linear_learner(x, given, 3, 0.1))
    return find_issues([f"train/{i}.png" for i in range(600)], CLASSES, given, p)


def test_predictions_that_are_guesses_are_known_as_such(issues):
    assert not issues.guessed()
    some = np.random.default_rng(0).dirichlet(np.ones(3), 600)
    guesses = find_issues(issues.ids, CLASSES, issues.labels, some)
    assert guesses.flagged.sum() > 100, "so many are flagged"
    assert guesses.guessed()


@pytest.mark.parametrize("seed", range(5))
def test_folds_keep_equal_pixels_together_and_classes_even(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, 200)
    groups = np.arange(200)
    groups[100:130] = groups[:30]  # pairs, some of two labels
    groups[130:136] = groups[0]
    folds = grouped_folds(labels, groups, 5, seed)
    for group in np.unique(groups):
        assert len(set(folds[groups == group])) == 1
    table = np.array([[((folds == f) & (labels == c)).sum() for c in range(4)] for f in range(5)])
    assert np.ptp(table, axis=0).max() <= 6
    assert not np.array_equal(folds, grouped_folds(labels, groups, 5, seed + 1))


def test_too_many_folds_are_refused():
    with pytest.raises(ConfigurationError, match=r"--folds is 4; expected 2 to 3 \(there are 3 images that differ\)"):
        grouped_folds(np.zeros(5, int), np.array([0, 0, 1, 1, 2]), 4, 0)


def test_no_image_is_predicted_by_a_model_that_saw_it_or_its_copy():
    groups = np.arange(40) // 2
    folds = grouped_folds(np.arange(40) % 2, groups, 4, 0)

    def memory(learn, ask, fold):
        assert not set(groups[learn]) & set(groups[ask])
        assert len(learn) + len(ask) == 40
        return np.full((len(ask), 2), 0.5)

    assert np.isfinite(cross_validated(folds, 2, memory)).all()
    with pytest.raises(ValueError, match="expected finite"):
        cross_validated(folds, 2, lambda learn, ask, fold: np.full((len(ask), 2), np.nan))


def test_a_class_that_a_fold_lacks_has_probability_zero():
    x = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    labels = np.array([0] * 14 + [1] * 15 + [2])
    p = linear_learner(x, labels, 3, 0.1)(np.arange(29), np.arange(29, 30), 0)
    assert p[0, 2] == 0
    assert p.sum() == pytest.approx(1)
    assert linear_learner(x, labels, 3, 0.1)(np.arange(14), np.arange(3), 0).tolist() == [[1, 0, 0]] * 3


def test_planted_mistakes_are_found(planted, issues):
    _, given, wrong = planted
    hits, found = trust.agreement(issues.flagged, wrong)
    assert hits > 0.7
    assert found > 0.7
    worst = issues.to_drop(count=int(wrong.sum()))
    assert wrong[worst].mean() > 0.7
    assert np.array_equal(issues.to_drop(quality=0.3), issues.worst_first()[np.sort(issues.quality) < 0.3])
    assert 0.7 < issues.health < 1
    assert {row["class"] for row in issues.classes_health} == set(CLASSES)
    assert sum(row["images"] for row in issues.classes_health) == 600
    assert issues.overlaps[0]["images"] >= issues.overlaps[-1]["images"]
    assert issues.loss()[0] == pytest.approx(-math.log(issues.probabilities[0, given[0]]))


def test_labels_that_hold_together():
    rng = np.random.default_rng(0)
    true = rng.random((300, 3)) < 0.4
    true[~true.any(axis=1), 0] = True
    x = (3 * true + rng.normal(size=(300, 3))).astype(np.float32)
    given = true.astype(np.int64)
    wrong = np.zeros(300, bool)
    wrong[:20] = True
    given[:20, 1] ^= 1
    given[~given.any(axis=1), 2] = 1
    folds = grouped_folds(given.argmax(axis=1), np.arange(300), 5, 0)
    found = find_issues(list(map(str, range(300))), CLASSES, given, cross_validated(folds, 3, linear_learner(x, given, 3, 1.0)))
    assert wrong[found.to_drop(count=20)].mean() > 0.5
    assert found.predicted()[50] == ";".join(np.array(CLASSES)[found.probabilities[50] >= 0.5])
    assert found.overlaps == ()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda i: i.to_drop(), "expected one of them"),
        (lambda i: i.to_drop(count=600), "--drop is 600; expected 1 to 599"),
        (lambda i: i.to_drop(quality=1.5), "--drop-below is 1.5"),
        (lambda i: find_issues(i.ids, (*CLASSES, "d"), i.labels, np.eye(4)[i.labels]), "no image has the label d"),
        (lambda i: find_issues(i.ids, CLASSES, i.labels[:5], i.probabilities), "the labels are \\(5,\\)"),
    ],
)
def test_what_makes_no_sense_is_refused(issues, wrong, said):
    with pytest.raises(ConfigurationError, match=said):
        wrong(issues)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_the_table_is_worst_first(issues, tmp_path, ending):
    if ending == ".parquet":
        parquet = pytest.importorskip("pyarrow.parquet", reason="pip install -r requirements-cleaning.txt")
    path = tmp_path / f"issues{ending}"
    write_issues(issues, path, ["train"] * 600)
    if ending == ".csv":
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
    else:
        rows = parquet.read_table(path).to_pylist()
    assert [row["id"] for row in rows] == [issues.ids[i] for i in issues.worst_first()]
    assert sum(str(row["flagged"]).lower() == "true" for row in rows) == issues.flagged.sum()
    assert float(rows[0]["p(a)"]) + float(rows[0]["p(b)"]) + float(rows[0]["p(c)"]) == pytest.approx(1, abs=1e-5)
    with pytest.raises(ConfigurationError, match=r"expected \.csv or \.parquet"):
        write_issues(issues, tmp_path / "issues.txt")


# -- how far the count may be trusted


def test_a_checked_sample_gives_the_precision_back(planted, issues, tmp_path):
    _, _, wrong = planted
    listed = issues.worst_first()[:120]
    drawn = write_sample(issues, listed, tmp_path / "check.csv", 80, seed=1)
    assert drawn == 80
    with open(tmp_path / "check.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [sum(row["stratum"] == s for row in rows) for s in "1234"] == [20] * 4
    assert read_verdicts(tmp_path / "check.csv") == {}
    assert math.isnan(precision(issues, listed, {}).share)
    truth = {issues.ids[i]: "wrong" if wrong[i] else "right" for i in range(600)}
    for row in rows:
        row["verdict"] = truth[row["id"]].upper()
    with open(tmp_path / "check.csv", "w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    verdicts = read_verdicts(tmp_path / "check.csv")
    with open(tmp_path / "spreadsheet.csv", "w", newline="", encoding="utf-8-sig") as file:
        table = csv.DictWriter(file, rows[0], delimiter=";")
        table.writeheader()
        table.writerows(rows)
    assert read_verdicts(tmp_path / "spreadsheet.csv") == verdicts
    found = precision(issues, listed, verdicts)
    assert found.low < wrong[listed].mean() < found.high
    assert found.high - found.low < 0.25
    assert str(found).endswith("from 80 verdicts")
    shares = [wrong[part].mean() for part in strata_of(issues, listed)]
    assert [s.wrong / s.checked for s in found.strata] == pytest.approx(shares, abs=0.35)
    unclear = precision(issues, listed, dict.fromkeys(truth, "unclear"))
    assert (unclear.low, unclear.high, unclear.share) == (0.0, 1.0, 0.5)


def test_the_interval_holds_the_truth_about_as_often_as_it_says(issues, tmp_path):
    """400 samples of 40 from 120 labels, 30 % of them wrong, more so at the doubtful end."""
    listed = issues.worst_first()[:120]
    rng = np.random.default_rng(0)
    wrong = rng.random(120) < np.linspace(0.6, 0.0, 120)
    truth = {issues.ids[i]: "wrong" if w else "right" for i, w in zip(listed, wrong, strict=True)}
    parts = strata_of(issues, listed)
    held = 0
    for _ in range(400):
        chosen = np.concatenate([rng.choice(part, 10, replace=False) for part in parts])
        found = precision(issues, listed, {issues.ids[i]: truth[issues.ids[i]] for i in chosen})
        held += found.low <= wrong.mean() <= found.high
    assert held / 400 >= 0.95


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,verdict\nx,perhaps\n", "line 2: the verdict is 'perhaps'"),
        ("id,verdict\nx,wrong\nx,right\n", "line 3: a second verdict for x"),
        ("name,verdict\nx,wrong\n", "its columns are name, verdict"),
        ("", "its columns are nothing"),
    ],
)
def test_a_table_of_verdicts_that_is_none_is_refused(tmp_path, text, said):
    (tmp_path / "check.csv").write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        read_verdicts(tmp_path / "check.csv")


def test_verdicts_on_another_data_set_are_refused(issues):
    with pytest.raises(ConfigurationError, match="no such image"):
        precision(issues, np.arange(10), {"elsewhere.png": "wrong"})
    with pytest.raises(ConfigurationError, match="nothing to check"):
        write_sample(issues, np.zeros(0, int), None, 10, 0)


def test_figures_of_several_labels_are_those_of_cleanlab_without_another_process(monkeypatch):
    """Its own functions fork, which may hang where libraries have threads; they are asked here for what they give."""
    import multiprocessing

    from cleanlab.multilabel_classification.dataset import common_multilabel_issues, overall_multilabel_health_score

    rng = np.random.default_rng(1)
    true = rng.random((200, 3)) < 0.4
    true[~true.any(axis=1), 0] = True
    p = np.clip(0.8 * true + 0.1 + rng.normal(scale=0.1, size=true.shape), 0.01, 0.99)
    given = true.astype(np.int64)
    given[:15, 1] ^= 1
    given[~given.any(axis=1), 2] = 1
    listed = [np.flatnonzero(row).tolist() for row in given]
    monkeypatch.setattr("cleanlab.filter.psutil_exists", False)
    monkeypatch.setattr(multiprocessing, "cpu_count", lambda: 1)
    told = {
        (row["Class Index"], row["In Given Label"]): row["Num Examples"]
        for row in common_multilabel_issues(listed, p).to_dict("records")
    }
    health = overall_multilabel_health_score(listed, p)
    monkeypatch.setattr(multiprocessing, "Pool", None)
    found = find_issues(list(map(str, range(200))), CLASSES, given, p)
    rows = {row["class"]: row for row in found.classes_health}
    for c, name in enumerate(CLASSES):
        assert rows[name]["given, and doubtful"] == told[c, True]
        assert rows[name]["not given, and doubtful"] == told[c, False]
    assert found.health == pytest.approx(health)
    assert sum(told.values()) > 0
