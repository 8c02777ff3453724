"""The ideas for a faster training: the step is the loop's, a verdict is what its rounds say, and rows are measured one by one."""

import io
import json
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from benchmarks import ideas, step_timing, steps, training
from benchmarks.idea_rows import Gain, Row, put, read_rows, write_rows
from benchmarks.idea_tables import findings, ideas_table, listed, page_text, region
from benchmarks.ideas import IDEAS, Bench, Idea, ideas_for, measured
from benchmarks.steps import BATCHES, Settings, Step
from benchmarks.timing import Timing
from benchmarks.training import parse, run_ideas
from benchmarks.turns import Sides
from evaluator.seeds import generator
from evaluator.training import loop
from evaluator.training.cpu.convolutions import Depthwise
from evaluator.training.cpu.pointwise import Pointwise
from evaluator.training.pipeline import Augmentation, Pipeline

SMALL = Pipeline(
    name="small",
    architecture="efficientnet_b0",
    weights="none",
    image_size=32,
    batch_size=4,
    epochs=1,
    augmentation=Augmentation(horizontal_flip=True, vertical_flip=True, brightness=0.2),
)
BENCH = Bench(SMALL, steps=2, repeats=2, threads=1, device="cpu")


@pytest.fixture
def light(monkeypatch):
    """The process of the tests keeps its allocator and its number of threads."""
    monkeypatch.setattr(steps, "keep_memory", lambda: True)
    monkeypatch.setattr(step_timing, "_STEPS", {})
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


class Here(Sides):
    """Sides that share this process."""

    def submit(self, side, function):
        job = Future()
        job.set_result(function())
        return job


# -- the step


def test_the_step_learns_from_what_the_loop_learns_from(light):
    """The same images, draws and network input, batch by batch: the loop's only come in an order of its own."""
    step, seen = Step(Settings(), SMALL, "cpu", seed=5), {"step": [], "loop": []}
    with torch.nn.modules.module.register_module_forward_pre_hook(watch(seen["step"])):
        for _ in range(BATCHES):
            step()
    images, labels = step.images.numpy(), step.targets.numpy().astype(np.uint8)
    with torch.nn.modules.module.register_module_forward_pre_hook(watch(seen["loop"])):
        loop.train(SMALL, images, labels, seed=5, threads=1)
    mine, theirs = (torch.cat(found) for found in seen.values())
    order = generator(5, "order", 0).permutation(len(images))
    assert torch.equal(mine[order], theirs)


def watch(kept):
    """A hook that keeps what goes into a whole network in training mode: images of three channels and the full size."""

    def hook(module, arguments):
        if type(module).__name__ == "EfficientNet" and module.training:
            assert arguments[0].is_contiguous(memory_format=torch.channels_last)
            kept.append(arguments[0].clone())

    return hook


def test_the_defaults_are_what_the_loop_does(monkeypatch, light):
    """What the table says is on today, is on."""
    told, optimisers = [], []
    monkeypatch.setattr("evaluator.training.cpu.allocator.keep_memory", lambda: told.append("memory kept"))
    monkeypatch.setattr(torch, "compile", lambda *_, **__: told.append("compiled"))
    step_once = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self, *a: (optimisers.append(self), step_once(self, *a))[1])
    images = np.zeros((8, 32, 32, 3), np.uint8)
    trained = loop.train(SMALL, images, np.eye(8, 6, dtype=np.uint8), seed=1, threads=1)
    loops = Settings(
        quicken=any(isinstance(module, Depthwise) for module in trained.model.modules()),
        channels_last=trained.model.features[1][0].block[-1][0].weight.is_contiguous(memory_format=torch.channels_last),
        fused=all(optimiser.defaults["fused"] for optimiser in optimisers),
        kept_memory="memory kept" in told,
        compiled="compiled" in told,
        bf16=trained.precision != "float32",
        threads=trained.threads,
    )
    assert loops == Settings()
    states = {idea.name: idea.state for idea in IDEAS}
    for name, field in (
        ("quickened convolutions", "quicken"),
        ("channels last", "channels_last"),
        ("fused optimiser", "fused"),
        ("keep freed memory", "kept_memory"),
        ("torch.compile", "compiled"),
        ("bfloat16 on the CPU", "bf16"),
    ):
        assert states[name] == ("on" if getattr(loops, field) else "off")


@pytest.mark.parametrize("switch", ["cached", "whole_batch", "quicken", "channels_last", "fused", "kept_memory"])
def test_a_switch_changes_the_time_and_not_the_numbers(light, switch):
    losses = []
    for value in (True, False):
        step = Step(replace(Settings(), **{switch: value}), SMALL, "cpu")
        losses.append([float(step()) for _ in range(2)])
    if switch in ("cached", "whole_batch", "kept_memory"):
        assert losses[0] == losses[1]
    else:
        np.testing.assert_allclose(losses[0], losses[1], rtol=2e-3)


