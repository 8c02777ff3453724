"""Pipelines check themselves, name themselves by digest, and come back from JSON as they were."""

from dataclasses import fields, replace

import pytest

from evaluator.errors import ConfigurationError
from evaluator.training.pipeline import Augmentation, Pipeline


def test_every_field_enters_the_digest():
    other = {"architecture": "efficientnet_b0", "weights": "imagenet", "optimiser": "sgd", "schedule": "cosine", "trains": "all"}
    other |= {"threshold": "base_rate", "freeze_batch_norm": True, "augmentation": Augmentation(shift=0.1), "name": "other"}
    other |= {"mean": (0.5, 0.5, 0.5), "std": (0.3, 0.3, 0.3), "image_size": 96, "epochs": 3, "batch_size": 4}
    other |= {"embedding_views": 2, "precision": "float32"}
    base = Pipeline(name="base", trains="head", augmentation=Augmentation(blur=0.5))
    digests = {base.digest()}
    decisive = [f for f in fields(Pipeline) if f.compare]
    for f in decisive:
        # What is compiled trains whole.
        changes = {"compiled": True, "trains": "all"} if f.name == "compiled" else {f.name: other.get(f.name, 0.123)}
        digests.add(replace(base, **changes).digest())
    assert len(digests) == 1 + len(decisive)


def test_a_description_is_no_part_of_a_recipe():
    base, told = Pipeline(name="base"), Pipeline(name="base", description="from the round")
    assert base == told
    assert base.digest() == told.digest()
    assert "description" not in base.as_dict()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": ""}, "name"),
        ({"architecture": "resnet"}, "efficientnet_b4"),
        ({"architecture": "timm/"}, "timm/<name>"),
        ({"architecture": "timm/../x"}, "timm/<name>"),
        ({"architecture": "timm/<name>"}, "known are .*timm/<name>"),
        ({"precision": "half"}, "float32"),
        ({"embedding_views": 1}, "frozen"),
        ({"embedding_views": 2, "trains": "head"}, "without augmentation"),
        ({"optimiser": "lion"}, "adamw"),
        ({"schedule": "step"}, "one_cycle"),
        ({"threshold": "guess"}, "base_rate"),
        ({"trains": "some"}, "head"),
        ({"epochs": 0}, "epochs"),
        ({"epochs": 1.5}, "whole"),
        ({"epochs": True}, "epochs"),
        ({"batch_size": 1}, "batch_size"),
        ({"image_size": 16}, "image_size"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"warmup": 1.0}, "warmup"),
        ({"averaging": 1.0}, "averaging"),
        ({"threshold_value": 1.1}, "threshold_value"),
        ({"freeze_batch_norm": 1}, "freeze_batch_norm"),
        ({"augmentation": {}}, "Augmentation"),
        ({"std": (0.2, 0.2, 0.0)}, "std"),
        ({"mean": (0.5,)}, "three"),
        ({"weights": "imagenet", "mean": (0.5, 0.5, 0.5)}, "ImageNet"),
        ({"weights": ""}, "weights"),
        ({"architecture": "linear"}, "linear"),
        ({"trains": "head", "weights": "none"}, "head"),
        ({"threshold": "validation"}, "validation_share"),
    ],
)
def test_refuses_what_makes_no_sense(changes, says):
    with pytest.raises(ConfigurationError, match=says):
        Pipeline(**{"name": "x", **changes})


@pytest.mark.parametrize("changes", [{"shift": 0.6}, {"blur": -0.1}, {"horizontal_flip": 1}, {"zoom": float("nan")}])
def test_augmentation_refuses_what_makes_no_sense(changes):
    with pytest.raises(ConfigurationError, match=next(iter(changes))):
        Augmentation(**changes)


@pytest.mark.parametrize("plain", [{"name": "x", "colour": 1}, {}, {"name": "x", "augmentation": {"sparkle": 1}}])
def test_from_dict_names_unknown_and_missing_fields(plain):
    with pytest.raises(ConfigurationError, match="not understood"):
        Pipeline.from_dict(plain)
