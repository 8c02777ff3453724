"""``compare`` over fabricated stores: planted differences are shown, planted nulls are noise, unlike cells never stand together."""

import itertools
import json
import os
import re
from dataclasses import replace

import numpy as np
import pytest
from conftest import TINY
from documented import documented, paths
from specs import NEWER, PAIRS, VERSIONS, result, spec

from evaluator.cli.main import main as cli
from evaluator.cli.tracks import TRACKS
from evaluator.errors import ConfigurationError, Verdict
from evaluator.history import groups
from evaluator.history.checksum import sealed
from evaluator.history.comparable import gather
from evaluator.history.groups import Wanted
from evaluator.history.store import Store
from evaluator.purchase.result import without_score
from evaluator.purchase.rounds import Pair
from evaluator.report.agreement import agreement_report, notes
from evaluator.report.comparison.asked import Asked
from evaluator.report.comparison.figures import comparison_report
from evaluator.report.comparison.headings import marks
from evaluator.report.comparison.markdown import markdown as markdown_of
from evaluator.scoring.agreement import kendall_tau
from evaluator.scoring.scores import OVER_PAIRS
from evaluator.seeds import generator
from evaluator.specs import digest_of
from evaluator.track import Judged
from evaluator.training.recipes import PIPELINES

FULL, PROXY = PIPELINES["quick"], PIPELINES["proxy"]
PLAIN = Asked()
PLANTED = {"random": 0.0, "good": 0.05, "bad": -0.05, "alike": 0.0}


@pytest.fixture
def stored(tmp_path):
    """Store a cell with a score, or a failed one where the score is None."""
    root = tmp_path / "results"
    Store(root)

    def write(
        name: str,
        score: float | None,
        pair: Pair = PAIRS[0],
        seed: int = 0,
        bought: int = 12,
        judged_by: int = 1,
        versions: dict[str, str] = VERSIONS,
        content: str | None = None,
        late: bool = False,
        **changes,
    ):
        found = result(spec(name, pair, seed, **changes), score, bought=bought, versions=versions)
        found = replace(found, purchase=replace(found.purchase, content=content))
        found = replace(found, verdict=Verdict.TIME_LIMIT) if late else found
        content = json.loads(json.dumps(found.as_dict()))
        content["spec"]["version"] = judged_by
        content["cell"] = digest_of(content["spec"])
        # As the store lays it out, without its waits for the disk.
        (root / "cells" / f"{content['cell']}.json").write_text(sealed(content))

    write.root = root
    return write


@pytest.fixture
def planted(stored):
    """Four strategies on two pairs and ten seeds; seeds go up and down for all of them together."""

    def write(effects=PLANTED, n: int = 10, pairs=PAIRS, noise: float = 0.01, root: int = 0, first: int = 0, **changes):
        for name, effect in effects.items():
            for pair in pairs:
                for seed in range(first, first + n):
                    common = 0.1 * generator(root, "seed", seed).normal()
                    own = noise * generator(root, name, pair.name, seed).normal()
                    stored(name, 0.5 + common + effect + own, pair, seed, **changes)

    return write


def conditions(root, wanted=Wanted(), mixed_versions=False):  # noqa: B008 - frozen
    return groups.conditions(root, TRACKS, wanted, mixed_versions)


def markdown(report):
    return markdown_of(report, TRACKS)


def report(stored, asked=PLAIN, mixed_versions=False, label_quality=None, **wanted):
    wanted |= {} if label_quality is None else {"condition": {"label_quality": label_quality}}
    found, left_out = conditions(stored.root, Wanted(**wanted), mixed_versions)
    return comparison_report(found, left_out, asked)


def only_table(stored, asked=PLAIN, **wanted):
    (table,) = report(stored, asked, **wanted)["tables"]
    return table


def finding(table, strategy, pair=OVER_PAIRS):
    (row,) = [row for row in table["differences"] if (row["strategy"], row["pair"]) == (strategy, pair)]
    return row


# -- what is shown, and what is noise


def test_planted_differences_are_shown_and_a_planted_null_is_noise(stored, planted):
    planted()
    table = only_table(stored)
    for pair in (OVER_PAIRS, *(p.name for p in PAIRS)):
        assert finding(table, "good", pair)["finding"] == "better"
        assert finding(table, "bad", pair)["finding"] == "worse"
        assert finding(table, "alike", pair)["finding"] == "within noise"
    row = finding(table, "good")
    assert row["difference"]["low"] < 0.05 < row["difference"]["high"]
    # The seeds' common ups and downs are ten times the noise: unpaired means would show nothing.
    spread = next(m for m in table["means"] if (m["strategy"], m["pair"]) == ("good", OVER_PAIRS))["interval"]
    assert spread["high"] - spread["low"] > 4 * (row["difference"]["high"] - row["difference"]["low"])
    matrix = table["matrix"]
    good, bad = matrix["strategies"].index("good"), matrix["strategies"].index("bad")
    assert matrix["wins"][good][bad] == 2
    assert matrix["totals"][good] == [6, 0, 0]
    assert min(table["ranks"], key=lambda row: row["rank"]["mean"])["strategy"] == "good"


def test_nulls_are_called_noise_at_the_stated_rate(stored, planted):
    false = 0
    for trial in range(20):
        planted(dict.fromkeys(("random", "a", "b"), 0.0), n=6, pairs=PAIRS[:1], root=trial, root_seed=trial)
    for _ in range(20):
        # One root seed is one condition: of several, one is taken, so each is read by itself.
        found = conditions(stored.root)[0]
        assert found[0].rules["root_seed"] in range(20)
        for path in stored.root.glob("cells/*.json"):
            if json.loads(path.read_text())["spec"]["root_seed"] == found[0].rules["root_seed"]:
                path.unlink()
        (table,) = comparison_report(found, [], Asked())["tables"]
        false += any(row["finding"] != "within noise" for row in table["differences"])
    assert false <= 4, f"{false} of 20 nulls were called a difference; 1 is expected"


