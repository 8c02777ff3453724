"""The page of results: it reports planted differences, says what is missing, and is written from the committed cells alone."""

import json
import re
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import fabricated
import pytest
from conftest import TINY

from evaluator.cli.tracks import TRACKS
from evaluator.errors import ConfigurationError, Verdict
from evaluator.history.groups import sort_cells
from evaluator.history.store import Store
from evaluator.purchase.profiles import QUICK, profile_named
from evaluator.purchase.result import PurchaseResult, without_score
from evaluator.purchase.rounds import Pair
from evaluator.purchase.spec import PurchaseSpec
from evaluator.purchase.track import PURCHASE
from evaluator.records import DataRow
from evaluator.report.comparison.asked import Asked
from evaluator.report.comparison.figures import comparison_report
from evaluator.seeds import generator
from evaluator.sweep.settings import read_settings
from evaluator.track import Judged
from evaluator.training.recipes import PIPELINES, fitted
from experiments import __main__ as command
from experiments import tuning
from experiments.columns import pack, read, unpack
from experiments.forecast import costs, seconds_of
from experiments.grids import Grid, gather
from experiments.page import PICTURES, Results, page
from experiments.pictures import draw
from experiments.places import HERE, Places
from experiments.rederive.found import Found
from experiments.rederive.page import rederive

PAIRS = (Pair(621, 17), Pair(1321, 34))
FULL, PROXY = PIPELINES["quick"], PIPELINES["proxy"]
PLANTED = {"random": 0.0, "good": 0.05, "bad": -0.05, "alike": 0.0}
POOL = 40
OLD = HERE.root / "tests" / "history" / "version_0_2" / "results"


def spec(name: str, pair: Pair = PAIRS[0], seed: int = 0, **changes) -> PurchaseSpec:
    settings = {
        "submission": name,
        "submission_digest": f"{name:0<8}digest",
        "profile": TINY,
        "pair": pair,
        "seed": seed,
        "root_seed": 1,
        "pipeline": FULL,
        "weights": "sha256:0",
        "data": {"training": "a", "unlabelled": "b", "validation": "c"},
        "score_split": "validation",
        "tier": "process",
        "device": "cpu",
        "threads": 1,
    }
    return PurchaseSpec(**(settings | changes))


def result(name: str, score: float | None, pair: Pair = PAIRS[0], seed: int = 0, bought: int = 12, **changes) -> PurchaseResult:
    """A cell that was never trained; failed without a score."""
    described = spec(name, pair, seed, **changes)
    if score is None:
        found = without_score(described, "ZeroDivisionError: division by zero\nlong traceback")
        found = replace(found, verdict=Verdict.RUNTIME_ERROR)
    else:
        found = fabricated.scored(described, "checksum", score)
        metrics = found.metrics | {"accuracy": round(score / 2, 5), "hamming_loss": 0.25}
        found = replace(found, metrics=metrics)
    data = DataRow(counts={"unlabelled": POOL})
    return replace(found, purchase=replace(found.purchase, bought=bought, seconds=1.25), data=data)


def cell(*args, **options) -> dict:
    """The same as it is stored."""
    return json.loads(json.dumps(result(*args, **options).as_dict()))


def planted(effects=PLANTED, n: int = 10, pairs=PAIRS, noise: float = 0.01, **changes) -> list[dict]:
    """Cells of strategies with known effects, on pairs and seeds whose ups and downs all share."""
    found = []
    for name, effect in effects.items():
        for pair in pairs:
            for seed in range(n):
                common = 0.1 * generator(0, "seed", seed).normal()
                own = noise * generator(0, name, pair.name, seed).normal()
                found.append(cell(name, round(0.5 + common + effect + own, 5), pair, seed, **changes))
    return found


def ceiling(effect: float, n: int = 10, **changes) -> list[dict]:
    """Cells of a strategy that bought the whole pool, at a pair of its own."""
    return planted({"full_pool": effect}, n, (Pair(10_000, 51),), bought=POOL, **changes)


def stored(cells: list[dict], missing: int = 0, name: str = "full") -> dict:
    """A file of cells, read back."""
    experiment = {
        "name": name,
        "profile": "tiny",
        "pipelines": ["quick"],
        "submissions": sorted({c["spec"]["submission"] for c in cells}),
        "pairs": {c["spec"]["task"]: "public" for c in cells},
        "seeds": 10,
        "label_qualities": [1.0],
        "score_splits": ["validation"],
        "cells": len(cells) + missing,
        "stored": len(cells),
    }
    return json.loads(pack([(name, c) for c in cells], [experiment], []))


