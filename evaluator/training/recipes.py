"""The pipelines that come with the kit, and those that a person brings: each is one TOML file, read here and nowhere else.

A file holds the fields of ``Pipeline`` by their names, the table ``[augmentation]``, and the table ``[from_scratch]`` with the
fields that take other values where the recipe must do without its starting weights. Its ``description`` says where it comes from,
what it is for and what is wrong with it.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

from evaluator.bounded import BoundsError, read_toml
from evaluator.errors import ConfigurationError
from evaluator.toml_keys import check_keys, place_of_value
from evaluator.training.pipeline import PROCEDURAL_ARCHITECTURE, Augmentation, Pipeline
from evaluator.words import meant

COMPILED = "+compiled"
"""Behind the name of a pipeline: the same one, through torch's compiler."""
FOLDER = Path(__file__).parent / "pipelines"

KEYS = tuple(f.name for f in fields(Pipeline))
_AUGMENTATION = tuple(f.name for f in fields(Augmentation))

PANEL: tuple[str, ...] = ("round2", "panel-b4-frozen", "panel-resnet50", "panel-convnext-tiny", "panel-vit-small")
"""The five pipelines that differ in kind, by which finalists are judged."""


def read_pipeline(path: Path) -> Pipeline:
    """The pipeline of a TOML file.

    Raises:
        ConfigurationError: the file cannot be read, is not TOML, or describes a pipeline that makes no sense.
    """
    try:
        plain = read_toml(path)
    except OSError as error:
        raise ConfigurationError(f"the pipeline file {path} cannot be read ({error}); give the path of a TOML file") from error
    except BoundsError as error:
        raise ConfigurationError(f"the pipeline file {error}; take a file of {FOLDER} as a pattern") from error
    check_keys(path, plain, KEYS, "a pipeline")
    for table, keys in (("augmentation", _AUGMENTATION), ("from_scratch", KEYS)):
        if isinstance(inside := plain.get(table, {}), dict):
            check_keys(path, inside, keys, f"[{table}] of a pipeline", table)
    try:
        return Pipeline.from_dict(plain)
    except ConfigurationError as error:
        raise ConfigurationError(f"{place_of_value(path, plain, str(error))}: {error}") from error


def load_pipeline(name_or_path: str) -> Pipeline:
    """A pipeline of the kit by its name, or a person's own by the path of its ``.toml`` file; ``+compiled`` may stand behind it.

    Raises:
        ConfigurationError: there is no such name, or the file is not good.
    """
    if name_or_path.endswith(COMPILED):
        base = load_pipeline(name_or_path.removesuffix(COMPILED))
        return base if base.compiled else replace(base, name=base.name + COMPILED, compiled=True)
    if name_or_path in PIPELINES:
        return PIPELINES[name_or_path]
    if name_or_path.endswith(".toml"):
        pipeline = read_pipeline(Path(name_or_path).expanduser())
        # A table that says `round2` must mean the kit's.
        if PIPELINES.get(pipeline.name, pipeline) != pipeline:
            raise ConfigurationError(
                f"{name_or_path} is called {pipeline.name!r}, as a pipeline of the kit is; give it its own name"
            )
        return pipeline
    said = meant(name_or_path, PIPELINES) or f"; choose one of {', '.join(PIPELINES)}, or give the path of a .toml file"
    raise ConfigurationError(f"pipeline {name_or_path!r} is not known{said}")


def fitted(pipeline: Pipeline, profile_image_size: int, profile_weights: str) -> Pipeline:
    """The pipeline at a profile's size and with weights that the profile has, under a name that says so.

    A pipeline whose images are no larger than the profile's and that does not ask for ImageNet weights where the profile has none
    comes back unchanged. Otherwise images are brought to the profile's size (a Gaussian blur, given in pixels, shrinks with them),
    and ImageNet weights become the kit's own where the profile allows them and the architecture has them, else none, with the
    changes of ``from_scratch``.

    Args:
        pipeline: any pipeline.
        profile_image_size: side of the profile's images in pixels.
        profile_weights: ``imagenet`` (pipelines keep the weights that they ask for), ``procedural`` or ``none``.

    Raises:
        ConfigurationError: only the head would be trained and no weights are left, or ``profile_weights`` is none of the three.
    """
    if profile_weights not in ("imagenet", "procedural", "none"):
        raise ConfigurationError(f"a profile's weights are {profile_weights!r}; known are imagenet, procedural, none")
    weights = pipeline.weights
    if weights == "imagenet" != profile_weights:
        weights = "procedural" if profile_weights == "procedural" and pipeline.architecture == PROCEDURAL_ARCHITECTURE else "none"
    size = min(pipeline.image_size, profile_image_size)
    if (size, weights) == (pipeline.image_size, pipeline.weights):
        return pipeline
    if weights == "none" != pipeline.weights:
        if pipeline.trains == "head" and pipeline.from_scratch.get("trains", "head") == "head":
            raise ConfigurationError(
                f"pipeline {pipeline.name!r} trains only the head, but the profile has no pretrained weights for "
                f"{pipeline.architecture}. Choose a pipeline that trains all layers, or {PROCEDURAL_ARCHITECTURE}"
            )
        pipeline = pipeline.without_weights()
    label = weights if "/" not in weights and "\\" not in weights else Path(weights).stem
    augmentation = replace(pipeline.augmentation, gaussian=pipeline.augmentation.gaussian * size / pipeline.image_size)
    name = f"{pipeline.name}@{size}px-{label}"
    return replace(pipeline, name=name, image_size=size, weights=weights, augmentation=augmentation)


def _shipped() -> dict[str, Pipeline]:
    pipelines = [read_pipeline(path) for path in sorted(FOLDER.glob("*.toml"))]
    return {pipeline.name: pipeline for pipeline in pipelines}


PIPELINES: dict[str, Pipeline] = _shipped()
"""Every pipeline that comes with the kit, by its name, which is its file's."""
