"""The warning before labels are sold that say nothing: when it is said, what it says, and who hears it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import SUBMISSIONS, TINY

import evaluator.purchase.plan
import evaluator.sweep.experiment
import local_evaluation
from evaluator.cli.main import main
from evaluator.data.annotators import expected_noise
from evaluator.data.painted import Generator, size_pairs
from evaluator.machine import Load
from evaluator.purchase import profiles
from evaluator.purchase.label_quality import enough_quality, quality_warnings, sold_noise
from evaluator.purchase.market import Market
from evaluator.purchase.profiles import PROFILES
from evaluator.purchase.purchased import sold_labels

ROOT = Path(__file__).resolve().parents[2]
RANDOM = SUBMISSIONS / "random_buyer.py"


def labels_of(name: str) -> np.ndarray:
    """The labels of a profile's pool, as its public data has them; no image is made."""
    profile = PROFILES[name]
    generator = Generator(profile.data_seed, profile.image_size, profile.round.classes, profile.shift)
    return np.array([generator.label("unlabelled", i) for i in range(profile.sizes["unlabelled"])])


@pytest.fixture(scope="module")
def pools() -> dict[str, np.ndarray]:
    return {name: labels_of(name) for name in ("quick", "rare")}


@pytest.fixture
def pool(sets):
    """The tiny sets with a pool of other labels; its images are as many rows of the tiny ones, and none is looked at."""

    def make(labels: np.ndarray):
        split, images = sets.splits["unlabelled"], sets.images["unlabelled"]
        split = replace(split, labels=labels, files=tuple(f"{i:05d}.png" for i in range(len(labels))))
        images = replace(images, rows=np.resize(images.rows, len(labels)))
        return replace(sets, splits=sets.splits | {"unlabelled": split}, images=sets.images | {"unlabelled": images})

    return make


def warned(sets, name, *qualities, seeds=range(2)):
    return quality_warnings(PROFILES[name], sets, qualities, 2022, seeds)


# -- when, and what


def test_rare_ones_are_warned_of_at_a_quality_that_drowns_them_and_at_no_other(pool, pools):
    rare = pool(pools["rare"])
    (text,) = warned(rare, "rare", 0.8)
    noise = sold_noise(PROFILES["rare"], rare, 0.8, 2022, range(2))
    whole = noise.over_classes()
    for part in (
        "label quality 0.8",
        f"{noise.positive_share:.1%} of the pool's entries are positive",
        f"only {whole.right_share[0]:.1%} of the labels sold as positive are truly positive",
        f"{whole.missed_share[0]:.1%} of the positive labels are sold as 0",
        f"{noise.right_share.min():.1%} to {noise.right_share.max():.1%} by class",
        f"--label-quality {enough_quality(noise):g}",
    ):
        assert part in text
    assert whole.right_share[0] < 0.05
    assert warned(rare, "rare", 0.97) == warned(rare, "rare", 1.0) == warned(rare, "rare", 1.0, 0.97) == ()
    quick = pool(pools["quick"])
    assert warned(quick, "quick", 0.8) == ()
    assert len(warned(quick, "quick", 0.6)) == 1


def test_several_qualities_are_one_warning_of_those_that_are_too_low(pool, pools):
    (text,) = warned(pool(pools["rare"]), "rare", 1.0, 0.97, 0.9, 0.8)
    assert text.startswith("label quality 0.9, 0.8: ")
    assert "at 0.9 " in text
    assert "at 0.8 " in text
    assert "0.97" not in text


@pytest.mark.parametrize("name", ["quick", "rare"])
def test_the_quality_that_is_called_enough_is_the_lowest_without_a_warning(pool, pools, name):
    sets = pool(pools[name])
    enough = enough_quality(sold_noise(PROFILES[name], sets, 0.9, 2022, range(2)))
    assert warned(sets, name, enough) == ()
    assert len(warned(sets, name, round(enough - 0.001, 3))) == 1