def told(*files: dict) -> str:
    return page(Results.of(files))


def row(text: str, title: str, name: str) -> str:
    """The row of a strategy in the first table whose title begins so."""
    section = text.split(f"**{title}", 1)[1]
    return next(line for line in section.splitlines() if line.startswith(f"| {name} |"))


# -- what the page says


def test_planted_differences_are_told_rightly():
    text = told(stored(planted() + ceiling(0.2)))
    first = text.split("**Full training.**")[1].split("\n")[0]
    assert re.search(r"1 of 3 strategies beat `random` beyond noise: `good` \(\+0\.0[45]\d\)", first)
    assert re.search(r"Worse than `random`: `bad` \(-0\.0[45]\d\)", first)
    assert "alike" not in first
    assert re.search(r"\| \*\*\+0\.0[45].* better\*\* \(n 10\) \|", row(text, "Difference to random over the pairs", "good"))
    assert re.search(r"\| \*\*-0\.0[45].* worse\*\* \(n 10\) \|", row(text, "Difference to random over the pairs", "bad"))
    assert re.search(r"noise \(n 10\) \|$", row(text, "Difference to random over the pairs", "alike"))
    assert row(text, "Difference to random, pair by pair", "good").count("better") == 2
    share = re.search(r"(\d+)% \[", row(text, "Macro F1, mean over 2 pairs", "good"))
    assert 20 <= int(share[1]) <= 30, "0.05 of a gap of 0.2"
    assert "Of the 6 comparisons on single pairs, 2 are better than `random` and 2 are worse" in text


def test_where_nothing_beats_random_the_first_sentence_says_so():
    text = told(stored(planted({"random": 0.0, "alike": 0.0, "bad": -0.05})))
    assert "**none** of 2 strategies beats `random` beyond noise" in text.split("## What was run")[0]
    assert re.search(r"The smallest true difference that these seeds can show is 0\.0\d\d", text)


def test_a_partial_grid_says_so_and_a_whole_one_does_not():
    cells = [c for c in planted() if not (c["spec"]["submission"] == "good" and c["spec"]["seed"] > 6)]
    text = told(stored(cells, missing=6))
    assert "**Partial:** 6 of 80 cells are not stored yet." in text
    assert "74 of 80" in text
    assert "better** (n 7)" in row(text, "Difference to random over the pairs", "good")
    assert "(n 10)" in row(text, "Difference to random over the pairs", "bad")
    assert "Partial" not in told(stored(planted()))


def test_one_seed_decides_nothing():
    text = told(stored(planted(n=1)))
    assert "better" not in row(text, "Difference to random over the pairs", "good")
    assert "too few seeds" in row(text, "Difference to random over the pairs", "good")


def test_a_failed_cell_is_named():
    cells = planted()
    cells[25] = cell("good", None, PAIRS[0], 5)
    text = told(stored(cells))
    assert "good at 621:17, seed 5: RUNTIME_ERROR: ZeroDivisionError: division by zero" in text
    assert "failed cells" in row(text, "Difference to random over the pairs", "good")


def test_what_a_strategy_loses_on_hidden_pairs_is_shown():
    cells = planted(noise=0.001) + planted({**PLANTED, "good": 0.02}, pairs=(Pair(987, 42),), noise=0.001)
    text = told(stored(cells))
    lost = row(text, "Public minus hidden pairs (hidden: 987:42)", "good")
    assert float(re.search(r"\+0\.\d+", lost)[0]) == pytest.approx(0.03, abs=0.002)
    assert re.search(r"\| [+-]0\.00\d \[", row(text, "Public minus hidden pairs", "alike"))
    assert "Public minus hidden" not in told(stored(planted()))


def test_a_proxy_is_marked_at_every_table_and_never_stands_among_full_trainings():
    full, proxy = planted() + ceiling(0.2), planted(pipeline=PROXY) + ceiling(0.1, pipeline=PROXY)
    text = told(stored(full), stored(proxy, name="proxy"))
    head, rest = text.split("\n## The proxy\n")
    mine = rest.split("\n## How to read it")[0]
    titles = re.findall(r"^\*\*(?!Scores)[A-Z][^*]*\.\*\*.*$", mine, re.MULTILINE)
    assert len(titles) >= 5
    assert all("*Proxy;" in title for title in titles)
    assert sum("tau-b with `quick` 1.00 [" in title for title in titles) == len(titles) - 1, "all but the overview"
    assert "*Proxy;" not in head
    assert "by a Kendall's tau-b of" in head


