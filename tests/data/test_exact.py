"""Arithmetic and draws of the generator: near to what they stand for, and equal on every machine."""

from __future__ import annotations

import ast
import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from PIL import Image

from evaluator.data.painted import CLASSES, SHIFTS
from evaluator.data.painted.canvas import _BASIS_STEP, _basis, field, lattice, slopes
from evaluator.data.painted.exact import (
    NORMAL_STEP,
    Draws,
    bell,
    decay,
    direction,
    exp,
    log,
    multiple,
    normal_table,
    power,
    wave,
)
from evaluator.data.painted.shift import LABEL_STEP
from evaluator.data.png import stored_png

ROOT = Path(__file__).parents[2]

# What ``data make`` gives, by profile and split: whoever makes the data of a profile has these digests, on any machine. They change
# only where ``GENERATOR_VERSION`` does, or the sizes of a profile.
PUBLISHED = {
    "debug": {
        "training": "6719017a4a19c868afa5ad1741626b9d37f4287c080632886049c68973142886",
        "unlabelled": "0967012fc63a63b351e5c0d4b235f4b1f0d2852c942959b55385ef9ab08345b1",
        "validation": "5ff214a71a07e5f51bc5cb6a49cfcf43a0fdb5acfa517572c57d5d4c236e5252",
        "debug": "8780f1cbd71f650482722be91ae8f7a766e4e4bca5ad691fe9b49eab6b211ef7",
        "what an evaluation draws": "0c761e9e457ca36497817239dc62d43d3200ee5fb039b18dd588ef7645fc6024",
    },
    "quick": {
        "training": "c3e1ae223dfb6231d75d024bced87027fad09b4dfd8a5a97fb8048568cd40868",
        "unlabelled": "1e68a448007808c702b33706cb9b0677e5b392318a24a95337835642adab8305",
        "validation": "387cfa151961e379ab9410a288005ab93b06be30137a561cfc720163ee18e3a7",
        "test": "67d05104c5cb4267685eca268dc3fbf457e3c300cecc69e50f0d9d49cfe6185d",
        "debug": "8780f1cbd71f650482722be91ae8f7a766e4e4bca5ad691fe9b49eab6b211ef7",
        "what an evaluation draws": "f94c9195d8b3c2d3a272974fef01012189833bb70f22b17cd0a7f697c2e02274",
    },
    "rare": {
        "training": "ef12e010b8167c95d587f1761983a7bf326870659149f2ee59f21f2bac5c3ff8",
        "unlabelled": "fb986511d9115666b749e7526ec1e9e13369f90ba8ad6a9cccf44e6caccc5e66",
        "validation": "19b12a4a6952bbde6b2f20ab3625ce119d96579788c0a86c6e70c708b4b2734d",
        "test": "feb5ca2cd2eba9c407aa1455635274bd592a9e9ee32fa1a0003402adf79abeff",
        "debug": "0544b9ffe83d2ef2c48cb91730f1f1221753a8952cd31fd47928ca3e5af539e1",
        "what an evaluation draws": "5deb53185d6c8bd65be4364dff3c7312d7e69ea89c1fceee51e48883913685cc",
    },
}


# -- nearly the functions that they stand for


def test_functions_of_numbers_are_near_to_those_of_the_library():
    for x in np.linspace(-20, 20, 401).tolist():
        assert exp(x) == pytest.approx(math.exp(x), rel=1e-12)
        assert direction(x) == pytest.approx((math.cos(x), math.sin(x)), abs=1e-14)
    for x in np.geomspace(1e-6, 1e4, 101).tolist():
        assert log(x) == pytest.approx(math.log(x), abs=1e-14)
        assert power(x, 0.62) == pytest.approx(x**0.62, rel=1e-11)


def test_functions_of_arrays_are_near_to_those_of_the_library():
    x = np.linspace(0, 20, 500, dtype=np.float32)
    assert np.allclose(decay(x), np.exp(-x), rtol=0.003)
    assert decay(np.float32([25]))[0] == decay(np.float32([20]))[0]
    assert np.allclose(bell(x[:100]), np.exp(-(x[:100] ** 2)), atol=1e-5)
    assert decay(x).dtype == bell(x).dtype == wave(x).dtype == np.float32
    assert np.allclose(wave(x), np.sin(2 * np.pi * x), atol=0.06)
    angle = np.linspace(0, 6, 50)
    for times in (1, 2, 4):
        turned = multiple(np.cos(angle), np.sin(angle), times)
        assert np.allclose(turned, (np.cos(times * angle), np.sin(times * angle)))


