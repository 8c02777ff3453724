"""``benchmarks.scale``: the fit on planted figures, the table, the picture, the command."""

import json
import math
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scale import __main__ as command
from benchmarks.scale import growth, page
from benchmarks.scale.bench import Plan
from benchmarks.scale.growth import FLAT, LINEAR, Series
from benchmarks.scale.synthetic import CLASSES, write_split

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)


def planted(cost, *, n=5, noise=0.0, seed=0, **fields) -> Series:
    """A series whose figure at size x is cost(x), times noise whose logarithm has the deviation ``noise``."""
    rng = np.random.default_rng(seed)
    samples = {size: [cost(size) * math.exp(noise * rng.standard_normal()) for _ in range(n)] for size in SIZES}
    return Series(**({"name": "planted", "part": "cell", "axis": "pool", "samples": samples} | fields))


# -- the fit


@given(st.floats(-1, 3), st.floats(1e-6, 1e3))
def test_a_planted_power_is_found(power, factor):
    slope = planted(lambda x: factor * x**power).slope()
    assert slope.power == pytest.approx(power, abs=1e-6)
    assert slope.low == pytest.approx(power, abs=1e-5)
    assert slope.high == pytest.approx(power, abs=1e-5)


def test_the_power_is_that_of_the_upper_part():
    slope = planted(lambda x: 1.0 if x < 10_000 else (x / 10_000) ** 2).slope()
    assert slope.sizes == (10_000, 30_000, 100_000)
    assert slope.power == pytest.approx(2)


def test_the_interval_holds_the_planted_power_as_often_as_it_says():
    held = 0
    for seed in range(400):
        slope = planted(lambda x: 1e-6 * x, n=4, noise=0.2, seed=seed).slope()
        held += slope.low <= 1 <= slope.high
    assert 0.92 <= held / 400 <= 0.98


@pytest.mark.parametrize(
    ("cost", "limit", "verdict"),
    [
        (lambda x: 1e-6 * x, LINEAR, "ok"),
        (lambda x: 0.2 + 1e-6 * x, LINEAR, "ok"),
        (lambda x: 1e-6 * x * math.log(x), LINEAR, "ok"),
        (lambda x: 1e-9 * x**1.5, LINEAR, "too steep"),
        (lambda x: 1e-9 * x**2, LINEAR, "too steep"),
        (lambda x: 0.01 + 1e-9 * x**2, LINEAR, "too steep"),
        (lambda x: 0.2, FLAT, "ok"),
        (lambda x: 0.2 + 1e-8 * x, FLAT, "ok"),
        (lambda x: 0.2 + 2e-6 * x, FLAT, "too steep"),
        (lambda x: 1e-9 * x**2, None, "ok"),
    ],
    ids=["linear", "constant and linear", "n log n", "1.5", "square", "constant and square", "flat", "1 ms", "200 ms", "free"],
)
def test_what_grows_too_fast_is_flagged(cost, limit, verdict):
    assert planted(cost, limit=limit, noise=0.005).verdict() == verdict


def test_noise_is_not_called_growth():
    doubtful = [planted(lambda x: 1e-6 * x**1.12, n=2, noise=0.5, seed=seed).verdict() for seed in range(50)]
    assert "unclear" in doubtful
    assert doubtful.count("too steep") <= 5


def test_two_figures_leave_an_interval_without_bounds():
    series = Series("two", "cell", "pool", {1: [1.0], 10: [100.0]})
    slope = series.slope()
    assert (slope.power, slope.low, slope.high) == (pytest.approx(2), -math.inf, math.inf)
    assert series.verdict() == "unclear"


def test_what_the_last_size_adds_is_a_paired_difference():
    turns = [0.2, 0.4, 0.3]  # what the machine did meanwhile met both sizes alike
    series = Series("start", "cell", "pool", {10: turns, 1000: [t + 0.001 for t in turns]}, limit=FLAT)
    more = series.added()
    assert (more.mean, more.low, more.high) == (pytest.approx(0.001), pytest.approx(0.001), pytest.approx(0.001))
    with pytest.raises(ValueError, match="3 and 1 figures make no pairs"):
        Series("start", "cell", "pool", {10: turns, 1000: [1.0]}).added()