def test_strategies_that_buy_the_same_with_every_seed_are_named():
    cells = planted(pipeline=PROXY)
    cells = [cell("fixed", 0.5, Pair.parse(c["spec"]["task"]), c["spec"]["seed"], pipeline=PROXY) for c in cells[:20]] + cells
    assert "never changes: `fixed`.\n" in told(stored(cells))
    assert "with every seed" not in told(stored(planted(pipeline=PROXY)))


# -- cells in columns


def test_cells_in_columns_give_the_same_report_as_the_cells():
    cells = [*planted(), *planted(label_quality=0.8), *ceiling(0.2), cell("good", None, PAIRS[0], 11)]
    back = unpack(stored(cells))
    assert len(back) == len(cells)
    reports = []
    for some in (cells, back):
        report = comparison_report(sort_cells(some, TRACKS)[0], [], Asked())
        for table in report["tables"]:
            for failed in table["failed"]:
                failed["reason"] = failed["reason"].split("\n")[0]
        reports.append(report)
    assert reports[0] == reports[1]
    text = pack([("full", c) for c in cells], [{"name": "full"}], [])
    assert len(text) / len(cells) < 120, "bytes per cell"
    columns = json.loads(text)["columns"]
    assert {len(values) for values in columns.values()} == {len(cells)}


def test_committed_cells_of_kit_0_2_are_those_of_today_once_they_are_packed_anew():
    old = json.loads(Path(__file__).with_name("kit_0_2_proxy.json").read_text())
    assert old["schema"] == 1
    cells = unpack(old)
    assert len(cells) == len(old["columns"]["cell"])
    for found, seed, score in zip(cells, old["columns"]["seed"], old["columns"]["macro_f1"], strict=True):
        assert (found["spec"]["seed"], found["metrics"]["macro_f1"]) == (seed, score)
        assert (found["spec"]["version"], found["versions"]) == (1, {"kit": "0.2.0"})
    assert {PurchaseSpec.from_dict(found["spec"]).task for found in cells} == set(old["pairs"])
    text = pack([("full", found) for found in cells], [{"name": "full"}], [])
    assert json.loads(text)["schema"] == 2
    reports = [comparison_report(sort_cells(some, TRACKS)[0], [], Asked()) for some in (cells, unpack(json.loads(text)))]
    assert reports[0] == reports[1]


def test_cells_of_other_versions_of_the_libraries_are_in_no_table_together_and_the_page_says_so():
    cells = planted()
    for found in cells[-3:]:
        found["versions"] = found["versions"] | {"numpy": "1.0"}
    text = told(stored(cells))
    assert re.search(r"3 cells of other versions: numpy 1\.0, not [\d.]+", text)
    assert re.search(r"^- Made by kit [\w.]+ with python [\d.]+, numpy [\d.]+, .*torch [^ ]+.*\.$", text, re.MULTILINE)
    for found in cells:
        found["versions"] = {"kit": "0.2.0"}
    assert "\n- Made by kit 0.2.0.\n" in told(stored(cells))


def test_a_file_of_another_version_is_refused():
    with pytest.raises(ConfigurationError, match="has schema 99; expected 2"):
        unpack(stored(planted()) | {"schema": 99})


@pytest.mark.parametrize("value", [1.5, -0.1, "0.5", float("nan")])
def test_a_score_that_its_metric_cannot_have_is_refused(value):
    content = stored(planted())
    content["columns"]["accuracy"][3] = value
    with pytest.raises(ConfigurationError, match=r"the metric accuracy is .*; expected"):
        unpack(content)


# -- which cells belong to an experiment


@pytest.fixture
def experiment(tmp_path) -> Path:
    for name in ("good", "bad"):
        (tmp_path / f"{name}.py").write_text("from run import ZEWDPCBaseRun\n\n\nclass Some(ZEWDPCBaseRun):\n    pass\n")
    file = tmp_path / "some.toml"
    file.write_text(
        'submissions = ["good.py", "bad.py"]\nprofile = "quick"\npairs = ["621:17,1321:34"]\n'
        "seeds = 3\nlabel-quality = [1.0, 0.8]\n"
    )
    return file