def test_the_plan_says_how_small_a_difference_shows_and_how_many_seeds_a_wanted_one_takes(stored, planted):
    planted(noise=0.02)
    coarse, fine = (finding(only_table(stored, Asked(wanted=wanted)), "alike")["plan"] for wanted in (0.05, 0.005))
    assert 0.005 < coarse["smallest"]["value"] < 0.05
    assert coarse["seeds"]["value"] <= 10 < fine["seeds"]["value"]
    assert coarse["seeds"]["low"] <= coarse["seeds"]["value"] <= coarse["seeds"]["high"]


def test_the_family_may_be_the_whole_table(stored, planted):
    planted()
    by_pair, by_table = (finding(only_table(stored, Asked(family=f)), "alike", "621:17") for f in ("pair", "table"))
    assert (by_pair["family"], by_table["family"]) == (3, 6)
    everything = only_table(stored)
    assert finding(everything, "alike")["family"] == 3  # a branch for each strategy
    assert finding(everything, "alike", "621:17")["family"] == 9  # two pairs and the area behind its gate


def test_the_hamming_loss_is_turned_so_that_more_is_better(stored, planted):
    planted()
    table = only_table(stored, Asked(metric="hamming_loss"))
    assert finding(table, "good")["finding"] == "better"
    assert "1 - Hamming loss" in markdown(report(stored, Asked(metric="hamming_loss")))


# -- failed and missing cells


def test_failed_cells_are_counted_named_and_left_out(stored, planted):
    planted()
    stored("good", None, PAIRS[0], 3)
    table = only_table(stored)
    assert [(f["strategy"], f["pair"], f["seed"], f["verdict"]) for f in table["failed"]] == [
        ("good", "621:17", 3, "RUNTIME_ERROR")
    ]
    assert {s["name"]: (s["scored"], s["failed"], s["absent"]) for s in table["strategies"]}["good"] == (19, 1, 0)
    for pair in (OVER_PAIRS, "621:17"):
        row = finding(table, "good", pair)
        assert (row["difference"], row["p"], row["finding"], row["left_out"]) == (None, None, "failed cells", [3])
    assert finding(table, "good", "1321:34")["difference"]["n"] == 10
    assert finding(table, "bad")["finding"] == "worse"
    assert next(row for row in table["ranks"] if row["strategy"] == "good")["rank"] is None
    assert next(m for m in table["means"] if (m["strategy"], m["pair"]) == ("good", OVER_PAIRS))["interval"] is None
    page = markdown(report(stored))
    assert "| good | - | 1 failed | - | - | failed cells |" in page.replace("\\", "")
    assert "failed cells: 1 (good 1)" in page
    assert "good at 621:17, seed 3: RUNTIME_ERROR: ZeroDivisionError" in page


def test_bounds_count_a_failed_cell_as_the_worst_and_as_the_best_score(stored, planted):
    planted({"random": -0.15, "good": 0.15, "near": -0.13}, n=40, pairs=PAIRS[:1], noise=0.005)
    for name in ("good", "near"):
        stored(name, None, PAIRS[0], 3)
    assert {finding(only_table(stored), name)["finding"] for name in ("good", "near")} == {"failed cells"}
    table = only_table(stored, Asked(bounds=True))
    good, near = finding(table, "good"), finding(table, "near")
    assert (good["finding"], near["finding"]) == ("better", "within noise")
    scores = conditions(stored.root)[0][0].scores("macro_f1")
    worst, best = (np.nan_to_num(scores.of("good")[0], nan=value) - scores.of("random")[0] for value in (0, 1))
    assert good["difference"]["mean"] == pytest.approx((worst.mean() + best.mean()) / 2)
    half = 2.022691 * worst.std(ddof=1) / 40**0.5
    assert good["difference"]["low"] == pytest.approx(worst.mean() - half, abs=1e-5)
    assert "and so must a finding (--bounds)" in markdown(report(stored, Asked(bounds=True))).replace("\\", "")
    # A reference that fails spoils all, and its failure counts the other way round.
    stored("random", None, PAIRS[0], 5)
    assert {row["finding"] for row in only_table(stored)["differences"]} == {"failed cells"}
    low = finding(only_table(stored, Asked(bounds=True)), "good")["difference"]["low"]
    assert low < good["difference"]["low"]


def test_what_was_found_before_the_result_that_counts_is_shown(stored, planted):
    planted(n=7)
    stored("good", None, PAIRS[0], 3, tier="bubblewrap")  # failed in another tier
    table = only_table(stored)
    assert {row["name"]: (row["again"], row["attempts"]) for row in table["strategies"]}["good"] == (1, {"RUNTIME_ERROR": 1})
    page = markdown(report(stored))
    assert "7, 1 again" in page
    assert "again: cells that had an earlier result than the one that counts" in page
    assert "good 1 (before: RUNTIME_ERROR 1)" in page


def test_cells_that_were_scored_after_a_time_limit_are_marked(stored, planted):
    planted(n=7, on_timeout="keep")
    stored("good", 0.55, PAIRS[0], 3, on_timeout="keep", late=True)
    table = only_table(stored)
    assert {row["name"]: row["late"] for row in table["strategies"]} == {"random": 0, "good": 1, "bad": 0, "alike": 0}
    page = markdown(report(stored))
    assert "| 7, 1 late |" in page
    assert "late: cells that reached the time limit and were scored with what was there: good 1." in page