@pytest.mark.parametrize(
    "wrong",
    [
        {"samples": {10: [1.0]}},
        {"samples": {10: [1.0], 20: []}},
        {"samples": {0: [1.0], 20: [1.0]}},
        {"samples": {10: [1.0], 20: [0.0]}},
        {"samples": {10: [1.0], 20: [math.nan]}},
        {"part": "elsewhere"},
        {"axis": "labels"},
        {"unit": "furlong"},
    ],
    ids=["one size", "no figure", "size 0", "figure 0", "NaN", "part", "axis", "unit"],
)
def test_a_series_that_cannot_be_fitted_is_refused(wrong):
    with pytest.raises(ValueError, match=r"^odd: "):
        Series(**({"name": "odd", "part": "cell", "axis": "pool", "samples": {10: [1.0], 20: [2.0]}} | wrong))


# -- table, file, page, picture


def stored(*series: Series) -> dict:
    machine = {"hardware": "2 cores", "system": "Linux", "versions": "Python", "load": "1.0"}
    return {"command": "python -m benchmarks.scale", "machine": machine, "series": [s.as_dict() for s in series]}


def test_a_series_comes_back_from_its_file():
    for series in (planted(lambda x: x, noise=0.1), Series("two", "size", "pixels", {1: [1.0], 10: [2.0]}, "MiB", None, "so")):
        again = Series.from_dict(json.loads(json.dumps(series.as_dict(), allow_nan=False)))
        assert again == series
        assert list(again.samples) == sorted(series.samples)


def test_the_table_shows_medians_powers_and_verdicts():
    linear = planted(lambda x: 2e-6 * x, name="reading", n=3)
    square = planted(lambda x: 2e-10 * x**2, name="sorting")
    memory = Series("worker", "memory", "pool", {1_000: [16.0] * 3, 100_000: [17.5] * 3}, "MiB", FLAT, "as counted")
    lines = growth.tables([linear, square, memory]).splitlines()
    assert (
        lines[0]
        == "| start of a cell, by images in the pool | 1,000 | 3,000 | 10,000 | 30,000 | 100,000 | power | within its limit |"
    )
    assert lines[2] == "| reading (n = 3) | 2 ms | 6 ms | 20 ms | 60 ms | 200 ms | 1.00 (1.00 to 1.00) | ok |"
    assert lines[3] == "| sorting (n = 5) | 200 µs | 1.8 ms | 20 ms | 180 ms | 2 s | 2.00 (2.00 to 2.00) | too steep |"
    assert lines[-1] == (
        "| worker (n = 3, as counted) | 16 MiB | 17.5 MiB | 0.02 (0.02 to 0.02) | "
        "ok; largest minus smallest size: 1.5 MiB (1.5 MiB to 1.5 MiB) |"
    )
    assert len({line.count("|") for line in lines[:4]}) == 1


def test_the_picture_shows_every_line_its_power_and_what_is_linear(tmp_path):
    pytest.importorskip("matplotlib")
    series = [
        planted(lambda x: 1e-6 * x, name="reading"),
        planted(lambda x: 1e-9 * x**2, name="sorting", part="memory", unit="MiB"),
    ]
    for name in ("one.svg", "two.svg"):
        growth.draw(series, tmp_path / name, "figures 1")
    text = (tmp_path / "one.svg").read_text()
    assert text == (tmp_path / "two.svg").read_text()
    assert "figures 1" in text
    shown = " ".join("".join(e.itertext()) for e in ElementTree.fromstring(text).iter() if e.tag.endswith("}text"))
    for words in ("reading: 1.00", "sorting: 2.00, too steep", "linear: 1.00", "100,000", "images in the pool", "memory"):
        assert words in shown
    assert "fill: #ffffff" in text  # a ground of its own, on dark pages too
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.svg", "two.svg"]


