"""How the cost grows: the fit on planted figures, and that the start of a cell does no work that grows with the pool."""

import gc
import json
import math
import re
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import growth, scale
from benchmarks.growth import FLAT, LINEAR, Series
from benchmarks.stopwatch import machine_seconds, measured, processor_seconds
from benchmarks.synthetic import write_split
from evaluator.data.cache import CachedImages
from evaluator.errors import ConfigurationError, Verdict
from evaluator.purchase.market import Market
from evaluator.purchase.session import run_session
from evaluator.purchase.session_spec import SessionSpec
from evaluator.sandbox.process import ProcessSandbox
from evaluator.seeds import generator
from evaluator.worker.datasets import ImageDataset
from evaluator.worker.frames import encode
from evaluator.worker.images import map_rows
from evaluator.worker.purchase import MarketClient, PoolDataset

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
        "ok; last less first: 1.5 MiB (1.5 MiB to 1.5 MiB) |"
    )
    assert len({line.count("|") for line in lines[:4]}) == 1


def test_the_picture_shows_every_line_its_power_and_what_is_linear(tmp_path):
    pytest.importorskip("matplotlib")
    series = [
        planted(lambda x: 1e-6 * x, name="reading"),
        planted(lambda x: 1e-9 * x**2, name="sorting", part="memory", unit="MiB"),
    ]
    for name in ("one.svg", "two.svg"):
        growth.draw(series, tmp_path / name)
    text = (tmp_path / "one.svg").read_text()
    assert text == (tmp_path / "two.svg").read_text()
    shown = " ".join("".join(e.itertext()) for e in ElementTree.fromstring(text).iter() if e.tag.endswith("}text"))
    for words in ("reading: 1.00", "sorting: 2.00, too steep", "linear: 1.00", "100,000", "images in the pool", "memory"):
        assert words in shown
    assert "fill: #ffffff" in text  # a ground of its own, on dark pages too
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.svg", "two.svg"]


@pytest.mark.parametrize(("power", "status"), [(1, 0), (2, 1)])
def test_the_command_ends_badly_where_something_grows_too_fast(tmp_path, capsys, power, status):
    file, page = tmp_path / "scale.json", tmp_path / "page.md"
    file.write_text(json.dumps(stored(planted(lambda x: 1e-9 * x**power, name="reading"))))
    page.write_text(f"before\n{scale.REGION.start}\nold figures\n{scale.REGION.end}\nafter\n")
    assert scale.main(["--stored", str(file), "--page", str(page)]) == status
    text = page.read_text()
    said = "reading (start of a cell)" if status else "nothing"
    assert f"What grows faster than it may: {said}." in text
    assert text.startswith(f"before\n{scale.REGION.start}\n")
    assert text.endswith(f"{scale.REGION.end}\nafter\n")
    assert "old figures" not in text
    assert text.count("| reading (n = 5) |") == 1
    assert capsys.readouterr().out.strip() in text


@pytest.mark.slow
def test_some_rows_may_be_measured_by_themselves(tmp_path, monkeypatch, capsys):
    small = scale.Plan((20, 40), (32, 40), (40, 80), 32, 20, 4, turns=2, dear_turns=1, steps=1)
    monkeypatch.setattr(scale, "QUICK_LOOK", small)
    scale.main(["--quick-look", "--only", "size: gather", "--json", str(tmp_path / "scale.json")])
    found = json.loads((tmp_path / "scale.json").read_text())
    assert [s["name"] for s in found["series"]] == ["gather all images"]
    assert found["command"] == "python -m benchmarks.scale --quick-look --only 'size: gather'"
    with pytest.raises(SystemExit, match="no row's name holds 'nonsense'"):
        scale.main(["--quick-look", "--only", "nonsense"])
    with pytest.raises(SystemExit):
        scale.main(["--only", "replay", "--page", str(tmp_path / "page.md")])
    capsys.readouterr()


def test_short_work_is_repeated_and_warmed_up():
    calls = []

    def work():
        calls.append(gc.isenabled())
        return sum(range(20_000))

    value, seconds = measured(work, least=0.02)
    assert value == sum(range(20_000))
    assert calls[0]  # the warm-up is as it comes
    assert len(calls) >= 3
    assert not any(calls[1:])
    assert gc.isenabled()
    assert seconds * (len(calls) - 1) == pytest.approx(0.02, rel=1.0)


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="no /proc/stat")
def test_the_machines_time_holds_that_of_its_programs():
    own, all_of_it = processor_seconds(), machine_seconds()
    while processor_seconds() - own < 0.3:
        sum(range(10_000))
    assert machine_seconds() - all_of_it >= 0.25  # it is counted in hundredths, a core at a time