def test_the_limit_by_hand(pool):
    # One entry in ten is positive: 600 of 6,000. At 0.9 as many entries are wrong, so half of the sold positive labels are right.
    labels = np.zeros((1_000, 6), np.uint8)
    labels[:100] = 1
    sets = pool(labels)
    noise = sold_noise(TINY, sets, 0.9, 0, range(1))
    assert enough_quality(noise) == 0.9
    assert noise.over_classes().right_share == pytest.approx([0.5])
    assert quality_warnings(TINY, sets, (0.9,), 0, range(1)) == ()
    (text,) = quality_warnings(TINY, sets, (0.899,), 0, range(1))
    assert "--label-quality 0.9 or more" in text


def test_a_pool_without_ones_and_one_of_ones_alone(pool):
    (text,) = quality_warnings(TINY, pool(np.zeros((50, 6), np.uint8)), (0.99,), 0, range(1))
    assert "only 0.0% of the labels sold as positive are truly positive" in text
    assert "--label-quality 1 or more" in text
    assert "nan" not in text
    assert quality_warnings(TINY, pool(np.ones((50, 6), np.uint8)), (0.5,), 0, range(1)) == ()
    assert quality_warnings(TINY, pool(np.zeros((0, 6), np.uint8)), (0.5,), 0, range(1)) == ()


def test_pools_that_seeds_draw_are_taken_together(pool, pools):
    sets, profile = pool(pools["rare"]), PROFILES["rare"]
    each = [expected_noise(sets.drawn(profile, 2022, seed).splits["unlabelled"].labels, 0.2, size_pairs()) for seed in (3, 4)]
    both = sold_noise(profile, sets, 0.8, 2022, (3, 4))
    assert both.images == 2 * profile.drawn["unlabelled"]
    assert both.missed == pytest.approx(each[0].missed + each[1].missed)
    assert not np.array_equal(each[0].positives, each[1].positives)


@pytest.mark.parametrize("quality", [0.97, 0.9, 0.8])
def test_a_market_sells_what_is_expected_of_it(pool, pools, cell_spec, quality):
    sets, seeds = pool(pools["rare"][:600]), range(60)
    expected = sold_noise(TINY, sets, quality, 7, seeds)
    truth = sets.splits["unlabelled"].labels
    missed, imagined = [], []
    for seed in seeds:
        spec = cell_spec(RANDOM, label_quality=quality, seed=seed, root_seed=7)
        market = Market(sold_labels(spec, sets.of(spec)), np.arange(len(truth)), len(truth))
        sold = np.array(market.purchase_labels(range(len(truth))))
        missed.append(((truth == 1) & (sold == 0)).sum(axis=0))
        imagined.append(((truth == 0) & (sold == 1)).sum(axis=0))
    for counts, wanted in ((np.array(missed), expected.missed), (np.array(imagined), expected.imagined)):
        assert np.all(np.abs(counts.mean(axis=0) - wanted) < 4.5 * counts.std(axis=0) / np.sqrt(len(seeds)))


def test_the_table_in_the_organisers_page_is_what_is_expected(pools):
    text = (ROOT / "docs" / "organisers.md").read_text(encoding="utf-8")
    rows = {}
    for quality in (0.97, 0.9, 0.8):
        figures = []
        for labels in (pools["quick"], pools["rare"]):
            whole = expected_noise(labels, 1 - quality, size_pairs(labels.shape[1])).over_classes()
            figures += [f"{share[0]:.1%}".replace("%", " %") for share in (whole.missed_share, whole.right_share)]
        rows[quality] = f"| {quality:g} | {' | '.join(figures)} |"
    assert [row for row in rows.values() if row not in text] == []
    for name, labels in pools.items():
        assert f"{enough_quality(expected_noise(labels, 0.1, size_pairs(labels.shape[1]))):g} for `{name}`" in text


# -- who hears it, and that it changes nothing


@pytest.fixture(scope="module")
def rare_folder(data_folder, tmp_path_factory) -> Path:
    """The tiny data with one image in eight of the pool damaged, in one way."""
    folder = tmp_path_factory.mktemp("rare") / "tiny"
    shutil.copytree(data_folder, folder)
    path = folder / "unlabelled" / "labels.csv"
    head, *lines = path.read_text().splitlines()
    rows = [line.split(",")[0] + "," + ("0,0,0,0,0,1" if i % 8 == 0 else "0,0,0,0,0,0") for i, line in enumerate(lines)]
    path.write_text("\n".join((head, *rows)) + "\n")
    return folder