def keep(folder: Path, name: str, digest: str, seed: int = 0, **changes) -> None:
    pipeline = fitted(FULL, QUICK.image_size, QUICK.weights)
    settings = {"root_seed": 2022, "profile": QUICK, "submission_digest": digest, "pipeline": pipeline}
    Store(folder).write_cell(Judged(result(name, 0.5, seed=seed, **(settings | changes))))


def test_a_grid_gathers_its_own_cells_and_no_others(experiment, tmp_path):
    grid = Grid.read(experiment)
    assert grid.size == 2 * 2 * 3 * 2
    folder, digest = tmp_path / "cells", grid.submissions["good"]
    for seed in range(4):  # the last is none of it
        keep(folder, "good", digest, seed)
    keep(folder, "good", digest, pair=Pair(1889, 51))
    keep(folder, "good", digest, label_quality=0.9)
    keep(folder, "good", digest, score_split="test")
    keep(folder, "good", digest, pipeline=replace(FULL, name="other"))
    keep(folder, "other", digest)
    keep(folder, "good", digest, label_quality=0.8)
    gathered = gather([grid], [folder, folder])
    cells = gathered.cells(proxy=False)
    assert [(name, c["spec"]["label_quality"], c["spec"]["seed"]) for name, c in cells] == [
        ("some", 1.0, 0),
        ("some", 1.0, 1),
        ("some", 1.0, 2),
        ("some", 0.8, 0),
    ]
    assert gathered.cells(proxy=True) == []
    assert gathered.left_out == []


def test_results_of_kit_0_2_are_gathered(experiment, tmp_path):
    for name in ("random", "steady"):
        shutil.copy(tmp_path / "good.py", tmp_path / f"{name}.py")
    experiment.write_text(
        'submissions = ["random.py", "steady.py"]\nprofile = "debug"\npipelines = ["milliseconds"]\n'
        'pairs = ["621:17,1321:34"]\nseeds = 2\n'
    )
    grid = Grid.read(experiment)
    found = gather([grid], [OLD]).cells(proxy=False)
    assert len(found) == grid.size == 8
    back = unpack(json.loads(pack(found, [grid.as_dict(len(found))], [])))
    for (_, cell_of_old), unpacked in zip(found, back, strict=True):
        old = json.loads((OLD / "cells" / f"{cell_of_old['cell']}.json").read_text())
        assert unpacked["spec"]["task"] == old["spec"]["pair"]
        assert unpacked["metrics"]["macro_f1"] == pytest.approx(old["metrics"]["macro_f1"], abs=1e-5)
        assert unpacked["purchase"]["bought"] == old["purchase"]["bought"]
        assert unpacked["versions"] == old["versions"]


def test_of_several_versions_todays_counts_and_an_older_one_is_said(experiment, tmp_path):
    grid = Grid.read(experiment)
    folder = tmp_path / "cells"
    for seed in range(3):
        keep(folder, "good", "old", seed)
        keep(folder, "bad", "old", seed)
    keep(folder, "good", grid.submissions["good"])
    gathered = gather([grid], [folder])
    versions = [(c["spec"]["submission"], c["spec"]["submission_digest"]) for _, c in gathered.cells(proxy=False)]
    assert sorted(versions) == sorted([("bad", "old")] * 3 + [("good", grid.submissions["good"])])
    assert "bad has changed since it was run: the figures are those of version old" in gathered.left_out
    assert "3 cells of other versions of good" in gathered.left_out


def test_cells_that_were_gathered_before_are_kept_and_where_to_go_on_is_told(experiment, tmp_path):
    """Cells are many and large; a grid that takes days goes on from the committed file alone, without a cell counted twice."""
    grid = Grid.read(experiment)
    first, second = tmp_path / "first", tmp_path / "second"
    names = [(n, d, q, s) for n, d in grid.submissions.items() for q in grid.qualities for s in range(2)]
    for name, digest, quality, seed in names:
        for pair in grid.pairs:
            keep(first, name, digest, seed, label_quality=quality, pair=Pair.parse(pair))
    keep(first, "bad", "old", 2)
    before = gather([grid], [first]).cells(proxy=False)
    kept = unpack(json.loads(pack(before, [grid.as_dict(len(before))], [])))
    assert grid.unfinished(kept) == range(2, 3)
    assert grid.unfinished(kept[:-1]) == range(1, 3)
    assert grid.unfinished([]) == range(3)
    keep(second, *names[-1][:2], 1, label_quality=names[-1][2])  # lies there and is kept
    keep(second, "good", grid.submissions["good"], 2)
    cells = gather([grid], [second], [*kept, cell("bad", 0.5, seed=2, submission_digest="old")]).cells(proxy=False)
    assert len({c["cell"][:12] for _, c in cells}) == len(cells) == len(kept) + 1