def test_switches_reach_what_they_are_named_for(light):
    off = Step(Settings(cached=False, quicken=False, channels_last=False, fused=False, bf16=True), SMALL, "cpu")
    assert len(off.files) == len(off.images)
    assert not any(isinstance(module, Depthwise) for module in off.model.modules())
    assert not off.optimiser.defaults["fused"]
    assert off.number_format == "bfloat16"
    assert off._input(slice(0, 4)).is_contiguous()
    frozen = Step(Settings(), replace(SMALL, freeze_batch_norm=True), "cpu").model
    norms = [module for module in frozen.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)
    assert frozen.training


def test_a_compiled_network_keeps_what_the_compiler_accepts(light, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda model: model)
    kinds = [{type(m) for m in Step(Settings(compiled=value), SMALL, "cpu").model.modules()} for value in (False, True)]
    assert {Pointwise, Depthwise} <= kinds[0]
    assert kinds[0] - kinds[1] == {Pointwise}
    losses = [float(Step(Settings(compiled=value), SMALL, "cpu")()) for value in (False, True)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_an_evaluation_beside_the_training_uses_a_model_of_its_own(light):
    step = Step(Settings(), SMALL, "cpu")
    copy, before = step.snapshot(), [p.clone() for p in step.model.parameters()]
    step()
    step.evaluate(5, copy)
    assert any(not torch.equal(a, b) for a, b in zip(before, step.model.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before, copy.parameters(), strict=True))
    assert step.model.training


# -- verdicts


def timings(*ms, cpu=1.0):
    """One timing of ten images per figure."""
    return tuple(Timing(10, value / 100, cpu * value / 100) for value in ms)


@pytest.mark.parametrize(
    ("off", "on", "verdict"),
    [
        ((20, 22, 24), (10, 11, 12.1), "faster"),
        ((10, 11, 12), (20, 22, 24.1), "slower"),
        ((10, 11, 12), (11, 10, 12.5), "within noise"),
        ((11, 10, 12.5), (10, 11, 12), "within noise"),
        ((20,), (10,), "one round"),
    ],
)
def test_a_verdict_follows_from_the_rounds(off, on, verdict):
    assert Gain.between(timings(*off), timings(*on)).verdict == verdict
    assert row(off, on).verdict == verdict


def test_a_gain_is_taken_round_by_round_and_has_an_interval():
    gain = Gain.between(timings(10, 40, 90), timings(5, 10, 10, cpu=2.0))
    assert gain.factor == pytest.approx((2 * 4 * 9) ** (1 / 3))
    assert gain.low * gain.high == pytest.approx(gain.factor**2), "of the logarithms"
    assert gain.cpu == pytest.approx(gain.factor / 2)
    with pytest.raises(ValueError, match="same rounds"):
        Gain.between(timings(1, 2), timings(1))


def row(off=(), on=(), **fields):
    given = {
        "size": 64,
        "idea": "fused optimiser",
        "settings": BENCH.settings() | {"batch_size": 10, "epochs": 5},
        "machine": {"command": "python", "cores": 2, "processor": "one", "python": "3", "torch": "2", "load": [1.0, 1.0, 1.0]},
        "off": timings(*off),
        "on": timings(*on),
    }
    return Row(**(given | fields))


def test_what_is_paid_once_is_weighed_against_what_a_step_saves():
    """Ten images of 20 and of 10 ms: a step of 0.2 s saves 0.1 s."""
    compiled = row((20, 20), (10, 10), once={"cold": 100.2, "warm": 10.2}, idea="torch.compile")
    assert compiled.paid_back() == pytest.approx({"cold": 1000, "warm": 100})
    (line,) = (line for line in page_text([compiled], "cpu").splitlines() if "**torch.compile**" in line)
    assert "paid back after 1,000 steps (5 epochs of 2,000 images) with a cold one, 100 steps (5 epochs of 200 images)" in line
    noise = row((20, 10), (10, 20), once={"cold": 100.0, "warm": 10.0}, idea="torch.compile")
    assert noise.paid_back() is None
    assert "no saving is shown" in page_text([noise], "cpu")


def test_rows_come_back_from_their_file(tmp_path):
    path = tmp_path / "new" / "ideas.json"
    rows = [row((2, 3), (1, 2), once={"cold": 1.0, "warm": 0.5}, others=0.5), row(idea="CUDA graphs", trouble="no CUDA device")]
    assert read_rows(path) == []
    write_rows(path, rows)
    assert read_rows(path) == rows
    stored = json.loads(path.read_text())["rows"]
    assert [plain["verdict"] for plain in stored] == [rows[0].verdict, "not measured"]
    path.write_text('{"races": {}}')
    with pytest.raises(SystemExit, match="no rows of ideas"):
        read_rows(path)


def test_a_row_takes_the_place_of_the_one_before_it_unless_it_failed():
    first, other, again, failed = row((2, 2), (1, 1)), row((2,), (1,), size=32), row((3, 3), (1, 1)), row(trouble="broken")
    rows = put(put([], first), other)
    assert put(rows, again) == [again, other]
    assert put(rows, failed) == rows
    assert put([failed], again) == [again]


# -- tables


def test_every_idea_that_was_asked_for_is_a_row():
    words = ("uint8 cache", "whole-batch", "fused", "compile", "bfloat16", "side by side", "CUDA graphs", "cells on one GPU")
    words += ("evaluation in the background", "channels last", "freed memory", "quickened")
    names = [idea.name for idea in ideas_for("cpu")]
    assert len(set(names)) == len(names)
    for word in words:
        assert any(word in name for name in names), word
    on_a_gpu = {idea.name for idea in ideas_for("cuda")}
    assert {"CUDA graphs", "torch.compile", "fused optimiser"} <= on_a_gpu
    assert not on_a_gpu & {"keep freed memory", "quickened convolutions", "bfloat16 on the CPU"}
    assert all(idea.state in ("on", "off", "a choice") for idea in IDEAS)


def test_the_page_says_what_the_measurements_say_of_the_training():
    rows = [
        row((10, 10, 10), (20, 20, 20), idea="fused optimiser"),
        row((20, 20), (10, 10.1), idea="torch.compile"),
        row((10, 12), (12, 10), idea="channels last"),
        row((20, 20), (10, 10), idea="keep freed memory", others=1.3),
        row(idea="CUDA graphs", trouble="no CUDA device"),
    ]
    assert findings(rows, "cpu") == {
        "On today, and measured slower": ["fused optimiser (64 px)"],
        "On today, and not shown to be faster": ["channels last (64 px)"],
        "Off today, and measured faster": ["torch.compile (64 px)"],
    }
    text = page_text(rows, "cpu")
    lines = {line.split("**")[1]: line for line in text.splitlines() if line.startswith("| 64")}
    assert lines.keys() == {idea.name for idea in ideas_for("cpu")}
    assert "| 10 | 20 | 0.50 (0.50 to 0.50) | 0.50 | 3 | slower | on |" in lines["fused optimiser"]
    assert "other programs had 1.3 cores" in lines["keep freed memory"]
    assert "disturbed" not in lines["fused optimiser"]
    assert "not measured: no CUDA device" in lines["CUDA graphs"]
    assert "not run yet" in lines["whole-batch augmentation"]
    console = Console(width=250, record=True, file=io.StringIO())
    console.print(ideas_table(rows, "cpu"))
    assert "not measured: no CUDA device" in console.export_text()


def test_rows_of_several_runs_say_which_run_is_whose():
    other = row((2, 2), (1, 1)).machine | {"command": "python again"}
    text = page_text([row((2, 2), (1, 1)), row((2, 2), (1, 1), idea="channels last", machine=other)], "cpu")
    assert (
        "`python` on 2 cores, one; Python 3, torch 2; load average 1.0 at the end of a row; rows: fused optimiser (64 px)." in text
    )
    assert "`python again` on" in text


def test_a_page_without_figures_says_how_to_get_them():
    assert page_text([], "cpu").startswith("Not run yet. `python -m benchmarks.training --ideas")
    assert "--device cuda" in page_text([], "cuda")
    assert listed([], "cpu") == []


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_the_page_holds_what_is_stored(kind):
    root = Path(training.__file__).resolve().parents[2]
    rows = read_rows(root / "benchmarks" / "results" / f"training-ideas-{kind}.json")
    page = (root / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert region(kind).replaced(page, page_text(rows, kind)) == page, (
        "run python -m benchmarks.training --ideas --stored --page docs/benchmarks.md"
    )


# -- measuring


@pytest.mark.parametrize("idea", ideas_for("cpu"), ids=lambda idea: idea.name)
def test_every_idea_is_measured_off_and_on(monkeypatch, light, idea):
    monkeypatch.setattr(ideas, "Sides", Here)
    monkeypatch.setattr(torch, "compile", lambda model: model)
    # Two threads that wait for each other take for ever on a machine that has other things to do.
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    found = measured(replace(idea, cores=1), BENCH)
    if idea.only == "cuda":
        assert (found.trouble, found.off) == ("no CUDA device", ())
        return
    assert found.trouble == ""
    assert len(found.off) == len(found.on) == BENCH.repeats
    assert {timing.images for timing in (*found.off, *found.on)} <= {8, 16}
    assert set(found.once) == ({"cold", "warm"} if idea.name == "torch.compile" else set())
    assert found.gain.factor > 0
    assert found.settings == BENCH.settings()
    json.dumps(found.as_dict())


@pytest.mark.slow
def test_sides_are_processes():
    """What a side is sent can be pickled, and its training stays there from turn to turn."""
    idea = next(idea for idea in IDEAS if idea.name == "fused optimiser")
    found = measured(idea, replace(BENCH, repeats=1))
    assert found.trouble == ""
    assert [timing.images for timing in (*found.off, *found.on)] == [8, 8]
    assert step_timing._STEPS == {}, "nothing was trained in this process"


def test_an_idea_that_fails_is_a_row_that_says_how():
    def broken(bench, sides):
        raise RuntimeError("no compiler here\nset a variable for more")

    found = measured(Idea("broken", "", "", broken, "off"), BENCH)
    assert (found.off, found.trouble, found.verdict) == ((), "RuntimeError: no compiler here", "not measured")
    assert "needs 9999 cores" in measured(Idea("wide", "", "", broken, "off", cores=9999), BENCH).trouble


@pytest.fixture
def command(tmp_path, monkeypatch):
    """The command with measuring left out: runs it with further options, and returns (what was measured, rows stored)."""
    page = tmp_path / "page.md"
    page.write_text(f"{region('cpu').start}\n{region('cpu').end}\n")
    count = iter(range(1, 1000))

    def run(*more):
        asked = []

        def fake(idea, bench):
            asked.append((bench.pipeline.image_size, idea.name))
            if idea.hindrance(bench):
                return row(size=bench.pipeline.image_size, idea=idea.name, settings=bench.settings(), trouble="no CUDA device")
            off = (10.0 + next(count),) * 2
            return row(off, (5, 5), size=bench.pipeline.image_size, idea=idea.name, settings=bench.settings())

        monkeypatch.setattr(training, "measured", fake)
        options = ["--ideas", "--threads", "1", "--json", str(tmp_path / "ideas.json"), "--page", str(page), *more]
        run_ideas(parse(options), Console(file=io.StringIO()))
        return asked, read_rows(tmp_path / "ideas.json"), page.read_text()

    return run


def test_a_run_goes_on_where_it_was_stopped(command):
    asked, rows, page = command("--sizes", "64", "--only", "fused optimiser")
    assert asked == [(64, "fused optimiser")]
    assert page.count("not run yet") == len(ideas_for("cpu")) - 1
    asked, rows, page = command("--sizes", "64")
    assert len(asked) == len(ideas_for("cpu")) - 1
    assert (64, "fused optimiser") not in asked
    assert "not run yet" not in page
    asked, again, _ = command("--sizes", "64")
    assert {name for _, name in asked} == {idea.name for idea in IDEAS if idea.only == "cuda"}, (
        "what was not measured is tried again"
    )
    assert again == rows


def test_one_row_replaces_another(command):
    _, rows, _ = command("--sizes", "64")
    asked, after, page = command("--sizes", "64", "--only", "channels last")
    assert asked == [(64, "channels last")]
    changed = [new.idea for old, new in zip(rows, after, strict=True) if new != old]
    assert changed == ["channels last"]
    assert f"| {next(r for r in after if r.idea == 'channels last').ms[0]:.3g} | 5 |" in page


def test_other_settings_or_fresh_measure_again_and_stored_measures_nothing(command):
    command("--sizes", "64")
    assert len(command("--sizes", "64", "--steps", "5")[0]) == len(ideas_for("cpu"))
    assert len(command("--sizes", "64", "--steps", "5", "--fresh")[0]) == len(ideas_for("cpu"))
    assert command("--sizes", "64", "--stored")[0] == []
    assert len(command("--sizes", "64", "224", "--steps", "5", "--only", "224 px, ")[0]) == len(ideas_for("cpu"))


def test_mistakes_are_said_before_anything_is_measured(command, tmp_path):
    with pytest.raises(SystemExit, match="no idea's name holds 'nonsense'"):
        command("--only", "nonsense")
    (tmp_path / "page.md").write_text("no marks")
    with pytest.raises(ValueError, match="marks"):
        command("--sizes", "64")
    assert not (tmp_path / "ideas.json").exists()