@pytest.fixture
def call(monkeypatch, tmp_path, rare_folder, capsys):
    """Run a front door on that data, on a quiet machine: (stdout, stderr)."""
    monkeypatch.setitem(profiles.PROFILES, "tiny", TINY)
    monkeypatch.setattr(evaluator.sweep.experiment, "load", lambda: Load(0.0, None, 2))
    monkeypatch.setattr(local_evaluation, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)

    def run(door, *options, out="results"):
        given = [
            "--profile",
            "tiny",
            "--data",
            rare_folder,
            "--sandbox",
            "process",
            "--device",
            "cpu",
            "--threads",
            1,
            "--out",
            out,
        ]
        given += ["--submission" if door is local_evaluation.main else "--submissions", RANDOM]
        first = [] if door is local_evaluation.main else ["sweep"]
        capsys.readouterr()
        assert door([*first, *map(str, given), *map(str, options)]) == 0
        printed = capsys.readouterr()
        return printed.out, printed.err

    return run


def said(err: str) -> list[str]:
    return [line.removeprefix("warning: ") for line in err.splitlines() if line.startswith("warning: ")]


def test_an_evaluation_says_it_once_on_stderr_and_keeps_it(call, tmp_path):
    out, err = call(local_evaluation.main, "--label-quality", 0.9, "--pair", "621:17", "--pipeline", "milliseconds", "--json")
    (text,) = said(err)
    assert text.startswith("label quality 0.9: ")
    assert json.loads(out)["warnings"] == [text]
    (file,) = tmp_path.glob("results/*/result.json")
    assert json.loads(file.read_text())["warnings"] == [text]
    out, err = call(local_evaluation.main, "--pair", "621:17", "--pipeline", "milliseconds", "--json")
    assert said(err) == json.loads(out)["warnings"] == []


@pytest.mark.slow
@pytest.mark.endurance
def test_a_sweep_says_it_once_on_stderr_and_keeps_it_and_so_does_its_dry_run(call, tmp_path):
    options = ("--pairs", "621:17", "--label-quality", 1.0, 0.9, "--seeds", 2, "--workers", 1, "--json")
    out, err = call(main, *options, "--dry-run")
    (text,) = said(err)
    assert text.startswith("label quality 0.9: ")
    assert json.loads(out)["warnings"] == [text]
    assert not (tmp_path / "results").exists()
    out, err = call(main, *options)
    assert said(err) == json.loads(out)["warnings"] == [text]
    (file,) = tmp_path.glob("results/*-sweep/sweep.json")
    assert json.loads(file.read_text())["warnings"] == [text]
    out, err = call(main, "--pairs", "621:17", "--dry-run", "--json")
    assert said(err) == json.loads(out)["warnings"] == []


@pytest.mark.endurance
def test_the_warning_changes_no_cell_and_no_worker_hears_it(call, tmp_path, monkeypatch):
    options = ("--label-quality", 0.9, "--pair", "621:17", "--public-seeds")  # two folders of results have two secrets
    _, err = call(local_evaluation.main, *options, out="warned")
    (text,) = said(err)
    monkeypatch.setattr(evaluator.purchase.plan, "quality_warnings", lambda *given: ())
    _, err = call(local_evaluation.main, *options, out="silent")
    assert said(err) == []

    def kept(name: str, kind: str) -> dict[str, dict]:
        return {path.name: json.loads(path.read_text()) for path in tmp_path.glob(f"{name}/{kind}/*.json") if path.stem != "index"}

    (warned_cell,), (silent_cell,) = kept("warned", "cells").items(), kept("silent", "cells").items()
    assert warned_cell[0] == silent_cell[0], "named by the hash of the spec"
    assert warned_cell[1]["spec"] == silent_cell[1]["spec"]
    assert warned_cell[1]["metrics"] == silent_cell[1]["metrics"]
    assert set(warned_cell[1]) == set(silent_cell[1])
    # What the evaluator knows of a cell, sends to its worker or hears from it stands in these files.
    files = [*tmp_path.glob("warned/cells/*"), *tmp_path.glob("warned/answers/*"), *tmp_path.glob("warned/*/logs/*")]
    assert len(files) >= 4
    needles = (b"of the labels sold as positive", text[:40].encode())
    assert [file for file in files if any(needle in file.read_bytes() for needle in needles)] == []