def test_a_file_of_both_kinds_of_pipelines_is_refused(experiment):
    experiment.write_text(experiment.read_text() + 'pipelines = ["quick", "proxy"]\n')
    with pytest.raises(ConfigurationError, match="give each a file of its own"):
        Grid.read(experiment)


def test_the_experiments_are_those_that_were_promised():
    grids = {path.stem: Grid.read(path) for path in HERE.sweeps}
    baselines = {
        path.stem
        for path in (HERE.root / "baselines").iterdir()
        if not path.name.startswith(("_", "README", "cleaning", "curation"))
    }
    # The ceiling has a file of its own, an extra is not asked of anybody, and other tracks have folders of their own.
    assert set(grids["proxy-rare"].submissions) == {*baselines, "my_submission"} - {"full_pool", "scikit_activeml"}
    assert len(grids["proxy-rare"].pairs) >= 3
    assert set(grids["proxy-rare-noise"].submissions) == set(grids["proxy-rare"].submissions)
    assert len([quality for quality in grids["proxy-rare-noise"].qualities if quality < 1]) == 2
    assert {grid.settings.profile for grid in grids.values()} == {"quick", "rare"}
    for name, grid in grids.items():
        assert grid.proxy == name.startswith("proxy")
        assert set(grid.splits) == {"validation", "test"}
        assert len(grid.data_sets) >= 8, "the data set is a level of its own"
        assert 0 not in grid.data_sets, "the profile's own data set was tuned on"
        assert name.endswith("ceiling") or "random" in grid.submissions
    noisy = grids["proxy-rare"].qualities + grids["proxy-rare-noise"].qualities
    for kind, qualities in (
        ("full-rare", grids["full-rare"].qualities),
        ("proxy-rare", noisy),
        ("proxy-quick", grids["proxy-quick"].qualities),
    ):
        grid, top = grids[kind], grids[f"{kind}-ceiling"]
        profile = profile_named(top.settings.profile)
        assert all(
            profile.budget(Pair.parse(pair)) >= profile.drawn.get("unlabelled", profile.sizes["unlabelled"]) for pair in top.pairs
        ), "the whole pool"
        assert top.qualities == qualities, "a ceiling is that of its own conditions"
        for name in ("profile", "pipelines", "score_split", "data_sets"):
            assert getattr(top.settings, name) == getattr(grid.settings, name), "a ceiling is that of its own conditions"
    for profile in ("rare", "quick"):
        full, proxy = grids[f"full-{profile}"], grids[f"proxy-{profile}"]
        assert len(set(full.submissions) & set(proxy.submissions) - {"random"}) >= 3, "else the proxy is held against nothing"
        assert set(full.pairs) <= set(proxy.pairs)