def test_waiting_is_no_processor_time():
    """A sleep is not counted; the work of a process that was started is."""
    before = processor_seconds()
    time.sleep(0.2)
    slept = processor_seconds() - before
    subprocess.run([sys.executable, "-S", "-c", "sum(range(3_000_000))"], check=True)
    assert processor_seconds() - before - slept > 0.01 > slept / 10


@pytest.mark.slow
def test_a_quick_look_measures_every_row_and_leaves_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    small = scale.Plan((20, 40), (32, 40), (40, 80), 32, 20, 4, turns=2, dear_turns=1, steps=1)
    monkeypatch.setattr(scale, "QUICK_LOOK", small)
    scale.main(["--quick-look", "--json", str(tmp_path / "scale.json")])
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

    split = read_split(write_split(tmp_path / "unlabelled", 70, 20), scale.CLASSES)
    images = cache_images(split, 20, tmp_path / "cache", workers=1)
    assert len(split) == len(images) == 70
    everything = images.gather(range(70))
    assert np.array_equal(everything[0], everything[64])  # a further name of the same file
    assert len({image.tobytes() for image in everything}) == 64


# -- what a cell does at its start

PROBE = """
import json
from run import ZEWDPCBaseRun
class Probe(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        pool = unlabelled_dataset
        n = len(pool)
        seen = [[item["idx"], item["image"][0, 0].tolist()] for item in (pool[0], pool[n // 2], pool[-1])]
        pool.purchase_label(n - 1)
        print("SEEN " + json.dumps([n, seen]))
"""


class Recording(ProcessSandbox):
    """Keeps every frame that is sent to its workers."""

    def __init__(self):
        super().__init__()
        self.frames = []

    def start(self, spec):
        worker = super().start(spec)
        send = worker.channel.send

        def recorded(message, blob=b"", *, deadline):
            self.frames.append((message, bytes(blob)))
            send(message, blob, deadline=deadline)

        worker.channel.send = recorded
        return worker


@pytest.fixture
def start(tmp_path):
    """A session on a pool of n images whose first pixel is the number of the image: (its result, order, frames)."""

    def run(n):
        numbers = np.arange(n)
        rows = generator(1, "rows", n).permutation(n)
        images = np.zeros((n, 1, 1, 3), np.uint8)
        images[rows, 0, 0] = np.stack([numbers >> 16, numbers >> 8 & 255, numbers & 255], axis=1)
        np.save(tmp_path / f"{n}.npy", images)
        (tmp_path / "probe.py").write_text(PROBE)
        pool = CachedImages(tmp_path / f"{n}.npy", rows, 1)
        few = CachedImages(pool.path, np.arange(10), 1)
        labels = np.zeros((n, 6), np.uint8)
        order = generator(1, "order", n).permutation(n)
        sandbox = Recording()
        classes = tuple("abcdef")
        spec = SessionSpec(tmp_path / "probe.py", classes, few, labels[:10], pool, order, few, labels, 5, 60, 60, 60, seed=1)
        result = run_session(spec, sandbox)
        assert result.verdict is Verdict.OK, result.reason
        return result, order, sandbox.frames

    return run


def sizes(frames):
    """Per frame the length of its JSON part, without digits and folders, and of its binary part."""
    for message, blob in frames:
        plain = {name: value.rpartition("/")[2] if isinstance(value, str) else value for name, value in message.items()}
        yield message["t"], len(re.sub(r"[\d.e-]+", "", encode(plain)[8:].decode())), len(blob)


def test_what_a_worker_is_sent_does_not_grow_with_the_pool(start):
    small, large = start(100)[2], start(10_000)[2]
    assert list(sizes(small)) == list(sizes(large))
    assert max(len(blob) for _, blob in large) < 1_000
    assert [message["t"] for message, _ in large[:3]] == ["load", "phase", "phase"]
    assert large[2][0]["name"] == "purchase_phase"