def test_seeds_on_which_the_same_was_bought_are_one_observation(stored, planted):
    planted({"random": 0.0, "good": 0.0}, n=7)
    for pair in PAIRS:
        for seed in range(7):
            stored("still", 0.6 + 0.001 * seed, pair, seed, content="a" * 32)
            stored("still_too", 0.7 + 0.001 * seed, pair, seed, content="b" * 32)
    for reference, strategy, n in (("still", "still_too", 1), ("random", "still", 7)):
        row = finding(only_table(stored, Asked(reference=reference)), strategy)
        assert (row["difference"]["n"], row["seeds"]) == (n, 7)
        assert (row["finding"] == "one observation") == (n == 1)
    means = {row["strategy"]: row["interval"] for row in only_table(stored)["means"] if row["pair"] == OVER_PAIRS}
    assert (means["still"]["n"], means["still"]["low"], means["good"]["n"]) == (1, None, 7)
    page = markdown(report(stored, Asked(reference="still")))
    assert "| 1 of 7 |" in page
    assert "7 seeds are one observation" in page


def test_a_draw_by_seed_makes_equal_purchases_different_observations(stored):
    drawing = replace(TINY, drawn={"unlabelled": 10})
    for seed in range(7):
        stored("still", 0.6 + 0.001 * seed, PAIRS[0], seed, content="a" * 32, profile=drawing)
    assert only_table(stored)["means"][0]["interval"]["n"] == 7


def test_one_report_is_corrected_as_one(stored, planted):
    planted({"random": 0.0, "good": 0.02}, n=7, noise=0.01)
    alone = finding(only_table(stored), "good")["p_holm"]
    for quality in (0.9, 0.8, 0.7):
        planted({"random": 0.0, "a": 0.0, "b": 0.0, "good": 0.02}, n=7, root=7, noise=0.01, label_quality=quality)
    together = finding(report(stored)["tables"][0], "good")
    assert (together["family"], alone < together["p_holm"]) == (10, True)
    by_pair = finding(report(stored, Asked(family="pair"))["tables"][0], "good")
    assert by_pair["p_holm"] == by_pair["p"]


def test_a_strategy_that_lacks_a_pair_has_no_mean_over_pairs_and_spoils_nobody_elses(stored, planted):
    planted()
    for seed in range(10):
        stored("late", 0.9, PAIRS[0], seed)
    table = only_table(stored)
    assert table["over_pairs"] == [p.name for p in PAIRS]
    assert finding(table, "late")["finding"] == "no seed in common"
    assert finding(table, "late", "621:17")["finding"] == "better"
    assert finding(table, "good")["difference"]["n"] == 10
    assert "late 10" in markdown(report(stored))


def test_a_pair_that_one_strategy_alone_was_run_on_takes_nobody_out_of_the_mean_over_pairs(stored, planted):
    planted()
    planted({"good": 0.05}, pairs=(Pair(1889, 51),))
    table = only_table(stored)
    assert table["over_pairs"] == [p.name for p in PAIRS]
    assert finding(table, "bad")["finding"] == "worse"
    assert finding(table, "good", "1889:51")["finding"] == "no seed in common"


# -- floor, ceiling, curve


def test_shares_of_the_gap_are_measured_to_a_ceiling_that_bought_the_whole_pool_at_another_pair(stored, planted):
    planted({"random": 0.0, "half": 0.1}, noise=0.002)
    planted({"full_pool": 0.2}, pairs=(Pair(10_000, 60),), noise=0.002, bought=TINY.sizes["unlabelled"])
    table = only_table(stored)
    assert [row["pair"] for row in table["pairs"]] == [p.name for p in PAIRS]
    assert table["ceiling"] == {"strategy": "full_pool", "everything": True}
    share = {(row["strategy"], row["pair"]): row for row in table["shares"]}
    for pair in (OVER_PAIRS, "621:17"):
        assert share["half", pair]["low"] < 0.5 < share["half", pair]["high"]
        assert 0.4 < share["half", pair]["value"] < 0.6
    assert {row["strategy"] for row in table["differences"]} == {"half"}
    assert "full_pool" not in table["matrix"]["strategies"]


def test_a_ceiling_under_a_budget_is_said_to_be_one(stored, planted):
    planted({"random": 0.0, "full_pool": 0.0, "good": 0.1})
    table = only_table(stored)
    assert table["ceiling"]["everything"] is False
    assert all(row["value"] is None for row in table["shares"])
    page = markdown(report(stored))
    assert "full_pool never got everything it could get" in page
    assert "within noise" in page


def test_the_area_is_of_the_pairs_of_one_time_where_there_are_such(stored, planted):
    grid = (Pair(500, 15), Pair(1000, 15), Pair(2000, 15), Pair(2000, 60))
    planted({"random": 0.0, "good": 0.05}, pairs=grid, noise=0.005)
    (area,) = only_table(stored)["areas"]
    assert area["pairs"] == ["500:15", "1000:15", "2000:15"]
    assert "15 minutes" in area["curve"]
    assert [(row["strategy"], row["finding"]) for row in area["differences"]] == [("good", "better")]
    scores = conditions(stored.root)[0][0].scores("macro_f1").on(area["pairs"]).of("good")
    by_hand = ((scores[0] + scores[1]) / 2 * 500 + (scores[1] + scores[2]) / 2 * 1000) / 1500
    assert next(r for r in area["means"] if r["strategy"] == "good")["interval"]["mean"] == pytest.approx(by_hand.mean())


def test_the_area_is_of_all_pairs_where_no_time_has_two_budgets_and_says_so(stored, planted):
    planted()
    (area,) = only_table(stored)["areas"]
    assert "whose times differ, too" in area["curve"]
    planted({"random": 0.0}, pairs=PAIRS[:1], label_quality=0.9)
    assert only_table(stored, label_quality=0.9)["areas"] == []


# -- hidden pairs

