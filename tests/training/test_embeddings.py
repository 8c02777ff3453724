"""Frozen features, embedded once: the same training as embedding anew in every epoch, in fewer passes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import SMALL, TURNS, distance, same, toy, weights

from evaluator.errors import TrainingError
from evaluator.training.embeddings import frozen as embeddings
from evaluator.training.embeddings.frozen import Embeddings
from evaluator.training.inputs import Job, Pictures
from evaluator.training.loop import train
from evaluator.training.network import build_network, head
from evaluator.training.pipeline import Augmentation
from evaluator.training.predict import decide, predict

FROZEN = replace(
    SMALL,
    trains="head",
    weights="procedural",
    epochs=4,
    learning_rate=0.05,
    averaging=0.8,
    dropout=0.3,
    stochastic_depth=0.2,
    label_smoothing=0.1,
    validation_share=0.25,
    threshold="base_rate",
    augmentation=replace(TURNS, shift=0.1, brightness=0.2),
)
STEADY = {"optimiser": "sgd", "learning_rate": 0.005}
"""Its steps follow the gradient; AdamW's first steps follow its sign, which rounding decides where a feature is next to nothing."""
HEAD = {"classifier.1.weight", "classifier.1.bias"}


@pytest.fixture(autouse=True)
def _random_features(monkeypatch):
    """Features that tell images apart without any file: random ones, whose batch normalisation knows what they give."""
    monkeypatch.setattr("evaluator.training.loop.load_starting_weights", lambda model, *given: enliven(model))
    monkeypatch.setattr("evaluator.training.loop.starting_weights_identity", lambda *given: "test")


def part(inputs, epoch, order, start, stop):
    """The logits of some rows of an epoch."""
    return inputs.logits(*(rows[start:stop] for rows in inputs.epoch(epoch, order))).detach()


def enliven(model) -> str:
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for norm in norms:
            norm.weight.fill_(1.0)
            norm.momentum = 1.0
        model((torch.from_numpy(toy(64)[0]).permute(0, 3, 1, 2) / 255 - 0.45) / 0.225)  # of images like those that it will see
    for norm in norms:
        norm.momentum = 0.1
    return "test"


@pytest.fixture
def embedded(monkeypatch):
    """How many images went through the features, per pass."""
    passes = []
    usual = embeddings.features

    def counted(model, x):
        assert not torch.is_grad_enabled()
        assert not any(module.training for module in model.modules())
        passes.append(len(x))
        return usual(model, x)

    monkeypatch.setattr(embeddings, "features", counted)
    return passes


@pytest.mark.endurance
def test_as_many_views_as_epochs_are_the_training_without_embeddings(embedded):
    images, labels = toy(40)
    recipe = replace(FROZEN, **STEADY)
    anew = train(recipe, images, labels, seed=3, threads=1)
    assert embedded == []
    once = train(replace(recipe, embedding_views=4), images, labels, seed=3, threads=1)
    assert sum(embedded) == 10 + 4 * 30 + 30  # held out, views, and without augmentation for the thresholds
    learnt = weights(once)["classifier.1.weight"]  # it started at zero
    assert float(learnt.abs().max()) > 3e-3
    assert distance(anew, once) < 3e-4
    for one, other in zip(anew.history, once.history, strict=True):
        assert one == pytest.approx(other, rel=1e-3)
    assert once.thresholds == pytest.approx(anew.thresholds, abs=1e-3)
    assert predict(once, images) == pytest.approx(predict(anew, images), abs=1e-3)
    assert 0 < once.timings["embed"] < once.seconds