def test_the_page_takes_four_hours_of_two_cores_at_most(capsys):
    found = costs([Grid.read(path) for path in HERE.sweeps], read([HERE.cells(False), HERE.cells(True)])[0])
    assert sum(cost.seconds for cost in found) <= 4 * 3600
    assert command.main(["--forecast"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("h of 2 cores; at most 4 h are allowed")
    # Every kind of work counts: more seeds, more data sets and larger budgets take longer.
    (small,) = costs([Grid.read(HERE.root / "experiments" / "sweeps" / "full-quick.toml")], [])
    grid = Grid.read(HERE.root / "experiments" / "sweeps" / "full-quick.toml")
    (twice,) = costs([replace(grid, settings=replace(grid.settings, seeds=4))], [])
    assert (twice.training, twice.answering, twice.data) == (2 * small.training, 2 * small.answering, small.data)
    (more,) = costs([replace(grid, settings=replace(grid.settings, data_sets=16))], [])
    assert (more.training, more.data) == (2 * small.training, 2 * small.data)
    assert seconds_of([stored(planted(n=2))]) == dict.fromkeys(PLANTED, 1.2)


# -- the figures, derived again without the kit


@pytest.fixture(scope="module")
def of_page() -> Found:
    return rederive(HERE.page.read_text(), [HERE.cells(False), HERE.cells(True)])


def test_every_figure_of_the_committed_page_is_derived_again_from_its_cells(of_page):
    assert of_page.wrong == []
    assert sum(of_page.right.values()) > 3_000
    assert of_page.left == {}, "every figure is derived"


def test_the_script_finds_what_is_wrong_and_knows_nothing_of_the_kit():
    modules = sorted((HERE.root / "experiments" / "rederive").rglob("*.py"))
    assert {"__main__.py", "differences.py", "page.py"} <= {path.name for path in modules}
    kit = re.compile(r"^\s*(from|import) (evaluator|benchmarks|run|local_evaluation|experiments(?!\.rederive\b))\b", re.MULTILINE)
    assert [path.name for path in modules if kit.search(path.read_text())] == []
    text = page(Results.of([stored(planted() + ceiling(0.2))]))
    wrong = {
        "scores": (r"(\| good \| )0\.(\d)", r"\g<1>0.9"),
        "findings": (r"\| better \|", "| worse |"),
        "wins": (r"\| 2-0-0", "| 1-1-0"),
    }
    assert rederived(text, planted() + ceiling(0.2)).right.keys() >= wrong.keys()
    for kind, (pattern, other) in wrong.items():
        changed, n = re.subn(pattern, other, text, count=1)
        assert n == 1, kind
        assert kind in "".join(rederived(changed, planted() + ceiling(0.2)).wrong)
    assert rederived(text, planted() + ceiling(0.2)).wrong == []


def hard(kind: str) -> list[dict]:
    """Cells of which something is to be said."""
    n = {"few seeds": 4, "drawn flips": 16}.get(kind, 7)
    cells = planted(n=n) + ceiling(0.2, n)
    if kind == "failed cells":
        cells[3 * n] = cell("good", None, PAIRS[1], 0)
    elif kind == "one observation":
        for found in cells:
            if found["spec"]["submission"] in ("random", "good"):
                found["purchase"]["content"] = "the same"
    elif kind == "collapse":
        for found in (cells[0], cells[2 * n + 1], cells[-1]):
            found["metrics"] |= {"macro_f1": 0.09, "best_constant_macro_f1": 0.1}
    elif kind == "late":
        cells[2]["verdict"] = "TIME_LIMIT"
    elif kind == "hidden":
        cells += planted({**PLANTED, "good": 0.0}, n, (Pair(987, 42),))
    elif kind == "never run":
        del cells[2 * n : 2 * n + 2]
    return cells


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("few seeds", "too few seeds"),
        ("drawn flips", "(n 16)"),
        ("failed cells", "1 failed"),
        ("one observation", "1 of 7"),
        ("collapse", "with a collapse"),
        ("late", "7, 1 late"),
        ("hidden", "Public minus hidden"),
        ("never run", "(n 5)"),
    ],
)
def test_the_script_derives_what_is_no_plain_figure(kind, said):
    cells = hard(kind)
    text = told(stored(cells))
    assert said in text
    found = rederived(text, cells)
    assert found.wrong == []
    assert found.left == {}


def rederived(text: str, *files: list[dict]) -> Found:
    with tempfile.TemporaryDirectory() as name:
        paths = [Path(name) / f"{i}.json" for i in range(len(files))]
        for path, cells in zip(paths, files, strict=True):
            path.write_text(json.dumps(stored(cells, name=("full", "proxy")[paths.index(path)])))
        return rederive(text, paths)


# -- several data sets, and seeds for tuning


def on_data_sets(count=6, spread=0.01, n=3, effects=PLANTED, with_ceiling=False, **changes) -> list[dict]:
    """Strategies differ from random by more or less on each data set."""
    found = []
    for number in range(1, count + 1):
        data = {split: f"{number} {split}" for split in ("training", "unlabelled", "validation")}
        moved = {name: effect + spread * generator(5, number, name).normal() for name, effect in effects.items()}
        found += planted(moved, n, PAIRS, data_set=number, data=data, **changes)
        found += ceiling(0.2, n, data_set=number, data=data, **changes) if with_ceiling else []
    return found