HIDDEN = (Pair(987, 42), Pair(1650, 20.5))
CROSSED = tuple(Pair(labels, minutes) for labels in (500, 1000) for minutes in (15, 30))


def test_what_hidden_pairs_cost_is_paired_by_seed_and_held_against_the_reference(stored, planted):
    planted({"random": 0.0, "tuned": 0.06, "alike": 0.0}, noise=0.002)
    planted({"random": -0.1, "tuned": -0.1, "alike": -0.1}, pairs=HIDDEN, noise=0.002)
    table = only_table(stored)
    found = table["public_minus_hidden"]
    assert (found["public"], found["hidden"]) == (["621:17", "1321:34"], ["987:42", "1650:20.5"])
    rows = {row["strategy"]: row for row in found["rows"]}
    assert rows["tuned"]["less"]["mean"] == pytest.approx(0.16, abs=0.002)
    assert rows["tuned"]["less"]["n"] == 10
    scores = conditions(stored.root)[0][0].scores("macro_f1")
    by_seed = scores.on([p.name for p in PAIRS]).of("tuned").mean(axis=0) - scores.on([p.name for p in HIDDEN]).of("tuned").mean(
        axis=0
    )
    assert rows["tuned"]["less"]["mean"] == pytest.approx(by_seed.mean())
    half = 2.26216 * by_seed.std(ddof=1) / 10**0.5
    assert rows["tuned"]["less"]["high"] == pytest.approx(by_seed.mean() + half, abs=1e-6)
    # Hidden pairs are harder for everybody: that alone is no finding.
    assert rows["random"]["less"]["low"] > 0.09
    others = {row["strategy"]: row for row in found["differences"]}
    assert others["tuned"]["finding"] == "loses more"
    assert others["tuned"]["difference"]["mean"] == pytest.approx(0.06, abs=0.002)
    assert others["alike"]["finding"] == "within noise"
    page = markdown(report(stored))
    assert "### public minus hidden pairs (621:17, 1321:34 minus 987:42, 1650:20.5)" in page
    line = next(line for line in page.split("### public minus hidden")[1].splitlines() if line.startswith("| tuned"))
    assert re.fullmatch(
        r"\| tuned \| 0\.\d+ \| 0\.\d+ \| \+0\.1[56]\d \[\+0\.1\d\d, \+0\.1\d\d\] \| 10 \| \+0\.0[56].*\| loses more \|", line
    )


def test_without_hidden_or_without_public_pairs_there_is_no_difference_between_them(stored, planted):
    planted()
    assert only_table(stored)["public_minus_hidden"] is None
    planted(pairs=HIDDEN, label_quality=0.9)
    assert only_table(stored, label_quality=0.9)["public_minus_hidden"] is None
    assert "public minus hidden" not in markdown(report(stored))


def test_pairs_of_a_grid_are_not_hidden_ones_unless_they_are_named(stored, planted):
    planted(pairs=(*PAIRS, *CROSSED))
    assert only_table(stored)["public_minus_hidden"] is None
    planted(pairs=HIDDEN[:1])
    assert only_table(stored)["public_minus_hidden"]["hidden"] == ["987:42"]
    named = only_table(stored, Asked(hidden=("500:15.0", "1000:30")))
    assert named["public_minus_hidden"]["hidden"] == ["500:15", "1000:30"]


def test_a_strategy_that_fails_on_a_hidden_pair_has_no_difference_to_it(stored, planted):
    planted()
    planted(pairs=HIDDEN)
    stored("good", None, HIDDEN[0], 3)
    found = only_table(stored)["public_minus_hidden"]
    assert {row["strategy"]: row["less"] and row["less"]["n"] for row in found["rows"]} == {
        "random": 10,
        "good": None,
        "bad": 10,
        "alike": 10,
    }
    assert {row["strategy"]: row["finding"] for row in found["differences"]}["good"] == "failed cells"


# -- heat maps


def test_cells_that_form_a_grid_have_a_heat_map(stored, planted):
    planted({"random": 0.0, "good": 0.05}, pairs=CROSSED, n=3)
    planted({"elsewhere": 0.0}, n=3)
    for seed in (0, 1):
        stored("good", None, CROSSED[0], seed)
    (heat,) = only_table(stored)["heat_maps"]
    assert (heat["labels"], heat["minutes"], heat["budgets"], heat["seconds_allowed"]) == (
        [500, 1000],
        [15, 30],
        [10, 20],
        [45, 90],
    )
    assert [row["submission"] for row in heat["submissions"]] == ["good", "random"]
    first, second = heat["submissions"][0]["cells"][:2]
    assert (first["failed"], first["score"], first["scored"]) == ({"RUNTIME_ERROR": 2}, None, 1)
    values = conditions(stored.root)[0][0].scores("macro_f1")
    assert second["score"]["mean"] == pytest.approx(values.on(["500:30"]).of("good").mean())
    gap = values.on(["500:30"]).of("good") - values.on(["500:30"]).of("random")
    assert second["minus_reference"]["mean"] == pytest.approx(gap.mean())
    assert (second["bought"], second["bought_share"], second["seconds_share"]) == (12, 1.2, pytest.approx(3 / 90, abs=1e-6))
    page = markdown(report(stored))
    assert "### macro F1, labels and time by label budget and time: good" in page
    assert "failed; 2 RUNTIME_ERROR" in page


def test_cells_on_no_grid_have_no_heat_map(stored, planted):
    planted()
    assert only_table(stored)["heat_maps"] == []
    assert "by label budget and time" not in markdown(report(stored))


def test_a_heat_map_is_of_the_metric_that_was_asked_for(stored, planted):
    planted(pairs=CROSSED, n=2)
    (heat,) = only_table(stored, Asked(metric="accuracy"))["heat_maps"]
    assert heat["metric"] == "accuracy"
    values = conditions(stored.root)[0][0].scores("accuracy").on(["500:15"]).of("alike")
    assert heat["submissions"][0]["cells"][0]["score"]["mean"] == pytest.approx(values.mean())