def test_draws_follow_their_distributions():
    draws, count = Draws(5), 20_000
    spread = 4 / math.sqrt(count)
    normals = draws.normals(count)
    assert abs(normals.mean()) < spread
    assert abs(normals.std() - 1) < spread
    assert 3.5 < np.abs(normals).max() < 4.4
    few = count // 4
    spread = 4 / math.sqrt(few)
    a, b = 1.2, 1.4
    beta = np.array([draws.beta(a, b) for _ in range(few)])
    variance = a * b / ((a + b) ** 2 * (a + b + 1))
    assert abs(beta.mean() - a / (a + b)) < spread * math.sqrt(variance)
    assert abs(beta.var() - variance) < spread * variance
    specks = np.array([draws.poisson(2.5) for _ in range(few)])
    assert abs(specks.mean() - 2.5) < spread * math.sqrt(2.5)
    assert abs(specks.var() - 2.5) < spread * 2.5 * 1.6
    chosen = np.bincount([draws.choice((0.5, 0.3, 0.2)) for _ in range(few)], minlength=3) / few
    assert np.allclose(chosen, (0.5, 0.3, 0.2), atol=spread / 2)
    assert all(2 <= draws.uniform(2, 3) <= 3 for _ in range(100))
    assert {draws.integer(3) for _ in range(100)} == {0, 1, 2}
    assert abs(np.mean([draws.normal(7, 2) for _ in range(few)]) - 7) < 2 * spread


# -- and the same everywhere


def margin(values: np.ndarray, step: float) -> float:
    """How far the values lie from where rounding to multiples of ``step`` would change its mind."""
    parts = np.asarray(values) / step
    return float(np.abs(parts - np.floor(parts) - 0.5).min() * step)


def test_no_library_can_round_a_table_to_other_values():
    """What a library computes is off by some 1e-16; here nothing would change below 1e-9."""
    quantiles = np.array([NormalDist().inv_cdf((i + 0.5) / 65_536) for i in range(32_768, 65_536)])
    assert margin(quantiles, NORMAL_STEP) > 1e-9
    table = normal_table()
    assert np.array_equal(table, -table[::-1])
    assert np.abs(table[32_768:] - quantiles).max() <= NORMAL_STEP / 2
    for shift in SHIFTS.values():
        assert margin([NormalDist().inv_cdf(rate) for rate in shift.rates], LABEL_STEP) > 1e-9
        factor = np.linalg.cholesky(np.array(shift.correlation))
        assert margin(factor, LABEL_STEP) > 1e-9
        assert np.allclose(shift.factor, factor, atol=LABEL_STEP)


