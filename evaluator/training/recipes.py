"""The pipelines that come with the kit. How ``quick`` was chosen is measured by ``benchmarks/recipes.py``."""

from __future__ import annotations

from evaluator.training.pipeline import Augmentation, Pipeline

_TURNS = Augmentation(horizontal_flip=True, vertical_flip=True, quarter_turns=True)

PIPELINES: dict[str, Pipeline] = {
    p.name: p
    for p in (
        # The default: learns from 160 to 290 images on two CPU cores, from the kit's own starting weights.
        Pipeline(
            name="quick",
            weights="procedural",
            image_size=64,
            batch_size=16,
            learning_rate=1e-3,
            augmentation=_TURNS,
            threshold="fixed",
            threshold_value=0.3,
        ),
        # The round's own: 1,500 to 3,000 images with ImageNet weights. 224 px and the recipe are our choice.
        Pipeline(
            name="official",
            weights="imagenet",
            image_size=224,
            batch_size=32,
            learning_rate=5e-4,
            head_rate=2.0,
            dropout=0.2,
            averaging=0.98,
            augmentation=_TURNS,
            validation_share=0.1,
            threshold="validation",
            threshold_value=0.3,
        ),
        # The whole flow as fast as B4 can go; its scores mean nothing, and it needs no weights.
        Pipeline(
            name="debug",
            weights="none",
            image_size=32,
            epochs=1,
            batch_size=32,
            augmentation=Augmentation(horizontal_flip=True),
            threshold="base_rate",
        ),
        # For tests of everything around the training: a whole cell in milliseconds, and more true labels still give a better score.
        Pipeline(
            name="milliseconds",
            architecture="linear",
            weights="none",
            image_size=8,
            epochs=10,
            batch_size=32,
            learning_rate=0.02,
            warmup=0.1,
            threshold="base_rate",
        ),
    )
}