def test_a_page_over_data_sets_has_both_levels_and_says_nothing_of_one_data_set(tmp_path):
    full, quick = on_data_sets(with_ceiling=True), on_data_sets(pipeline=PROXY)
    fallen = next(c for c in full if c["spec"]["submission"] == "alike")
    fallen["metrics"]["best_constant_macro_f1"] = 0.99  # as if a constant answer were as good
    results = Results.of([stored(full), stored(quick, name="proxy")])
    text = page(results)
    assert "**One data set.**" not in text
    assert "it is the same for all seeds" not in text
    head = text.split("## What was run")[0]
    assert re.search(
        r"\*\*Full training, over data sets\.\*\* Over 1 condition \(6 data sets nobody tuned on, 3 seeds on each", head
    )
    assert "1 of 3 strategies is better than `random`: `good` in 1 of 1" in head
    assert "all tests of this page: 6 strategies under" in head, "the ceiling is no competitor, on the proxy neither"
    assert re.search(
        r"\| 0\.6\d\d \[0\.\d+, 0\.\d+\] \| 3 \|", row(text, "Macro F1, mean over 2 pairs, over 6 data sets", "full_pool")
    )
    assert text.count("| full_pool |") == 1, "a mean and no difference"
    assert "1 of 306 scored cells is no better than the best constant answer (`alike` 1)" in head
    assert "! (1 of 18 collapsed; " in row(text, "Macro F1, mean over 2 pairs, over 6 data sets", "alike")
    assert re.search(
        r"! \(1 of 18 with a collapse; .* within noise ! \|", row(text, "Difference to random, mean over 2 pairs, over 6", "alike")
    )
    assert "## What was tried" in text
    (table,) = [table for table, _ in results.levels(False)]
    good = next(row for row in table["differences"] if row["strategy"] == "good")
    shown = row(text, "Difference to random, mean over 2 pairs, over 6 data sets x 3 seeds", "good")
    assert shown.split(" | ")[1] == "{mean:+.3f} [{low:+.3f}, {high:+.3f}]".format(**good["levels"])
    each = row(text, "Difference to random on each data set", "good").strip("| ").split(" | ")[1:]
    means = [float(cell.split()[0]) for cell in each]
    assert sum(means) / 6 == pytest.approx(good["levels"]["mean"], abs=1e-3)
    proxy = text.split("## The proxy, over data sets")[1]
    assert "What the proxy shares with the strategies" in proxy.split("###")[0]
    assert re.search(r"\| clean labels, validation split[^|]*\| quick \| 1\.00 ", proxy.split("over data sets\n")[-1])
    again = rederived(text, full, quick)
    assert again.wrong == []
    assert again.left == {}, "every figure is derived"
    assert again.right["one other data set"] == 18
    assert again.right["headline"] >= 6
    changed = text.replace(shown, shown.replace("better", "worse"))
    assert "findings" in "".join(rederived(changed, full, quick).wrong)
    names = {path.name for path in draw(results, tmp_path, "")}
    assert names == {PICTURES[False, "levels"], PICTURES[True, "levels"]}
    assert set(re.findall(r"images/([\w-]+\.svg)", text)) == names


def test_a_page_of_one_data_set_says_so():
    text = told(stored(planted()))
    assert "**One data set.** What follows was measured on one data set, the profile's own." in text
    assert "it is the same for all seeds" in text


def test_grids_and_cells_of_seeds_for_tuning_are_refused(experiment, tmp_path):
    asked = experiment.read_text()
    for line in ("first-seed = 9500\n", "data-sets = 2\nfirst-data-set = 9001\n", f"root-seed = {tuning.ROOT_SEED}\n"):
        experiment.write_text(re.sub(r"root-seed.*\n", "", asked) + line if "root" in line else asked + line)
        with pytest.raises(ConfigurationError, match="cells of seeds for tuning"):
            Grid.read(experiment)
    for changes in ({"seed": 9_001}, {"data_set": 9_999}, {"root_seed": tuning.ROOT_SEED}):
        one = cell("good", 0.5, PAIRS[0], **({"seed": 0} | changes))
        with pytest.raises(ConfigurationError, match="experiments/cells: 1 cells of seeds for tuning"):
            Results.of([stored([*planted(n=2), one])])
    assert not tuning.is_tuning(spec("good", seed=8_999, data_set=9_000).as_dict())