@pytest.mark.parametrize("n", [3, 10_000])
def test_the_pool_has_the_order_of_its_session_and_sells_by_it(start, n):
    result, order, _ = start(n)
    count, seen = json.loads(next(line for line in result.log.splitlines() if line.startswith("SEEN "))[5:])
    assert count == n
    assert [number for number, _ in seen] == [0, n // 2, n - 1]
    assert [(a << 16) + (b << 8) + c for _, (a, b, c) in seen] == order[[0, n // 2, n - 1]].tolist()
    assert [(p.index, p.image) for p in result.ledger] == [(n - 1, order[-1])]


def instructions(work):
    """Instructions of Python code that ``work`` executes on this thread: a loop shows, whatever it calls or does not."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def test_instructions_of_loops_are_counted():
    assert instructions(lambda: [x + 1 for x in range(1_000)]) - instructions(lambda: [x + 1 for x in range(10)]) >= 990
    assert instructions(lambda: np.arange(100_000).sum()) == instructions(lambda: np.arange(10).sum())


def test_no_loop_of_the_evaluator_goes_over_the_pool_at_the_start(start):
    start(100)  # what is imported on first use
    # Waiting for the worker takes more or fewer looks; a loop over the pool would go 9,900 rounds more.
    assert instructions(lambda: start(10_000)) - instructions(lambda: start(100)) < 9_900


def test_a_worker_makes_nothing_of_the_pools_size_until_it_is_asked(tmp_path):
    n = 1_000_000
    np.save(tmp_path / "images.npy", np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 1, 3), np.uint8))
    rows = generator(1, "rows").integers(0, 10, n).astype(np.uint32)
    (tmp_path / "pool.rows").write_bytes(rows.tobytes())

    def pool():
        return PoolDataset(tmp_path / "images.npy", map_rows(tmp_path / "pool.rows"), tuple("ab"), MarketClient(None, n, 2, 5, 9.0))

    def phase():
        dataset = pool()
        some = dataset[n - 20 :: 2], dataset[[5, -1]], dataset[np.array([7], np.uint8)]
        return dataset[n - 1], [[item["idx"] for item in part] for part in some]

    phase()
    tracemalloc.start()
    try:
        item, numbers = phase()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert numbers == [list(range(n - 20, n, 2)), [5, n - 1], [7]]
    assert (item["idx"], item["image"][0, 0, 0]) == (n - 1, rows[-1])
    assert peak < 100_000
    assert instructions(phase) < 20_000
    assert np.array_equal(pool().indices, np.arange(n))


def test_parts_of_parts_keep_their_numbers(tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((12, 1, 1, 3), np.uint8))
    dataset = ImageDataset(tmp_path / "images.npy", None, None, ("a",))
    assert dataset[::-1][[0, -1]].indices.tolist() == [11, 0]
    assert dataset[[-1, 3]][::-1].indices.tolist() == [3, 11]
    assert dataset[[]].indices.tolist() == dataset[[]][:].indices.tolist() == []
    for wrong in ([12], [-13], [0.5], [True, False]):
        with pytest.raises(IndexError):
            dataset[wrong]


@pytest.mark.parametrize(("size", "said"), [(0, None), (4, None), (6, "6 bytes")])
def test_a_file_of_rows_is_whole_numbers_of_four_bytes(tmp_path, size, said):
    (tmp_path / "pool.rows").write_bytes(bytes(size))
    if said is None:
        assert map_rows(tmp_path / "pool.rows").tolist() == [0] * (size // 4)
    else:
        with pytest.raises(ValueError, match=said):
            map_rows(tmp_path / "pool.rows")


@given(st.lists(st.integers(-2, 6), max_size=6))
def test_a_market_takes_permutations_and_nothing_else(order):
    labels = np.zeros((len(order), 2), np.uint8)
    if sorted(order) == list(range(len(order))):
        assert len(Market(labels, np.array(order, np.int64), 1)) == len(order)
    else:
        with pytest.raises(ConfigurationError, match="permutation"):
            Market(labels, np.array(order, np.int64), 1)


def test_a_market_takes_no_order_of_fractions():
    with pytest.raises(ConfigurationError, match="permutation"):
        Market(np.zeros((3, 2), np.uint8), np.array([0.0, 1.0, 2.0]), 1)


def test_the_page_holds_the_figures_that_are_stored():
    root = Path(scale.__file__).resolve().parents[2]
    figures = json.loads((root / "benchmarks" / "results" / "scale.json").read_text(encoding="utf-8"))
    page = (root / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert scale.REGION.replaced(page, scale.page_text(figures)) == page, (
        "run python -m benchmarks.scale --stored benchmarks/results/scale.json --page docs/benchmarks.md"
    )
    assert figures["command"] == "python -m benchmarks.scale"  # the whole run, not a quick look
