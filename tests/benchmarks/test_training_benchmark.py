"""What ``benchmarks.training`` says of a training is what the training does: counts, ratios, phases, memory and tables."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from benchmarks.stopwatch.timing import WARM_UP, Ratio, Stamps, Timing
from benchmarks.training import accuracy, operations
from benchmarks.training.__main__ import parse
from benchmarks.training.contest import Data, phases_of_ours, phases_of_plain, single_epoch, time_ours, time_plain
from benchmarks.training.operations import matrix_product_rate, operations_per_image
from benchmarks.training.races import Race, races, recipe_for, row
from benchmarks.training.tables import contest_table, phase_table, ratio_table
from evaluator.data.folders import read_split
from evaluator.data.make import DataSpec, make_dataset
from evaluator.data.painted import CLASSES
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
    assert [race.target("cuda:0") for race in (whole, bare)] == [15.0, None]


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
    for wrong in (["--repeats", "0"], ["--ideas"], ["--accuracy", "--memory"]):
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