def test_the_studies_grid_is_of_seeds_for_tuning():
    settings, _ = read_settings({}, PURCHASE, HERE.root / "experiments" / "studies" / "tuning.toml")
    assert set(settings.seed_numbers) <= set(tuning.SEEDS)
    assert set(settings.data_set_numbers) <= set(tuning.DATA_SETS)


# -- pictures, and the command


def test_pictures_are_drawn_of_everything_and_are_the_same_again(tmp_path):
    some = {"random": 0.0, "a": 0.03, "b": 0.0, "c": -0.03}
    files = [
        stored([*planted(some, n=4, **q), *ceiling(0.2, 4, **q)], name=n) for n, q in (("full", {}), ("proxy", {"pipeline": PROXY}))
    ]
    results = Results.of(files)
    first, again = ([path.read_bytes() for path in draw(results, tmp_path / name, "source 1")] for name in ("one", "two"))
    of_one = {name for (_, what), name in PICTURES.items() if what != "levels"}
    assert {path.name for path in (tmp_path / "one").iterdir()} == of_one
    assert first == again
    for content in first:
        ElementTree.fromstring(content)
        assert b"source 1" in content


def test_pictures_of_one_seed_and_of_no_full_training_are_drawn(tmp_path):
    results = Results.of([stored(planted(n=1, pipeline=PROXY), name="proxy")])
    names = {path.name for path in draw(results, tmp_path, "")}
    assert names == {PICTURES[True, "differences"], PICTURES[True, "curves"]}
    assert set(re.findall(r"images/([\w-]+\.svg)", page(results))) == names


def test_the_command_refuses_what_makes_no_sense(tmp_path, capsys):
    for words in (["--page-only", "--run"], ["--check", "--keep"], ["--check", "--page-only"]):
        assert command.main(words, Places(tmp_path)) == 2
        assert "leave --run, --cells and --keep out" in capsys.readouterr().err
    assert command.main(["--cells", str(tmp_path / "none")]) == 2
    assert "does not exist" in capsys.readouterr().err
    with pytest.raises(ConfigurationError, match="Gather cells first"):
        read([tmp_path / "a.json", tmp_path / "b.json"])


def test_the_command_runs_gathers_and_writes(experiment, tmp_path, monkeypatch):
    folder = tmp_path / "results"
    digests = Grid.read(experiment).submissions

    def sweep(words: list[str]) -> int:
        assert words == ["sweep", "--file", str(experiment), "--out", str(folder)]
        for name, digest in digests.items():
            for seed in range(3):
                keep(folder, name, digest, seed)
        return 0

    monkeypatch.setattr(command, "evaluator", sweep)
    places = Places(tmp_path / "repository")
    assert command.main(["--run", "--cells", str(folder), "--experiments", str(experiment)], places) == 0
    text = places.page.read_text()
    assert "6 of 24" in text
    assert "**Partial:** 18 of 24" in text
    places.page.unlink()
    assert command.main(["--page-only"], places) == 0
    assert places.page.read_text() == text
    assert command.main(["--cells", str(folder), "--keep", "--experiments", str(experiment)], places) == 0
    assert places.page.read_text() == text


def test_a_kind_whose_results_are_over_data_sets_is_not_said_to_have_none():
    from experiments.summary import sentences

    empty = {"tables": []}
    assert [text.split(".")[0] for text in sentences(empty)] == [
        "**Full training",
        "**Proxy** (a linear head on frozen embeddings; do not compare its scores with others)",
        "**Where",
    ]
    assert [text.split("**")[1] for text in sentences(empty, {False})] == ["Proxy", "Where."]
    assert [text.split("**")[1] for text in sentences(empty, {False, True})] == ["Where."]


def test_conditions_are_told_apart_by_what_differs_and_by_no_more():
    from experiments.pictures import _title
    from experiments.summary import titles

    def table(profile, pipeline="round2"):
        return {"profile": profile, "pipeline": pipeline, "label_quality": 1, "score_split": "test"}

    assert titles([table("quick"), table("quick")]) == ["clean labels, test split"] * 2
    assert titles([table("quick"), table("rare")]) == ["clean labels, test split (quick)", "clean labels, test split (rare)"]
    assert titles([table("quick", "a"), table("rare", "b")])[1] == "clean labels, test split (rare, b)"
    assert _title([table("quick"), table("rare")], False, "macro F1").startswith("Full training (round2, profiles quick, rare)\n")
    assert _title([table("quick")], True, "macro F1").startswith("PROXY (round2, profile quick)\n")
