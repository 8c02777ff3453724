"""What ``benchmarks.training`` says of a training is what the training does: counts, ratios, phases, memory and tables."""

import io
import json
from concurrent.futures import Future
from copy import deepcopy
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from benchmarks.stopwatch.timing import WARM_UP, Ratio, Stamps, Timing
from benchmarks.stopwatch.turns import Sides
from benchmarks.training import accuracy, contest, operations
from benchmarks.training.__main__ import parse
from benchmarks.training.contest import Data, phases_of_ours, phases_of_plain, single_epoch, time_ours, time_plain
from benchmarks.training.operations import matrix_product_rate, operations_per_image
from benchmarks.training.races import Race, races, ratios, recipe_for, row, run_race
from benchmarks.training.tables import contest_table, phase_table, ratio_table
from evaluator.data.folders import read_split
from evaluator.data.make import DataSpec, make_dataset
from evaluator.data.painted import CLASSES
from evaluator.training import step as steps_of_ours
from evaluator.training import weights
from evaluator.training.augment import transform
from evaluator.training.loop import train
from evaluator.training.pipeline import Augmentation, Pipeline

SMALL = Pipeline(
    name="small",
    architecture="efficientnet_b0",
    weights="none",
    image_size=32,
    batch_size=4,
    augmentation=Augmentation(horizontal_flip=True),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("painted") / "sheets"
    make_dataset(folder, DataSpec(3, 32, {"training": 12}), workers=1)
    split = read_split(folder / "training", CLASSES)
    images = np.stack([np.asarray(Image.open(split.path(i)).convert("RGB")) for i in range(len(split))])
    return Data(split, images, decode_ms=0.5)


def text(table) -> str:
    console = Console(width=220, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


def test_operations_are_those_of_a_training_counted_by_hand():
    """Logistic regression on 3 s² numbers and 6 classes: a product forward, and two of the same size backward."""
    linear = Pipeline(name="linear", architecture="linear", weights="none", image_size=16)
    assert operations_per_image(linear, 6) == 3 * (2 * 3 * 16**2 * 6)


def test_frozen_layers_cost_no_backward_pass_and_depthwise_ones_are_not_dense():
    whole = operations_per_image(replace(SMALL, image_size=224))
    frozen = operations_per_image(replace(SMALL, image_size=224, trains="head", weights="x.safetensors"))
    assert whole == 3 * frozen
    assert frozen == pytest.approx(2 * 0.39e9, rel=0.05), "EfficientNet-B0 is known by its 0.39 billion multiply-adds"


def test_the_rate_of_a_matrix_product_is_that_of_the_best_and_not_of_the_first(monkeypatch):
    """The first product takes 1 s and is not counted; the next ones take 4 and 2 s; then the 10 s are over."""
    # Start and end of the first product; per further product a look at the time, start and end; a last look.
    ticks = iter([0.0, 1.0, 2.0, 3.0, 7.0, 7.5, 8.0, 10.0, 11.0])
    monkeypatch.setattr(operations.time, "perf_counter", lambda: next(ticks))
    assert matrix_product_rate(torch.device("cpu"), seconds=10.0) == pytest.approx(2 * 2048**3 / 2.0)


def test_the_warm_up_is_not_counted_and_the_batch_is_ours_to_choose(data):
    settings = {"device": "cpu", "threads": 1}
    plain = time_plain(SMALL, data, 3, 2, **settings)
    ours = time_ours(SMALL, data, 4, 2, **settings)
    assert plain.images == pytest.approx(2 * 3)
    assert ours.images == pytest.approx(2 * 4)
    assert ours.seconds > 8 * 0.5e-3 / 10, "each pass carries its share of decoding once"


def test_the_clock_starts_when_the_warm_up_is_over():
    started = []
    stamps = Stamps("cpu", on_first=lambda: started.append(stamps.steps))
    for step in range(1, 6):
        stamps(step / 5)
    assert started == [WARM_UP]
    assert stamps.timing(50).images == pytest.approx(50 * (5 - WARM_UP) / 5)
    short = Stamps("cpu")
    for step in range(1, WARM_UP + 1):
        short(step / WARM_UP)
    with pytest.raises(ValueError, match="nothing but its warm-up"):
        short.timing(10)


def test_phases_cover_a_step_of_both_routes(data):
    settings = {"device": "cpu", "threads": 1}
    backward, transformed = torch.Tensor.backward, transform
    for phases in (phases_of_plain(SMALL, data, 4, 1, **settings), phases_of_ours(SMALL, data, 4, 1, **settings)):
        assert set(phases) == {"decode", "augment", "forward", "backward", "optimiser", "everything else", "evaluation"}
        assert all(phases[name] > 0 for name in set(phases) - {"everything else"})
    from evaluator.training import inputs

    assert torch.Tensor.backward is backward, "the timers are gone"
    assert inputs.transform is transformed


def test_ratios_are_taken_round_by_round():
    slow = [Timing(10, 1.0, 0.5), Timing(10, 4.0, 0.5), Timing(10, 3.0, 0.5)]
    fast = [Timing(10, 0.5, 0.1), Timing(10, 1.0, 0.1), Timing(20, 2.0, 0.2)]
    ratio = Ratio.between(slow, fast)
    assert (ratio.median, ratio.low, ratio.high, ratio.n) == (3.0, 2.0, 4.0, 3)
    assert ratio.cpu_median == pytest.approx(5.0)
    with pytest.raises(ValueError, match="same rounds"):
        Ratio.between(slow, fast[:2])


def test_a_race_of_timing_changes_no_part_of_the_step():
    whole = recipe_for(64)
    timed = single_epoch(whole, 5)
    changed = {name for name, value in whole.as_dict().items() if timed.as_dict()[name] != value}
    assert changed <= {"epochs", "batch_size", "validation_share", "threshold", "threshold_value", "embedding_views"}


def test_frozen_races_embed_once_or_once_per_epoch():
    whole, bare, views = races(64)
    assert (whole.mode, whole.pipeline.trains) == ("whole", "all")
    assert (bare.pipeline.embedding_views, bare.pipeline.augmentation.on) == (1, False)
    assert (views.pipeline.embedding_views, views.pipeline.augmentation.on) == (views.pipeline.epochs, True)
    assert [race.target("cpu") for race in (whole, bare, views)] == [3.0, 30.0, None]
    assert [race.target("cuda:0") for race in (whole, bare, views)] == [15.0, 25.0, None]


def test_tables_say_what_was_measured_and_what_was_aimed_at():
    timings = [Timing(10, 0.5, 0.4), Timing(10, 0.3, 0.2)]
    one = row(timings, 16, 10**9) | {"share_of_matrix_product": {"float32": 0.25}}
    assert one["ms_per_image"] == pytest.approx(40)
    assert one["flops_per_second"] == pytest.approx(1e9 / 0.04)
    ratio = Ratio.between(timings, timings).as_dict()
    race = {
        "contestants": {"plain": one},
        "ratios": {"own batch sizes": ratio},
        "target": 3.0,
        "phases_ms": {"plain": {"decode": 7.25}},
    }
    found = {"64 px, whole": race}
    assert "25 % float32" in text(contest_table(found))
    assert " no " in text(ratio_table(found))
    assert "7.25" in text(phase_table(found))
    json.dumps(found)


def test_finished_trainings_are_kept_only_for_the_same_comparison(tmp_path):
    path, identity = tmp_path / "accuracy.json", {"pipeline": "a", "bought": 1}
    rows = [{"route": "plain", "seed": 0, "macro_f1": 0.5}]
    path.write_text(json.dumps({"identity": identity, "rows": rows}))
    assert accuracy.finished(path, identity) == rows
    assert accuracy.finished(path, {**identity, "bought": 2}) == []
    assert accuracy.finished(tmp_path / "none.json", identity) == []


def test_accuracy_is_held_where_our_mean_lies_in_the_plain_interval():
    def rows(shift):
        values = {"plain": [0.5, 0.52, 0.54], "ours": [0.51 + shift, 0.52 + shift, 0.53 + shift]}
        return [{"route": r, "seed": s, "macro_f1": v} for r, found in values.items() for s, v in enumerate(found)]

    assert accuracy.summary(rows(0.0))["ours_within_plain"] is True
    worse = accuracy.summary(rows(-0.2))
    assert worse["ours_within_plain"] is False
    assert worse["ours - plain"]["mean"] == pytest.approx(-0.2)
    assert "OUTSIDE" in accuracy.verdict(worse)
    assert "+0.0100" in text(accuracy.accuracy_table(rows(0.0)))


def test_the_files_of_two_splits_are_found_under_one(tmp_path):
    make_dataset(tmp_path / "sheets", DataSpec(4, 32, {"training": 3, "unlabelled": 2}), workers=1)
    first, second = (read_split(tmp_path / "sheets" / name, CLASSES) for name in ("training", "unlabelled"))
    both = accuracy.joined(first, second)
    assert [both.path(i) for i in range(5)] == [first.path(0), first.path(1), first.path(2), second.path(0), second.path(1)]
    assert (both.labels == np.concatenate([first.labels, second.labels])).all()


def test_options_name_their_file():
    assert parse(["--device", "cpu", "--memory"]).json.name == "training-memory-cpu.json"
    assert parse([]).json.name == "training-cpu.json"
    for wrong in (["--repeats", "0"], ["--ideas"], ["--accuracy", "--memory"], ["--compiled", "--device", "cpu"]):
        with pytest.raises(SystemExit):
            parse(wrong)


def test_a_run_over_the_memory_that_is_cut_off_keeps_the_pipelines_before(monkeypatch, tmp_path):
    from benchmarks.training import memory

    done = []

    def row_of(pipeline, device):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(pipeline.name)
        return {"pipeline": pipeline.name}

    monkeypatch.setattr(memory, "row_of", row_of)
    options = parse(["--device", "cpu", "--memory", "--json", str(tmp_path / "memory.json")])
    with pytest.raises(KeyboardInterrupt):
        memory.run(options, Console(file=io.StringIO()))
    kept = json.loads((tmp_path / "memory.json").read_text())
    assert [row["pipeline"] for row in kept["rows"]] == done
    assert kept["how"] == "computed, not measured"


def test_a_race_names_no_goal_at_other_sizes():
    assert Race("x", "whole", replace(SMALL, image_size=96)).target("cpu") is None


def test_ours_trains_what_is_raced(data):
    """The contest's own call of the loop: one epoch, as many steps as asked for."""
    found = train(single_epoch(SMALL, 6), data.images, data.split.labels, seed=0, threads=1)
    assert len(found.history) == 1


def test_what_is_observed_launches_its_steps():
    from benchmarks.training.phases import Phases, observed
    from evaluator.training.loop import train
    from tests.toys import toy

    phases = Phases(torch.device("cpu"))
    with observed(phases):
        train(SMALL, *toy(16), seed=1, threads=1)
    assert phases.seconds


def test_the_clock_of_a_device_begins_after_the_step_was_captured(data, monkeypatch):
    """Capturing takes as long as many steps, and a training does it once."""
    order, steps = [], []

    class Clock(Stamps):
        def __call__(self, share):
            if len(steps) == steps_of_ours.WARM_UP:
                order.append("captured")  # within the step after those that are launched
            steps.append(share)
            super().__call__(share)
            if self.first is not None and "begins" not in order:
                order.append("begins")

    monkeypatch.setattr(contest, "Stamps", lambda device, warm_up: Clock("cpu", warm_up=warm_up))
    monkeypatch.setattr(contest.devices, "resolve", lambda name: SimpleNamespace(type=name))
    monkeypatch.setattr(contest, "reset_peak", lambda name: None)
    monkeypatch.setattr(contest, "train", partial(stand_in, batch=4))
    found = time_ours(SMALL, data, 4, 3, device="cuda", threads=1)
    assert order == ["captured", "begins"]
    assert found.images == pytest.approx(3 * 4)
    assert len(steps) == 3 + WARM_UP + steps_of_ours.WARM_UP


def test_what_a_process_pays_once_on_a_device_is_in_no_turn_of_a_frozen_network(data, monkeypatch):
    trained = []
    monkeypatch.setattr(contest, "_WARM", set())
    monkeypatch.setattr(contest.devices, "resolve", lambda name: SimpleNamespace(type=name))
    monkeypatch.setattr(contest, "wait_for", lambda where: None)
    monkeypatch.setattr(contest, "reset_peak", lambda name: trained.append("begins"))
    monkeypatch.setattr(contest, "peak_of", lambda where: None)

    def stand_in(pipeline, *given, **options):
        trained.append(pipeline.epochs)
        weights.load_starting_weights(SMALL, 1)

    monkeypatch.setattr(contest, "train", stand_in)
    monkeypatch.setattr(weights, "load_starting_weights", lambda *given: None)
    for _ in range(2):
        contest.time_embedded(replace(SMALL, epochs=4), data, device="cuda", threads=1)
    assert trained == [1, "begins", 4, "begins", 4]


def stand_in(pipeline, images, labels, *, progress, batch, **options):
    for done in range(batch, len(images) + 1, batch):
        progress(done / len(images))


def test_a_race_that_is_cut_off_keeps_the_turns_before(data, tmp_path):
    class Cut(Sides):
        turns = 0

        def run(self, side, function):
            self.turns += 1
            if self.turns > 6:
                raise KeyboardInterrupt
            return Timing(10, 0.1 * self.turns, 0.1)

    kept = []
    options = parse(["--device", "cpu", "--repeats", "3", "--no-phases"])
    race = Race("32 px, whole", "whole", SMALL)
    with pytest.raises(KeyboardInterrupt):
        run_race(race, data, options, Console(file=io.StringIO()), Cut(), lambda report: kept.append(deepcopy(report)))
    last = kept[-1]
    assert len(kept) == 6
    assert {name: found["n"] for name, found in last["contestants"].items()} == {
        "plain": 2,
        "plain, our batch": 2,
        "ours": 1,
        "ours, plain batch": 1,
    }
    assert {name: ratio["n"] for name, ratio in last["ratios"].items()} == dict.fromkeys(last["ratios"], 1)
    assert last["ratios"]["own batch sizes"]["median"] == pytest.approx(1 / 3)
    assert kept[0]["ratios"] == {}


def test_the_compiled_recipe_is_held_against_the_plain_loop(data):
    timings = {name: [Timing(10, seconds, 0.1)] for name, seconds in (("plain", 6.0), ("ours", 2.0), ("ours, compiled", 1.0))}
    assert [(name, ratio.median) for name, ratio in ratios(timings, 16).items()] == [
        ("own batch sizes", 3.0),
        ("own batch sizes, ours compiled", 6.0),
    ]
    race = {"contestants": {}, "ratios": {n: r.as_dict() for n, r in ratios(timings, 16).items()}, "target": 5.0, "phases_ms": {}}
    shown = text(ratio_table({"64 px, whole": race}))
    assert " no " in shown
    assert " yes " in shown


def test_a_training_that_fails_loses_no_other_of_the_comparison(monkeypatch, tmp_path):
    class Pool:
        def __init__(self, *given, **options):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *given):
            pass

        def submit(self, function, route, seed):
            job = Future()
            if (route, seed) == ("ours", 0):
                job.set_exception(ValueError("no memory"))
            else:
                job.set_result({"route": route, "seed": seed, "macro_f1": 0.5, "seconds": 1.0})
            return job

    monkeypatch.setattr(accuracy, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(accuracy, "_sets", lambda: SimpleNamespace(digests=lambda: {}))
    file = tmp_path / "accuracy.json"
    options = parse(["--device", "cpu", "--accuracy", "--seeds", "2", "--json", str(file)])
    with pytest.raises(SystemExit, match="1 training failed; the first: seed 0, ours: ValueError: no memory"):
        accuracy.run(options, Console(file=io.StringIO()))
    assert [(row["seed"], row["route"]) for row in json.loads(file.read_text())["rows"]] == [
        (0, "plain"),
        (1, "plain"),
        (1, "ours"),
    ]


def test_a_pipeline_that_does_not_fit_stops_no_other(monkeypatch):
    from benchmarks.training import memory

    def measured(pipeline, device):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(memory, "measured", measured)
    monkeypatch.setattr(
        memory,
        "need_of",
        lambda pipeline: SimpleNamespace(batch_size=4, fixed=1, per_image=1, total=5, largest_batch=lambda capacity: 4),
    )
    found = memory.row_of(SMALL, "cuda")
    assert (found["measured_bytes"], found["failed"]) == (None, "RuntimeError: CUDA out of memory")
    assert "failed: RuntimeError" in text(memory.memory_table([found], "cuda"))


def test_a_layer_that_fails_stops_no_other(monkeypatch, tmp_path, capsys):
    from benchmarks.training import layers

    asked = []

    def timed(form, met, *given, check):
        asked.append(form)
        if len(asked) == 1:
            raise RuntimeError("no kernel image\nmore")
        return {"form": form, "ms": [0.5], "error": None, "repeats": True}

    monkeypatch.setattr(layers, "timed", timed)
    file = tmp_path / "layers.json"
    layers.main(["--device", "cpu", "--each", "--sizes", "64", "--forms", "library", "--json", str(file)])
    rows = json.loads(file.read_text())["rows"]
    assert rows[0]["failed"] == "no kernel image"
    assert len(rows) == len(asked) > 3
    assert "no kernel image" in capsys.readouterr().out