@pytest.mark.parametrize("cells", [2, 26, 88])
def test_smooth_noise_is_a_sum_that_nothing_rounds(cells):
    """The same in whole numbers, whose sums have no order: any BLAS must give these."""
    noise = lattice(Draws(3), cells)
    whole = np.rint(noise / NORMAL_STEP).astype(np.int64)
    assert np.array_equal(whole * NORMAL_STEP, noise)
    value, change = (np.rint(_basis(48, cells, kind) / _BASIS_STEP).astype(np.int64) for kind in (False, True))
    step = NORMAL_STEP * _BASIS_STEP * _BASIS_STEP

    def exactly(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        product = left @ whole @ right.T
        most = np.abs(left).sum(1).max() * np.abs(whole).max() * np.abs(right).sum(1).max()
        assert most < 2**53, "a float64 holds every partial sum"
        return (product * step).astype(np.float32)

    assert np.array_equal(field(noise, 48), exactly(value, value))
    along_x, along_y = slopes(noise, 48)
    assert np.array_equal(along_x, exactly(value, change))
    assert np.array_equal(along_y, exactly(change, value))


def test_labels_are_drawn_by_exact_sums():
    shift, draws = SHIFTS["public"], Draws(4).normals(len(CLASSES)).astype(np.float64)
    whole = [[round(float(v) / LABEL_STEP) for v in row] for row in shift.factor]
    latent = [sum(f * round(float(d) / NORMAL_STEP) for f, d in zip(row, draws, strict=True)) for row in whole]
    assert (shift.factor @ draws).tolist() == [value * LABEL_STEP * NORMAL_STEP for value in latent]


# Operations with one result: IEEE 754 defines them, or they move and compare numbers.
EXACT = """
abs allclose arange array ascontiguousarray asarray clip concatenate diag empty float32 float64 int32 maximum minimum ndarray ones
pad random rint sqrt uint16 uint8 where zeros
"""
ROUNDED_LATER = {"linalg"}  # of tables: see test_no_library_can_round_a_table_to_other_values
EXACT_NUMBERS = {"ceil", "frexp", "fsum", "pi", "radians", "sqrt", "tau"}


@pytest.mark.parametrize("module", ["canvas", "damage", "exact", "generator", "light", "sensor", "sheet", "shift"])
def test_the_generator_uses_nothing_that_has_several_results(module):
    tree = ast.parse((ROOT / f"evaluator/data/painted/{module}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "np":
                assert node.attr in {*EXACT.split(), *ROUNDED_LATER}, f"line {node.lineno}: np.{node.attr}"
            if node.value.id == "math":
                assert node.attr in EXACT_NUMBERS, f"line {node.lineno}: math.{node.attr}"
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            assert getattr(node.left, "value", None) in (2, 2.0), f"line {node.lineno}: a power"


@pytest.mark.parametrize("shape", [(1, 2, 3), (64, 64, 3), (224, 224, 3)])
def test_a_stored_png_is_read_by_others_and_has_no_choice(shape):
    image = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    content = stored_png(image)
    with Image.open(io.BytesIO(content)) as opened:
        opened.verify()
    with Image.open(io.BytesIO(content)) as opened:
        assert np.array_equal(np.asarray(opened), image)
        assert opened.info == {}
    blocks = -(-shape[0] * (1 + 3 * shape[1]) // 65_535)
    assert len(content) == 8 + 25 + 12 + 12 + 2 + 4 + shape[0] * (1 + 3 * shape[1]) + 5 * blocks


# -- the data sets of the profiles

MAKE = """
import hashlib, json, sys
from dataclasses import dataclass
from pathlib import Path
import numpy as np
from evaluator.data.annotators import annotator_noise
from evaluator.data.folders import read_split
from evaluator.data.painted import size_pairs
from evaluator.purchase.pairs import hidden_pairs
from evaluator.purchase.profiles import PROFILES
from evaluator.purchase.sets import RoundSets, provide_data
@dataclass
class Rows:
    rows: np.ndarray

profile, folder = PROFILES[sys.argv[1]], Path(sys.argv[2]) / "made"
provide_data(profile, folder)
splits = {split: read_split(folder / split, profile.round.classes) for split in profile.sizes}
noisy = annotator_noise(splits["unlabelled"].labels, 0.08, 5, size_pairs())
images = {name: Rows(rows=np.arange(len(split))) for name, split in splits.items()}
drawn = RoundSets(folder, splits, images).drawn(profile, 7, 1)
draws = [noisy.tolist(), [rows.tolist() for rows in drawn.chosen.values()], [p.name for p in hidden_pairs(profile.round, 3, 4)]]
digests = {name: split.digest for name, split in splits.items()}
print(json.dumps(digests | {"what an evaluation draws": hashlib.sha256(json.dumps(draws).encode()).hexdigest()}))
"""


def elsewhere(plainest: bool) -> dict[str, str]:
    """An environment in which NumPy and BLAS behave as on the plainest processor, or as on this processor."""
    names = ("NPY_DISABLE_CPU_FEATURES", "OPENBLAS_CORETYPE")
    environment = {name: value for name, value in os.environ.items() if name not in names} | {"PYTHONPATH": str(ROOT)}
    if not plainest:
        return environment
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    present = [name for name in __cpu_dispatch__ if __cpu_features__[name]]
    return environment | {"NPY_DISABLE_CPU_FEATURES": " ".join(present), "OPENBLAS_CORETYPE": "Prescott"}


@pytest.mark.parametrize(
    ("name", "plainest"),
    [("debug", True), ("debug", False), *(pytest.param(name, True, marks=pytest.mark.endurance) for name in ("quick", "rare"))],
)
def test_published_data_are_the_same_on_every_processor(name, plainest, tmp_path):
    command = [sys.executable, "-W", "error", "-c", MAKE, name, str(tmp_path)]
    made = subprocess.run(command, env=elsewhere(plainest), capture_output=True, text=True, check=True, timeout=600)
    assert json.loads(made.stdout) == PUBLISHED[name]