@pytest.mark.endurance
def test_the_verb_shows_and_draws_the_heat_map(stored, planted, capsys, monkeypatch, tmp_path):
    planted(pairs=CROSSED, n=2)
    planted(pairs=CROSSED, n=2, label_quality=0.9)
    monkeypatch.setenv("COLUMNS", "120")
    assert cli(["compare", str(stored.root), "--heat-map", str(tmp_path / "map.svg")]) == 0
    out = capsys.readouterr().out
    assert "1000 (20)" in out
    assert "labels 60%" in out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 120
    drawn = (tmp_path / "map.svg").read_text()
    for label in ("clean labels", "label quality 0.9"):
        assert drawn.count(f"<!-- profile tiny, pipeline quick, {label}, validation split") == 1


# -- what never stands in one table


@pytest.mark.parametrize(
    "change",
    [{"label_quality": 0.9}, {"score_split": "test"}, {"pipeline": PIPELINES["debug"]}, {"profile": replace(TINY, name="other")}],
    ids=["label quality", "score split", "pipeline", "profile"],
)
def test_conditions_are_tables_of_their_own(stored, planted, change):
    planted(n=3)
    planted(n=4, **change)
    found = report(stored)["tables"]
    assert sorted(len(table["seeds"]) for table in found) == [3, 4]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"root_seed": 2}, "root_seed 2, not 1"),
        ({"data": {"training": "a", "unlabelled": "x", "validation": "c"}}, "other data (unlabelled)"),
        ({"pipeline": replace(FULL, epochs=3)}, "another version of the pipeline quick"),
        ({"weights": "sha256:1"}, "other starting weights"),
        ({"judged_by": 2}, "version 2, not 1"),
        ({"versions": NEWER, "first": 20}, "numpy 2.5.0, not 2.4.0; python 3.13, not 3.11"),
        ({"versions": {"kit": "0.1"}, "first": 20}, "torch unknown, not 2.15.0"),
        ({"on_timeout": "keep"}, "on_timeout keep, not fail"),
    ],
    ids=["root", "data", "recipe", "weights", "judging code", "libraries", "libraries unknown", "timeout"],
)
def test_cells_of_other_rules_are_left_out_and_said(stored, planted, change, said):
    planted(n=6)
    planted({"random": 0.3, "good": 0.0}, n=2, **change)
    table = only_table(stored)
    assert finding(table, "good")["finding"] == "better"
    assert len(table["seeds"]) == 6
    (line,) = table["left_out"]
    assert line.startswith(f"8 cells of other {'versions' if 'versions' in change else 'rules'}: ")
    assert said in line


@pytest.mark.parametrize(
    "versions",
    [VERSIONS | {"kit": "9.9"}, VERSIONS | {"python": "3.11.12"}, VERSIONS | {"processor": "Another"}],
    ids=["kit", "patch of Python", "processor"],
)
def test_what_decides_no_figure_parts_no_table_and_another_processor_is_said(stored, planted, versions):
    planted(n=3)
    planted(n=2, first=3, versions=versions)
    table = only_table(stored)
    assert (table["seeds"], table["left_out"]) == ([0, 1, 2, 3, 4], [])
    assert table["versions"] == {"python": "3.11", "numpy": "2.4.0", "torch": "2.15.0"}
    said = "processor differs within the table: A Processor (24 cells), Another (16 cells)."
    assert table["notes"] == ([said] if versions["processor"] == "Another" else [])


def test_cells_of_two_library_versions_stand_in_one_table_only_where_that_is_asked_for_and_then_it_says_so(stored, planted, capsys):
    planted(n=6)
    planted({"random": 0.3, "good": 0.0}, n=3, first=6, versions=NEWER)
    stored("alike", None, PAIRS[0], 9, versions=NEWER)
    apart = only_table(stored)
    assert (apart["seeds"], apart["notes"], apart["failed"]) == ([*range(6)], [], [])
    assert apart["versions"] == {"python": "3.11", "numpy": "2.4.0", "torch": "2.15.0"}
    assert apart["left_out"] == [
        "13 cells of other versions: numpy 2.5.0, not 2.4.0; python 3.13, not 3.11 (--mixed-versions shows them in one table)"
    ]
    assert finding(apart, "good")["finding"] == "better"
    mixed = only_table(stored, mixed_versions=True)
    assert (mixed["seeds"], mixed["left_out"], mixed["versions"]) == (list(range(10)), [], {})
    assert finding(mixed, "good")["difference"]["n"] == 9
    assert len(mixed["failed"]) == 1
    notes = [
        "version of numpy differs within the table: 2.4.0 (48 cells), 2.5.0 (13 cells).",
        "version of python differs within the table: 3.11 (48 cells), 3.13 (13 cells).",
    ]
    assert mixed["notes"] == notes
    page = markdown(report(stored, mixed_versions=True))
    assert all(f"- {note}" in page for note in notes)
    assert "differs within the table" not in markdown(report(stored))
    for options, seeds in (((), 6), (("--mixed-versions",), 10)):
        assert cli(["compare", str(stored.root), "--json", *options]) == 0
        (table,) = json.loads(capsys.readouterr().out)["tables"]
        assert len(table["seeds"]) == seeds
        assert (table["notes"] == notes) == bool(options)