def test_epochs_take_the_views_in_turn():
    images, _ = toy(12)
    model = build_network("efficientnet_b0", 2, seed=1)
    enliven(model)
    torch.nn.init.normal_(model.classifier[1].weight, generator=torch.Generator().manual_seed(0))
    cpu = torch.device("cpu")
    recipe, kept = replace(FROZEN, embedding_views=2), np.arange(12)
    job = Job(recipe, torch.from_numpy(images), np.zeros((12, 2)), kept, kept[:0], 5, cpu, "float32")
    cached, anew = Embeddings(job, model, lambda share: None), Pictures(job, model)
    order = np.roll(kept, 5)
    for epoch, view in ((0, 0), (1, 1), (2, 0), (3, 1)):
        model.eval()
        given = part(cached, epoch, order, 2, 9)
        assert given == pytest.approx(part(anew, view, order, 2, 9), rel=1e-3, abs=1e-3)
        assert given != pytest.approx(part(anew, 1 - view, order, 2, 9), abs=0.1)


def test_a_dropout_in_place_leaves_the_embeddings_as_they_are():
    images, _ = toy(8)
    model = build_network("efficientnet_b0", 2, seed=1, dropout=0.9)
    enliven(model)
    kept = np.arange(8)
    recipe = replace(FROZEN, embedding_views=1)
    job = Job(recipe, torch.from_numpy(images), np.zeros((8, 2)), kept, kept[:2], 5, torch.device("cpu"), "float32")
    cached = Embeddings(job, model, lambda share: None)
    before = cached._views.clone()
    cached.training_mode()
    part(cached, 0, kept, 0, 8)
    cached.probabilities(kept[:2])
    assert model.classifier.training
    assert torch.equal(cached._views, before)
    assert not head(model.eval(), cached._views[0]).isnan().any()


def test_one_view_without_augmentation_is_embedded_once_in_all(embedded):
    images, labels = toy(20)
    recipe = replace(FROZEN, embedding_views=1, augmentation=Augmentation(), epochs=9)
    trained = train(recipe, images, labels, seed=3, threads=1)
    assert sum(embedded) == 20
    assert decide(predict(trained, images), trained.thresholds).sum() > 0


def test_only_the_head_changes_and_it_repeats_to_the_bit():
    images, labels = toy(20)
    recipe = replace(FROZEN, embedding_views=2)
    first, again = (train(recipe, images, labels, seed=3, threads=1) for _ in range(2))
    longer = train(replace(recipe, epochs=5), images, labels, seed=3, threads=1)
    assert same(first, again)
    assert first.history == again.history
    assert {name for name, value in weights(first).items() if not torch.equal(value, weights(longer)[name])} == HEAD
    assert not any(module.training for module in first.model.modules())


def test_it_learns():
    images, labels = toy(60)
    trained = train(replace(FROZEN, embedding_views=2, epochs=40, label_smoothing=0.0), images, labels, seed=3, threads=1)
    assert trained.history[-1]["loss"] < 0.7 * trained.history[0]["loss"]


def test_progress_counts_the_embedding():
    shares = []
    train(replace(FROZEN, embedding_views=2), *toy(20), seed=3, threads=1, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[:3] == pytest.approx([0.3, 0.6, 0.9])
    assert shares[-1] == 1.0


def test_an_embedding_batch_that_does_not_fit_is_halved(embedded, monkeypatch):
    images, labels = toy(12)
    recipe = replace(FROZEN, embedding_views=1, **STEADY)
    whole = train(recipe, images, labels, seed=3, threads=1)
    counted = embeddings.features

    def small(model, x):
        if len(x) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return counted(model, x)

    monkeypatch.setattr(embeddings, "features", small)
    embedded.clear()
    halved = train(recipe, images, labels, seed=3, threads=1)
    assert max(embedded) == 4
    assert distance(whole, halved) < 3e-4
    assert halved.notes == ()


def test_an_embedding_that_is_not_finite_is_named(monkeypatch):
    def broken(model, x):
        return torch.full((len(x), 1280), torch.inf)

    monkeypatch.setattr(embeddings, "features", broken)
    with pytest.raises(TrainingError, match=r"embedding of item \d+ is not finite in float32.*'small'"):
        train(replace(FROZEN, embedding_views=1), *toy(12), seed=3, threads=1)
