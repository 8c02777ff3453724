"""Whole audits: planted errors are found again, planted nulls are noise, and what is shown says what was computed."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from audits import made, source

from evaluator.audit.benchmark import Benchmark
from evaluator.audit.corrections import Corrections
from evaluator.audit.page import audit_page
from evaluator.audit.pairs import pair_tests, possible_ranks, products, reversal_p
from evaluator.audit.predictions import Predictions
from evaluator.audit.rank import audit
from evaluator.audit.record import as_dict
from evaluator.audit.results import Settings
from evaluator.audit.sets import LabelSets
from evaluator.audit.shown import notes, views_blocks
from evaluator.audit.verdict import verdict_of
from evaluator.audit.views import Name, View
from evaluator.cli.main import main
from evaluator.errors import ConfigurationError

QUICK = Settings(draws=200, control_draws=100, rater_draws=100)
DRAWS = ("--draws", "200", "--control-draws", "100", "--rater-draws", "100")


def audited(all_of_it, settings=QUICK, **how):
    predictions = [p.aligned(all_of_it.benchmark) for p in all_of_it.predictions]
    return audit(all_of_it.benchmark, predictions, len(predictions), all_of_it.sources, settings=settings, **how)


def planted(n=1_200):
    """A benchmark of which a sixth is mislabelled: *memo* repeats the wrong labels, *honest* is right more often on the others."""
    rng = np.random.default_rng(1)
    true = rng.integers(0, 10, n)
    given = true.copy()
    wrong = np.arange(n) % 6 == 0
    given[wrong] = (true[wrong] + 1) % 10
    ids = tuple(f"im{number}" for number in range(n))
    benchmark = Benchmark(ids, given, tuple(map(str, range(10))), "planted")

    def model(name, on_true, on_wrong):
        miss = (true + 5) % 10
        follows = np.where(wrong, rng.random(n) < on_wrong, rng.random(n) < on_true)
        return Predictions(name, ids, np.where(wrong, np.where(follows, given, true), np.where(follows, true, miss)))

    models = [model("memo", 0.80, 0.95), model("honest", 0.92, 0.0), model("twin a", 0.75, 0.3), model("twin b", 0.75, 0.3)]
    truth = source(benchmark, [[label] for label in true.tolist()], "truth")
    return benchmark, models, truth


@pytest.fixture(scope="module")
def of_planted():
    benchmark, models, truth = planted()
    return audit(benchmark, models, len(models), [truth], settings=QUICK)


def test_a_planted_reversal_is_found_with_the_images_that_make_it(of_planted):
    verdict = verdict_of(of_planted)
    assert verdict.changed
    assert verdict.headline == "2 of 6 pairs of models change places beyond noise."
    assert verdict.sentences[0] == (
        "memo is ahead of honest with labels as given, and behind it beyond noise in 5 views by truth (corrected p 0.004 or less)."
    )
    assert all(sentence.endswith(".") and "  " not in sentence for sentence in verdict.sentences)
    views = {view.name: view for view in of_planted.views}
    assert views[Name.ALL].n == 1_200
    assert views[Name.CLEAN].n == 1_000
    for name in (Name.WITHOUT_MISLABELLED, Name.CLEAN, Name.CORRECTED, Name.REAL):
        swap = next(swap for swap in views[name].swaps if (swap.ahead, swap.behind) == ("memo", "honest"))
        assert swap.shown
        assert swap.p < 0.05
        assert swap.before.gap > 0 > swap.after.gap
        assert all(int(id_[2:]) % 6 == 0 for id_ in swap.images), "only mislabelled images make it"
        assert len(swap.images) > 150
        assert swap.after.low <= swap.after.gap <= swap.after.high < 0 < swap.before.low
    rows = {row.model: row for row in views[Name.REAL].rows}
    assert rows["honest"].rank == 1
    assert (rows["honest"].best, rows["honest"].worst) == (1, 1)
    assert rows["honest"].right == of_planted.views[0].n * rows["honest"].accuracy


def test_pairs_that_are_not_told_of_are_counted_by_what_they_are(of_planted, monkeypatch):
    monkeypatch.setattr("evaluator.audit.verdict.MOST", 1)
    said = verdict_of(of_planted).sentences[1]
    assert re.fullmatch(r"\d+ more pairs? changes? places, 1 of them beyond noise; the tables have them\.", said)


def test_every_row_of_a_view_names_the_view(of_planted):
    ranking, chance = views_blocks(of_planted)
    assert [row[:2] for row in ranking.rows] == [(view.source, view.name) for view in of_planted.views[1:]]
    assert [row[:2] for row in chance.rows] == [("truth", "without-mislabelled"), ("truth", "clean")]
    assert chance.headers == ("source", "view", "random", "matched")


def test_twins_are_noise_whatever_order_they_stand_in(of_planted):
    named = [swap for view in of_planted.views for swap in view.swaps if {swap.ahead, swap.behind} == {"twin a", "twin b"}]
    assert not any(swap.shown for swap in named)
    rows = {row.model: row for row in of_planted.views[0].rows}
    assert rows["twin a"].best <= 3 <= 4 <= rows["twin a"].worst


def test_leaving_out_what_only_one_model_repeats_is_no_random_exclusion(of_planted):
    clean = next(view for view in of_planted.views if view.name == Name.CLEAN)
    assert clean.random.below <= 1 / 50
    assert clean.random.median > clean.tau
    corrected = next(view for view in of_planted.views if view.name == Name.CORRECTED)
    assert corrected.random is None
    assert corrected.matched is None


def gap_in_one_view(rng, n=800, flagged=160):
    """A pair with a large gap on the flagged images and none on the others: the hardest case for a claim of a reversal."""
    right = rng.random((n, 2)) < 0.8
    right[:flagged, 0], right[:flagged, 1] = True, False
    out = np.arange(n) < flagged
    view = View("clean", "clean", "s", ~out, np.flatnonzero(out), np.zeros((flagged, 2), np.float32))
    return right, view


def claims(right, views):
    """p of every claim of a reversal, as an audit makes it."""
    base, joint = right.sum(axis=0).astype(float), products(right)
    before = pair_tests(base, joint, len(right))
    after = [pair_tests(base + view.change(right).sum(axis=0), products(right, view, joint), view.n) for view in views]
    return reversal_p(before, after), before


@pytest.mark.parametrize("runs", [400, pytest.param(5_000, marks=pytest.mark.endurance)])
def test_reversals_of_a_null_are_called_noise_at_the_stated_rate(runs):
    false = sum(bool((claims(*_each(seed))[0] < 0.05).any()) for seed in range(runs))
    # The gap without the flagged images is 0, and only one of its two directions would be a reversal: 2.5 % at most.
    assert 0.003 * runs < false < 0.025 * runs + 3 * (0.025 * runs) ** 0.5


def _each(seed):
    right, view = gap_in_one_view(np.random.default_rng(seed))
    return right, [view]


@pytest.mark.parametrize("runs", [200, pytest.param(3_000, marks=pytest.mark.endurance)])
def test_orders_of_equal_models_are_shown_at_the_stated_rate_at_most(runs):
    shown = turned = 0
    for seed in range(runs):
        rng = np.random.default_rng([seed, 1])
        right = rng.random((600, 6)) < 0.75
        out = rng.random(600) < 0.2
        view = View("clean", "clean", "s", ~out, np.flatnonzero(out), np.zeros((int(out.sum()), 6), np.float32))
        p, before = claims(right, [view])
        shown += bool((before.p_holm < 0.05).any())
        turned += bool((p < 0.05).any())
    assert shown <= 0.05 * runs + 3 * (0.05 * runs) ** 0.5
    assert turned <= 0.01 * runs + 3


def test_the_ranks_that_tests_leave_possible_hold_the_true_ranks_of_nearly_equal_models():
    runs, models, held = 200, 8, 0
    for seed in range(runs):
        rng = np.random.default_rng([seed, 4])
        right = rng.random((1_000, models)) < 0.75 - 0.002 * np.arange(models) + 0.5 * (rng.random((1_000, 1)) - 0.5)
        tests = pair_tests(right.sum(axis=0).astype(float), products(right), 1_000)
        best, worst = possible_ranks(tests.gap, tests.p_holm, models, 0.05)
        true = np.arange(1, models + 1)
        held += bool(((best <= true) & (true <= worst)).all())
    assert held >= 0.95 * runs - 3 * (0.05 * 0.95 * runs) ** 0.5


def test_a_planted_reversal_is_shown_in_most_draws():
    found = 0
    for seed in range(60):
        right, view = gap_in_one_view(np.random.default_rng([seed, 2]))
        rng = np.random.default_rng([seed, 3])
        right[160:, 1] |= rng.random(640) < 0.5
        found += bool((claims(right, [view])[0] < 0.05).any())
    assert found > 50


def test_one_model_has_accuracies_and_no_ranking():
    all_of_it = made(models=1)
    found = audited(all_of_it)
    assert verdict_of(found).changed is None
    assert found.views[0].tau is None
    assert audit_page(found).count("<svg") >= 1
    assert json.dumps(as_dict(found), allow_nan=False)


def test_equal_audits_give_equal_records_and_another_seed_other_intervals():
    all_of_it = made()
    first, second = (json.dumps(as_dict(audited(all_of_it))) for _ in range(2))
    assert first == second
    other = json.loads(json.dumps(as_dict(audited(all_of_it, Settings(200, 100, 100, seed=1)))))
    before = json.loads(first)
    assert [row["accuracy"] for row in before["views"][1]["models"]] == [row["accuracy"] for row in other["views"][1]["models"]]
    assert before["views"][1]["pairs"] != other["views"][1]["pairs"]


def test_the_record_holds_the_revision_with_every_figure():
    found = as_dict(audited(made(), conditions=[], leaks=None), {"labels.csv": "0" * 64})
    assert (found["schema"], found["version"]) == ("audit-rank", 1)
    assert found["files"] == {"labels.csv": "0" * 64}
    assert {view["revision"] for view in found["views"]} == {found["benchmark"]["revision"]} == {"r1"}
    assert found["family"] == 6 * (len(found["views"]) - 1)
    assert json.dumps(found, allow_nan=False)


def test_two_models_of_one_name_are_refused():
    all_of_it = made(models=2)
    twice = [all_of_it.predictions[0]] * 2
    with pytest.raises(ConfigurationError, match="two models 'model 0'"):
        audit(all_of_it.benchmark, twice, 2, [], settings=QUICK)


@pytest.mark.parametrize("bad", [{"draws": 10}, {"level": 1.0}, {"alpha": 0.0}, {"seed": -1}])
def test_settings_check_themselves(bad):
    with pytest.raises(ConfigurationError, match="expected"):
        Settings(**bad)


# -- the command


EVIL = '<b onmouseover="x">\x1b[31m‮'


@pytest.fixture
def files(tmp_path):
    """A benchmark as files: labels with a column, three models in three formats, corrections, answers, and images."""
    from PIL import Image

    all_of_it = made(n=120, models=3, sources=1)
    b = all_of_it.benchmark
    lines = [f"{id_},{label},{light}" for id_, label, light in zip(b.ids, b.labels, b.columns["light"], strict=True)]
    (tmp_path / "labels.csv").write_text("\n".join(["id,label,light", *lines]) + "\n")
    first, second, third = all_of_it.predictions
    np.savez(tmp_path / "one.npz", ids=np.array(b.ids), top=first.top)
    (tmp_path / f"{EVIL.replace('/', '')}.csv").write_text(
        "\n".join(["id,top1,top2,top3", *(f"{i},{','.join(map(str, row[:3]))}" for i, row in zip(b.ids, second.top, strict=True))])
    )
    np.save(tmp_path / "three.npy", third.top)
    (tmp_path / "ids.txt").write_text("\n".join(b.ids))
    sets = all_of_it.sources[0].sets
    rows = [f'{b.ids[i]},{b.labels[i]},"{",".join(map(str, sets[i])) or -1}"' for i in np.flatnonzero(all_of_it.sources[0].flagged)]
    (tmp_path / "fix.csv").write_text("\n".join(["id,originalLabel,correction", *rows]))
    answers = [
        f"{b.ids[i]},r{rater},{label},{int(label in sets[i]) if rater else 1 - int(label in sets[i])}"
        for i in range(60)
        for label in {int(b.labels[i]), (int(b.labels[i]) + 1) % 5}
        for rater in range(4)
    ]
    (tmp_path / "people.csv").write_text("\n".join(["id,rater,label,answer", *answers]))
    (tmp_path / "pictures" / "sub").mkdir(parents=True)
    for number, id_ in enumerate(b.ids):
        path = tmp_path / "pictures" / "sub" / f"{id_}.png"
        if number % 3:
            Image.new("RGB", (20, 12), (number, 90, 30)).save(path)
        else:
            path.write_bytes(b"no picture")
    return tmp_path


def command(files, *further):
    evil = next(path for path in files.iterdir() if path.name.startswith("<b"))
    return [
        "audit", "rank", "--labels", str(files / "labels.csv"), "--ids", str(files / "ids.txt"), "--classes", "5",
        "--predictions", str(files / "one.npz"), str(evil), f"deep={files / 'three.npy'}",
        "--corrections", str(files / "fix.csv"), str(files / "people.csv"), *DRAWS, *further,
    ]  # fmt: skip


def test_the_command_prints_tables_and_writes_a_page(files, capsys):
    page = files / "page.html"
    status = main(
        command(files, "--html", str(page), "--images", str(files / "pictures"), "--where", "light = dim", "--revision", "v<2>")
    )
    out = capsys.readouterr()
    assert status == 0, out.err
    assert "verdict: " in out.out
    assert "deep" in out.out
    assert "intersection" in out.out
    assert "\x1b[31m" not in out.out
    assert "revision v<2>" in out.out
    html = page.read_text()
    assert "<b onmouse" not in html
    assert "‮" not in html
    assert "v&lt;2&gt;" in html
    assert "<script" not in html
    assert "http" not in re.sub(r"http-equiv", "", html)
    if "pairs that change places</h2>" in html or "<img" in html:
        assert "data:image/jpeg" in html
        assert "could not be read as PNG or JPEG" in html


def test_the_command_prints_json_of_what_was_read(files, capsys):
    assert main(command(files, "--json", "--revision", "v2")) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["benchmark"] == {"revision": "v2", "images": 120, "classes": 5, "labels": "classes"}
    assert len(found["files"]) == 7
    assert found["models"][2] == "deep"
    people = next(source for source in found["sources"] if source["name"] == "people")
    assert (people["raters"], people["reviewed"]) == (4, 60)
    asked = [view for view in found["views"] if view["asked_tau"]]
    assert {view["source"] for view in asked} == {"people"}
    assert len(asked) == 4
    for row in asked[0]["models"]:
        assert row["asked"]["low"] <= row["accuracy"] + 0.1
        assert row["asked"]["high"] - row["asked"]["low"] > 0


def test_nothing_is_computed_or_written_where_an_input_is_bad(files, capsys, monkeypatch):
    monkeypatch.setattr("evaluator.audit.rank.resampled", lambda *how: pytest.fail("it computed"))
    page = files / "page.html"
    (files / "short.csv").write_text("id,class\nim0001,1\n")
    bad = [
        (["--predictions", str(files / "short.csv")], "119 ids missing"),
        (["--where", "light >"], "it ends too early"),
        (["--corrections", f"union={files / 'fix.csv'}"], "another name"),
        (["--corrections", str(files / "fix.csv")], "two files are called 'fix'"),
        (["--duplicates", str(files / "short.csv")], "unknown"),
        (["--agree", "1"], "--agree is 1"),
        (["--draws", "3"], "--draws is 3"),
    ]
    for further, said in bad:
        assert main(command(files, "--html", str(page), *further)) == 2
        err = capsys.readouterr().err
        assert said in err, err
        assert "\x1b" not in err
    assert not page.exists()


def test_a_folder_of_images_must_be_there(files, capsys):
    assert main(command(files, "--html", str(files / "p.html"), "--images", str(files / "nowhere"))) == 2
    assert "there is no such folder" in capsys.readouterr().err


def test_sets_of_labels_are_audited_by_the_command(tmp_path, capsys):
    rng = np.random.default_rng(4)
    labels = rng.random((150, 4)) < 0.4
    ids = np.array([f"i{number}" for number in range(150)])
    np.savez(tmp_path / "labels.npz", ids=ids, labels=labels)
    for number in range(2):
        np.savez(tmp_path / f"m{number}.npz", ids=ids, scores=labels * 0.6 + rng.random((150, 4)) * (0.5 + 0.1 * number))
    truth = labels ^ (rng.random((150, 4)) < 0.05)
    rows = [f'{id_},"{",".join(map(str, np.flatnonzero(row))) or -1}"' for id_, row in zip(ids, truth, strict=True)]
    (tmp_path / "truth.csv").write_text("\n".join(["id,labels", *rows]))
    files = [str(tmp_path / name) for name in ("labels.npz", "m0.npz", "m1.npz", "truth.csv")]
    options = ["--labels", files[0], "--predictions", *files[1:3], "--corrections", files[3], "--multi-label", "--threshold", "0.6"]
    assert main(["audit", "rank", *options, *DRAWS, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["benchmark"]["labels"] == "sets"
    views = {view["view"]: view for view in found["views"]}
    predicted = np.load(files[1])["scores"] >= 0.6
    assert views["all"]["models"][0]["right"] == (predicted == labels).all(axis=1).sum()
    assert views["corrected"]["models"][0]["right"] == (predicted == truth).all(axis=1).sum()
    assert views["clean"]["n"] == (labels == truth).all(axis=1).sum()
    assert found["sources"][0]["kinds"]["incomplete"] > 0
    assert main(["audit", "rank", *options[:-1], "nan", *DRAWS]) == 2
    assert "--threshold is nan" in capsys.readouterr().err


def test_a_record_of_very_many_ids_has_the_first_of_each_swap(of_planted, monkeypatch):
    whole = [swap for view in as_dict(of_planted)["views"] for swap in view["swaps"]]
    assert all(len(swap["images"]) == swap["towards"] for swap in whole)
    monkeypatch.setattr("evaluator.audit.record.MOST_IDS", 3 * len(whole))
    short = [swap for view in as_dict(of_planted)["views"] for swap in view["swaps"]]
    assert [swap["images"] for swap in short] == [swap["images"][:3] for swap in whole]
    assert [swap["towards"] for swap in short] == [swap["towards"] for swap in whole]


def test_a_source_that_looked_at_a_part_is_said_to_have():
    all_of_it = made(sources=1)
    benchmark, part = all_of_it.benchmark, all_of_it.benchmark.ids[:50]
    some = Corrections("some", part, LabelSets.of([[0]] * 50), whole=False).aligned(benchmark)
    found = audited(replace(all_of_it, sources=[some]))
    assert "some looked at 50 images; in its views the others keep their label, which may be wrong." in notes(found)