def stored_in_order(root, *root_seeds) -> None:
    """Give the cells of every root seed the times of a day; the first is the oldest."""
    for path in root.glob("cells/*.json"):
        day = root_seeds.index(json.loads(path.read_text())["spec"]["root_seed"])
        os.utime(path, (86_400 * (day + 1),) * 2)


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_of_two_sets_of_rules_with_as_many_cells_the_newer_is_shown_and_it_says_so(stored, planted, order):
    for root in (1, 2):
        planted(n=2, root_seed=root)
    stored_in_order(stored.root, *order)
    table = only_table(stored)
    assert table["root_seed"] == order[1]
    (said,) = table["left_out"]
    assert "those that were stored last are shown" in said
    stored_in_order(stored.root, order[0], order[1])
    for path in stored.root.glob("cells/*.json"):
        os.utime(path, (86_400, 86_400))
    (said,) = only_table(stored)["left_out"]
    assert "either could be shown: move those of one into a folder of their own" in said


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_of_two_panels_with_as_many_cells_the_newer_is_ranked_and_it_says_so(stored, order):
    for root in (1, 2):
        for name, score in (("a", 0.1), ("b", 0.2), ("c", 0.3)):
            for pipeline in (FULL, PIPELINES["debug"]):
                stored(name, score, pipeline=pipeline, root_seed=root)
    stored_in_order(stored.root, *order)
    found = gather(stored.root, TRACKS)
    assert found.rules["root_seed"] == order[1]
    assert all("those that were stored last are shown" in line for line in found.left_out)
    assert found.left_out


def test_the_rank_agreement_of_pipelines_never_mixes_library_versions(stored):
    for name, score in (("a", 0.1), ("b", 0.2), ("c", 0.3), ("late", 0.4)):
        for pipeline in (FULL, PIPELINES["debug"]):
            stored(name, score, pipeline=pipeline, versions=NEWER if name == "late" else VERSIONS)
    found = gather(stored.root, TRACKS)
    assert found.submissions == ("a", "b", "c")
    assert found.rules["versions"] == {"python": "3.11", "numpy": "2.4.0", "torch": "2.15.0"}
    assert found.left_out == ("late (late0000): 2 cells of other rules: numpy 2.5.0, not 2.4.0; python 3.13, not 3.11",)


def test_the_rank_agreement_says_whose_seeds_repeat_the_training_alone(stored):
    for name, score in (("a", 0.1), ("b", 0.2), ("c", 0.3)):
        for pipeline, seed in itertools.product((FULL, PIPELINES["debug"]), range(2)):
            stored(name, score, seed=seed, pipeline=pipeline, content="a" * 32 if name == "b" or not seed else "b" * 32)
    found = gather(stored.root, TRACKS)
    assert found.repeated == ("b",)
    assert "one observation: b gave the same answer from the same data on several seeds" in "\n".join(
        notes(agreement_report(found, seed=1))
    )


def test_a_cell_that_the_evaluator_itself_failed_at_is_counted_as_failed(stored, planted):
    planted(n=3, versions=without_score(spec(), "").versions)
    Store(stored.root).write_cell(Judged(without_score(spec("good", PAIRS[0], 1), "the evaluator failed: OSError: no room")))
    table = only_table(stored)
    assert table["left_out"] == []
    assert [(f["strategy"], f["seed"], f["verdict"]) for f in table["failed"]] == [("good", 1, "INFRASTRUCTURE")]


def test_two_versions_of_a_strategy_are_two_rows_and_the_larger_is_the_reference(stored, planted):
    planted()
    for seed in range(3):
        stored("random", 0.1, PAIRS[0], seed, submission_digest="another1")
    table = only_table(stored)
    assert table["reference"] == "random (random00)"
    assert {"random (random00)", "random (another1)"} <= {s["name"] for s in table["strategies"]}


def test_a_cell_that_is_there_twice_counts_once_and_is_said(stored, planted):
    planted()
    stored("good", 0.0, PAIRS[0], 0, threads=2)
    table = only_table(stored)
    assert finding(table, "good")["finding"] == "better"
    assert any("cell that was stored twice, under different circumstances" in line for line in table["left_out"])


# -- the proxy


def rise(n: int) -> dict[str, float]:
    step = min(0.05, 0.4 / n)  # scores stay below 1
    return {"random": 0.0} | {f"s{i}": step * (i + 1) for i in range(n - 1)}


def test_a_proxy_is_marked_and_its_rank_correlation_stands_beside_its_table(stored, planted):
    effects = rise(6)
    planted(effects, noise=0.002)
    swapped = effects | {"s0": effects["s1"], "s1": effects["s0"]}
    planted(swapped, n=20, noise=0.002, root=1, pipeline=PROXY)
    found = {table["pipeline"]: table for table in report(stored)["tables"]}
    assert (found["quick"]["proxy"], found["proxy"]["proxy"]) == (False, True)
    assert found["quick"]["stand_in"] is None
    (row,) = found["proxy"]["stand_in"]
    expected = kendall_tau(np.array(list(effects.values())), np.array(list(swapped.values())))
    assert row["tau"]["measured"] == pytest.approx(expected) == pytest.approx(13 / 15)
    assert row["tau"]["value"] == pytest.approx(expected, abs=0.01), "hardly any noise: nothing to correct"
    assert row["tau"]["low"] <= row["tau"]["value"] <= row["tau"]["high"]
    assert (row["pipeline"], len(row["strategies"]), len(row["seeds"])) == ("quick", 6, 10)
    assert "without noise, 0.87 as measured" in marks(found["proxy"])[1]
    page = markdown(report(stored))
    assert "## PROXY profile tiny, pipeline proxy" in page
    assert "not of a full training" in page
    # Asked for alone, the proxy is still held against the full training.
    alone = only_table(stored, pipeline="proxy")
    assert alone["stand_in"] == found["proxy"]["stand_in"]


