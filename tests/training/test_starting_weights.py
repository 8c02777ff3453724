"""``--starting-weights``, from the command line to the stored cell, and starting weights where there is no network."""

import hashlib
import json
from dataclasses import replace

import huggingface_hub
import offline as no_network
import pytest
import safetensors.torch
import timm
from conftest import SUBMISSIONS, TINY

import evaluator.purchase.track
import evaluator.sweep.run
import local_evaluation
from evaluator.cli.main import main as cli
from evaluator.errors import WeightsError
from evaluator.purchase import profiles
from evaluator.purchase.track import PURCHASE
from evaluator.runner.workers import Workers
from evaluator.sweep.experiment import prepare
from evaluator.sweep.settings import Settings, read_settings
from evaluator.training.weights import PROCEDURAL_SHA256

RANDOM = SUBMISSIONS / "random_buyer.py"
RESNET = "timm/resnet10t.c3_in1k"
MINE = """
name = "mine"
description = "a small network of timm's, for one epoch"
architecture = "timm/resnet10t.c3_in1k"
weights = "imagenet"
image_size = 32
epochs = 1
batch_size = 16
"""
AT_32 = replace(TINY, image_size=32)


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No network, here and where trainings are done, and empty caches below ``tmp_path``."""
    for module, name in no_network.ASKS:
        monkeypatch.setattr(module, name, no_network.unreachable)
    monkeypatch.setattr(evaluator.sweep.run, "places", lambda experiment: Workers(1, work=no_network.judged))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


@pytest.fixture
def bought(monkeypatch):
    """Every purchase that is made."""
    made, buy = [], evaluator.purchase.track.buy

    def spy(spec, *arguments):
        made.append(spec)
        return buy(spec, *arguments)

    monkeypatch.setattr(evaluator.purchase.track, "buy", spy)
    return made


@pytest.fixture
def evaluate(monkeypatch, tmp_path, data_folder, capsys):
    """Run the front door with a pipeline that asks for ImageNet weights: (exit status, cells, what was said)."""
    monkeypatch.setitem(profiles.PROFILES, "tiny", AT_32)
    monkeypatch.setattr("evaluator.places.DATA", tmp_path / "data")
    pipeline = tmp_path / "mine.toml"
    pipeline.write_text(MINE)

    def run(*options: str):
        given = ["--profile", "tiny", "--threads", "1", "--device", "cpu", "--sandbox", "process", "--data", data_folder]
        given += ["--submission", RANDOM, "--pair", "621:17", "--pipeline", pipeline, "--out", tmp_path / "results", *options]
        status = local_evaluation.main([str(part) for part in given])
        printed = capsys.readouterr()
        cells = [json.loads(path.read_text()) for path in (tmp_path / "results" / "cells").glob("*.json")]
        return status, cells, printed.out + printed.err

    return run


def settings(weights: str | None, data, *pipelines: str) -> Settings:
    given = {"submissions": [RANDOM], "pairs": ["621:17"], "pipelines": pipelines, "profile": "like-tiny", "sandbox": "process"}
    return read_settings(given | {"starting_weights": weights, "data": data}, PURCHASE)[0]


@pytest.mark.parametrize(
    ("weights", "named", "kept", "identity"),
    [
        (None, "round2@32px-procedural", "procedural", f"sha256:{PROCEDURAL_SHA256}"),
        ("procedural", "round2@32px-procedural", "procedural", f"sha256:{PROCEDURAL_SHA256}"),
        ("none", "round2@32px-none", "none", "none"),
    ],
)
@pytest.mark.usefixtures("offline")
def test_a_sweep_starts_from_what_was_asked_for_and_says_so(monkeypatch, data_folder, tmp_path, weights, named, kept, identity):
    profile = replace(AT_32, name="like-tiny", weights="procedural")
    monkeypatch.setitem(profiles.PROFILES, "like-tiny", profile)
    experiment = prepare(PURCHASE, settings(weights, data_folder, "round2"), folder=tmp_path / "data")
    (spec,) = experiment.cells
    assert (spec.pipeline.name, spec.pipeline.weights, spec.weights) == (named, kept, identity)
    # Batch-norm statistics of random weights are those of nothing: what a pipeline says under [from_scratch] holds.
    assert spec.pipeline.freeze_batch_norm is (kept != "none")


@pytest.mark.usefixtures("offline")
def test_imagenet_weights_that_are_not_there_end_a_sweep_before_its_first_purchase(monkeypatch, data_folder, tmp_path, bought):
    monkeypatch.setitem(profiles.PROFILES, "like-tiny", replace(AT_32, name="like-tiny"))
    with pytest.raises(WeightsError, match=r"pipeline 'round2@32px-imagenet': .*efficientnet_b4_rwightman-23ab8bcd.pth") as caught:
        prepare(PURCHASE, settings("imagenet", data_folder, "round2"), folder=tmp_path / "data")
    assert str(tmp_path / "torch" / "hub" / "checkpoints") in str(caught.value)
    assert bought == []


@pytest.mark.usefixtures("offline")
def test_the_sweeps_verb_hands_the_choice_on(monkeypatch, data_folder, tmp_path, capsys, bought):
    monkeypatch.setitem(profiles.PROFILES, "tiny", AT_32)
    monkeypatch.chdir(tmp_path)
    given = [
        "sweep",
        "--submissions",
        RANDOM,
        "--profile",
        "tiny",
        "--pairs",
        "621:17",
        "--pipelines",
        "round2",
        "--data",
        data_folder,
    ]
    given += ["--sandbox", "process", "--device", "cpu", "--out", tmp_path / "results", "--dry-run"]
    assert cli([str(part) for part in [*given, "--starting-weights", "imagenet"]]) == 2
    assert "efficientnet_b4_rwightman-23ab8bcd.pth" in capsys.readouterr().err
    assert cli([str(part) for part in [*given, "--starting-weights", "none"]]) == 0
    assert bought == []


@pytest.mark.usefixtures("offline")
def test_an_evaluation_without_a_network_names_the_place_and_buys_nothing(evaluate, bought, tmp_path):
    status, cells, said = evaluate("--starting-weights", "imagenet")
    assert (status, cells, bought) == (2, [], [])
    place = tmp_path / "hub" / "models--timm--resnet10t.c3_in1k" / "snapshots" / "main" / "model.safetensors"
    assert str(place) in said.replace("\n", "")


@pytest.mark.endurance
def test_a_file_put_into_the_cache_by_hand_is_trained_from_without_a_network(evaluate, offline):
    """The steps of docs/weights.md, from the file in its place to the hash in the result."""
    place = offline / "hub" / "models--timm--resnet10t.c3_in1k" / "snapshots" / "main" / "model.safetensors"
    place.parent.mkdir(parents=True)
    state = timm.create_model(RESNET.removeprefix("timm/"), pretrained=False).state_dict()
    safetensors.torch.save_file(state, place)
    status, (cell,), said = evaluate("--starting-weights", "imagenet")
    assert (status, cell["verdict"]) == (0, "OK"), said
    digest = f"sha256:{hashlib.sha256(place.read_bytes()).hexdigest()}"
    assert (cell["training"]["weights"], cell["spec"]["weights"], cell["spec"]["pipeline"]["name"]) == (digest, digest, "mine")


@pytest.mark.usefixtures("offline")
@pytest.mark.endurance
def test_random_weights_are_another_pipeline_and_another_cell(evaluate):
    status, (cell,), said = evaluate("--starting-weights", "none")
    assert (status, cell["training"]["weights"], cell["spec"]["pipeline"]["name"]) == (0, "none", "mine@32px-none"), said