@pytest.mark.parametrize(("power", "status"), [(1, 0), (2, 1)])
def test_the_command_ends_badly_where_something_grows_too_fast(tmp_path, capsys, power, status):
    file, written = tmp_path / "scale.json", tmp_path / "page.md"
    file.write_text(json.dumps(stored(planted(lambda x: 1e-9 * x**power, name="reading"))))
    written.write_text(f"before\n{page.REGION.start}\nold figures\n{page.REGION.end}\nafter\n")
    assert command.main(["--stored", str(file), "--page", str(written)]) == status
    text = written.read_text()
    said = "reading (start of a cell)" if status else "nothing"
    assert f"- Grows faster than its limit: {said}." in text
    assert text.startswith(f"before\n{page.REGION.start}\n")
    assert text.endswith(f"{page.REGION.end}\nafter\n")
    assert "old figures" not in text
    assert text.count("| reading (n = 5) |") == 1
    assert capsys.readouterr().out.strip() in text


@pytest.mark.slow
def test_some_rows_may_be_measured_by_themselves(tmp_path, monkeypatch, capsys):
    small = Plan((20, 40), (32, 40), (40, 80), 32, 20, 4, turns=2, long_turns=1, steps=1)
    monkeypatch.setattr(command, "QUICK_LOOK", small)
    command.main(["--quick-look", "--only", "size: gather", "--json", str(tmp_path / "scale.json")])
    found = json.loads((tmp_path / "scale.json").read_text())
    assert [s["name"] for s in found["series"]] == ["gather all images"]
    assert found["command"] == "python -m benchmarks.scale --quick-look --only 'size: gather'"
    with pytest.raises(SystemExit, match="no row's name contains 'nonsense'"):
        command.main(["--quick-look", "--only", "nonsense"])
    with pytest.raises(SystemExit):
        command.main(["--only", "replay", "--page", str(tmp_path / "page.md")])
    capsys.readouterr()


@pytest.mark.slow
def test_a_quick_look_measures_every_row_and_leaves_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    small = Plan((20, 40), (32, 40), (40, 80), 32, 20, 4, turns=2, long_turns=1, steps=1)
    monkeypatch.setattr(command, "QUICK_LOOK", small)
    command.main(["--quick-look", "--json", str(tmp_path / "scale.json")])
    found = json.loads((tmp_path / "scale.json").read_text())
    series = [Series.from_dict(plain) for plain in found["series"]]
    assert {(s.part, s.axis) for s in series} == set(growth.PANELS)
    assert all(list(s.samples) == [1024, 1600] for s in series if s.axis == "pixels")
    assert all(list(s.samples) == [40, 80] for s in series if s.axis == "labels")
    assert all(list(s.samples) == [20, 40] for s in series if s.axis == "pool")
    epoch = next(s for s in series if s.name == "one epoch")
    step = next(s for s in series if s.name.startswith("one step"))
    assert epoch.medians()[80] == pytest.approx(5 * step.medians()[80])  # 80 images in steps of 16
    left = [path.name for path in (tmp_path / "temporary").iterdir() if path.name.startswith(("scale-", "dck-"))]
    assert left == []  # torch keeps a folder of its own there
    capsys.readouterr()


def test_a_synthetic_split_is_read_as_any_other(tmp_path):
    from evaluator.data.cache import cache_images
    from evaluator.data.folders import read_split

    split = read_split(write_split(tmp_path / "unlabelled", 70, 20), CLASSES)
    images = cache_images(split, 20, tmp_path / "cache", workers=1)
    assert len(split) == len(images) == 70
    everything = images.gather(range(70))
    assert np.array_equal(everything[0], everything[64])  # a further name of the same file
    assert len({image.tobytes() for image in everything}) == 64