def test_the_ceiling_does_not_flatter_the_rank_correlation(stored, planted):
    for pipeline in (FULL, PROXY):
        planted(rise(4), pipeline=pipeline)
        planted({"full_pool": 0.5}, bought=TINY.sizes["unlabelled"], pipeline=pipeline)
    assert "full_pool" not in only_table(stored, pipeline="proxy")["stand_in"][0]["strategies"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label_quality": 0.9}, "no full training is stored under the same rules"),
        ({"pairs": (Pair(1889, 51),)}, "there is no seed for which both"),
        ({"effects": {"random": 0.0, "other": 0.1}}, "at least 3"),
    ],
    ids=["other rules", "other pairs", "few strategies"],
)
def test_a_rank_correlation_that_cannot_be_measured_is_said_to_be_none(stored, planted, change, said):
    planted(pipeline=PROXY)
    planted(**change)
    found = next(t for t in report(stored)["tables"] if t["proxy"])
    assert "not measured" in marks(found)[1]
    assert said in marks(found)[1]


# -- the verb


def test_the_verb_prints_tables_of_120_columns(stored, planted, capsys, monkeypatch):
    planted(rise(24), n=6)
    planted({"full_pool": 0.45, "a_strategy_with_a_name_that_is_long": 0.1}, n=6, bought=TINY.sizes["unlabelled"])
    planted(n=6, pipeline=PROXY)
    monkeypatch.setenv("COLUMNS", "120")
    assert cli(["compare", str(stored.root)]) == 0
    out = capsys.readouterr().out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 120
    for words in ("better", "within noise", "share of gap", "wins-ties-losses", "area under the curve", "seeds for 0.01"):
        assert words in out
    assert "…" not in out
    # Of 25 strategies the best twelve stand in two parts of the matrix, none of them squeezed.
    assert [len(line.split()) for line in out.splitlines() if line.split()[-1:] == ["all"]] == [5, 11, 3]
    assert "the table of wins and losses shows the best 12 of 25 strategies" in " ".join(out.split())


def test_the_verb_writes_a_page_and_json(stored, planted, capsys, tmp_path):
    planted()
    page = tmp_path / "results.md"
    assert cli(["compare", str(stored.root), "--out", str(page), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["tables"][0]["reference"] == "random"
    lines = page.read_text().splitlines()
    widths = {line.count(" | ") for line in lines if line.startswith("| good")}
    assert any("| good |" in line and "better" in line for line in lines)
    assert widths
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--reference", "rnadom"), "--reference: no cell of 'rnadom' is stored"),
        (("--ceiling", "everything"), "--ceiling: no cell of 'everything' is stored"),
        (("--pipeline", "round2"), "holds no cell of pipeline round2"),
        (("--metric", "f1"), "--metric is 'f1'"),
        (("--wanted", "0"), "--wanted is 0; it must be 1e-06 or more"),
        (("--wanted", "1e-300"), "--wanted is 1e-300; it must be 1e-06 or more"),
        (("--label-quality", "7"), "the label quality is 7; it must be from 0.5 to 1"),
        (("--score-split", "training"), "--score-split is 'training'; it must be validation or test"),
        (("--profile", "quik"), "--profile: there is no profile 'quik'; stored in"),
        (("--profile", "quik"), "did you mean 'quick'?"),
        (("--pipeline", ""), "--pipeline: there is no pipeline ''"),
        (("--out", "x.txt"), "--out x.txt ends in '.txt'; the tables are written as Markdown"),
        (("--hidden", "987:42"), "--hidden: no cell of the pair 987:42 is stored; stored are 1321:34, 621:17"),
        (("--hidden", "987"), "the pair '987' was not understood"),
        (("--hidden", "621:17"), "--hidden: 621:17 is a public pair of the round"),
        (("--heat-map", "map.svg"), "no cells form a grid"),
        (("--heat-map", "map.jpeg"), "expected .svg or .png"),
    ],
)
def test_what_makes_no_sense_is_refused(stored, planted, capsys, options, said):
    planted(n=2)
    assert cli(["compare", str(stored.root), *options]) == 2
    assert said in capsys.readouterr().err


def test_without_a_reference_or_another_strategy_there_are_means_alone(stored, planted):
    planted({"mine": 0.0}, n=3)
    table = only_table(stored)
    assert table["reference"] is None
    assert table["differences"] == []
    assert table["matrix"] is None
    assert "no cell of the reference is stored" in markdown(report(stored))
    with pytest.raises(ConfigurationError, match="does not exist"):
        conditions(stored.root / "nowhere")


def test_a_single_seed_is_not_enough(stored, planted):
    planted(n=1)
    table = only_table(stored)
    assert finding(table, "good")["finding"] == "too few seeds"
    assert "too few seeds" in markdown(report(stored))


def test_the_documented_keys_are_those_of_the_report(stored, planted):
    planted()
    planted({"full_pool": 0.3}, bought=TINY.sizes["unlabelled"])
    planted(pipeline=PROXY)
    stored("good", None, PAIRS[0], 3, pipeline=PROXY)
    stored("alike", None, PAIRS[0], 3, tier="docker")
    planted(pairs=(*HIDDEN, *CROSSED))
    for number in (1, 2):
        planted(n=2, pairs=PAIRS[:1], **data_set(number))
    found = paths(
        report(stored, Asked(each_data_set=True)),
        "",
        {
            "tables[].data",
            "tables[].versions",
            "tables[].heat_maps[].submissions[].cells[].failed",
            "tables[].strategies[].attempts",
        },
        [],
    )
    # Lists and objects that are empty in one table and not in another.
    whole = {path for path in found if not any(other.startswith((f"{path}[]", f"{path}.")) for other in found)}
    assert whole == documented("Comparisons: `python -m evaluator compare --json`")


# -- several data sets


def data_set(number: int) -> dict:
    """The part of a spec that says its data set."""
    return {"data_set": number, "data": {split: f"{number}-{split}" for split in ("training", "unlabelled", "validation", "debug")}}


def on_data_sets(planted, count: int, spread: float, n: int = 6, **more) -> None:
    """``good`` is better by 0.05 on the mean data set, and by more or less on each."""
    for number in range(1, count + 1):
        effect = 0.05 + spread * generator(7, number).normal()
        planted(PLANTED | {"good": effect}, n=n, pairs=PAIRS[:1], root=number, **data_set(number), **more)


def test_data_sets_are_a_level_of_one_table_and_not_other_rules(stored, planted):
    on_data_sets(planted, 5, spread=0.03)
    planted(pairs=PAIRS[:1])  # the profile's own data set is one of them
    found = report(stored)
    (table,) = found["levels"]
    assert found["tables"] == found["left_out"] == []
    assert (table["data_sets"], len(table["seeds"]), table["reference"]) == ([0, 1, 2, 3, 4, 5], 6, "random")
    good = next(row for row in table["differences"] if row["strategy"] == "good")
    each = [row for t in report(stored, Asked(each_data_set=True))["tables"] for row in t["differences"]]
    plain = [row["difference"] for row in each if row["strategy"] == "good" and row["pair"] == PAIRS[0].name]
    assert len(plain) == 6
    widest = max(row["high"] - row["low"] for row in plain)
    assert good["levels"]["high"] - good["levels"]["low"] > widest
    assert good["levels"]["data_set_share"] > 0.8
    assert good["levels"]["floor"] > 0.9 * (good["levels"]["high"] - good["levels"]["low"]) / 2
    assert good["levels"]["enough"] > 6


def test_what_is_better_on_two_data_sets_is_not_better_on_data_sets(stored, planted):
    on_data_sets(planted, 2, spread=0.03)
    (table,) = report(stored)["levels"]
    assert {row["finding"] for row in table["differences"]} == {"too few data sets"}
    alone = report(stored, Asked(family="table", each_data_set=True))["tables"]
    assert {finding(t, "good", PAIRS[0].name)["finding"] for t in alone} == {"better"}
    # Behind a gate that is not passed nothing is found: neither data set is called by itself in a report over both.
    each = report(stored, Asked(each_data_set=True))["tables"]
    assert {finding(t, "good", PAIRS[0].name)["finding"] for t in each} == {"within noise"}


def test_tables_over_data_sets_are_corrected_with_all_tables_of_the_report(stored, planted):
    on_data_sets(planted, 6, spread=0.01)
    (alone,) = report(stored)["levels"]
    on_data_sets(planted, 6, spread=0.01, label_quality=0.97)  # the same again, under another condition
    planted(n=6, pairs=PAIRS[:1], label_quality=0.95)
    found = report(stored)
    assert len(found["levels"]) == 2
    assert len(found["tables"]) == 1

    def at(table, name):
        return next(row for row in table["differences"] if row["strategy"] == name)

    for table in found["levels"]:
        for row in table["differences"]:
            assert row["family"] == 9  # three strategies under three conditions
            assert row["p_holm"] >= at(alone, row["strategy"])["p_holm"]
    assert at(found["levels"][0], "good")["p_holm"] > at(alone, "good")["p_holm"]
    by_table = report(stored, Asked(family="table"))["levels"][0]
    assert at(by_table, "good")["p_holm"] == pytest.approx(at(alone, "good")["p_holm"])
    assert "corrected together with all tests of this report (9 strategies under all conditions)" in markdown(found)


def test_every_output_has_both_levels_in_words(stored, planted, capsys, tmp_path):
    on_data_sets(planted, 3, spread=0.03)
    assert cli(["compare", str(stored.root), "--html", str(tmp_path / "page.html"), "--out", str(tmp_path / "page.md")]) == 0
    shown = (tmp_path / "page.md").read_text()
    for text in (shown, (tmp_path / "page.html").read_text()):
        for words in (
            "3 data sets x 6 seeds",
            "on one other data set",
            "with any number of seeds",
            "Data sets 1, 2, 3 of the profile",
        ):
            assert words in text, words
    assert cli(["compare", str(stored.root)]) == 0
    assert "on one other data set" in capsys.readouterr().out
    assert cli(["compare", str(stored.root), "--data-set", "2", "--json"]) == 0
    one = json.loads(capsys.readouterr().out)
    assert (one["levels"], [table["data_set"] for table in one["tables"]]) == ([], [2])


def test_an_interval_over_seeds_says_that_it_speaks_of_these_images(stored, planted):
    planted(n=2)
    assert "They speak of these images only" in markdown(report(stored))


def test_a_strategy_that_fails_on_one_data_set_has_no_finding(stored, planted):
    on_data_sets(planted, 6, spread=0.0)
    stored("good", None, PAIRS[0], 3, **data_set(2))
    (table,) = report(stored)["levels"]
    good, bad = (next(row for row in table["differences"] if row["strategy"] == name) for name in ("good", "bad"))
    assert (good["finding"], good["levels"], good["failed"]) == ("failed cells", None, 1)
    assert bad["finding"] == "worse"
    assert "good: no mean and no finding" in markdown(report(stored))


def test_a_seed_that_a_data_set_lacks_is_named(stored, planted):
    on_data_sets(planted, 3, spread=0.0)
    for number in (1, 2):
        planted(n=1, first=6, pairs=PAIRS[:1], **data_set(number))
    (table,) = report(stored)["levels"]
    assert table["seeds"] == [0, 1, 2, 3, 4, 5]
    stored("good", 0.5, PAIRS[0], 6, **data_set(3))
    (table,) = report(stored)["levels"]
    left_out = {row["strategy"]: row["left_out"] for row in table["differences"]}
    assert left_out == {"good": [6], "bad": [6], "alike": [6]}  # the reference lacks it
