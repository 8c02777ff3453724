"""What a report says of rules and pipelines that came from files: the options and files that give them again."""

import tomllib

import pytest

from evaluator.purchase.asked_again import asked_for, pipeline_for
from evaluator.purchase.profiles import PROFILES
from evaluator.purchase.rule_files import chosen_profile
from evaluator.toml_keys import toml_text
from evaluator.training.recipes import PIPELINES, fitted, load_pipeline, read_pipeline

PETS = """
name = "pets"
classes = ["cat", "dog", "bird"]
pairs = ["50:5", "200:20.5"]
minute_interval = [2, 60.5]
primary_metric = "accuracy"
closes = 2099-12-31
[profile]
data_folder = "./images"
image_size = 48
resize = "crop"
data_seed = 77
drawn = { training = 8 }
sizes = { training = 10, unlabelled = 40, validation = 10 }
"""
SMALL = """
name = "small"
round = "round2"
like = "quick"
data_folder = "small"
pairs = ["621:17"]
"""


def options(words):
    """The profile that these words of a command line name."""
    given = dict(zip(words[::2], words[1::2], strict=True))
    return chosen_profile(given.get("--profile", ""), given.get("--round"))


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_of_the_kit_is_named(name):
    assert asked_for(PROFILES[name].as_dict()) == (["--profile", name], {})


@pytest.mark.parametrize("words", [("quick", "round1"), ("debug", "round2"), ("official", "round1")])
def test_a_profile_with_another_round_of_the_kit_is_named_by_both(words):
    profile = chosen_profile(*words)
    said, files = asked_for(profile.as_dict())
    assert files == {}
    assert options(said).as_dict() == profile.as_dict()


@pytest.mark.parametrize("scale", ["", "quick"])
def test_the_file_of_a_round_of_ones_own_gives_the_same_profile(tmp_path, monkeypatch, scale):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "given.toml").write_text(PETS)
    profile = chosen_profile(scale, "given.toml")
    words, files = asked_for(profile.as_dict())
    assert words == ["--profile", f"{profile.name}.toml"]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert options(words).as_dict() == profile.as_dict()


def test_the_file_of_a_profile_of_ones_own_names_the_round_of_the_kit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "given.toml").write_text(SMALL)
    profile = chosen_profile("given.toml")
    words, files = asked_for(profile.as_dict())
    assert tomllib.loads(files["small.toml"])["round"] == "round2"
    (tmp_path / "small.toml").write_text(files["small.toml"])
    assert options(words).as_dict() == profile.as_dict()


def test_a_page_that_others_may_see_has_no_seed_of_the_data(tmp_path):
    (tmp_path / "pets.toml").write_text(PETS)
    profile = chosen_profile("", str(tmp_path / "pets.toml")).as_dict()
    assert "data_seed = 77" in asked_for(profile)[1]["pets.toml"]
    assert "77" not in asked_for(profile, private=True)[1]["pets.toml"]


def test_a_pipeline_is_named_or_its_file_is_written(tmp_path):
    assert pipeline_for(PIPELINES["quick"].as_dict(), "quick") == ("quick", {})
    (tmp_path / "given.toml").write_text('name = "mine"\nimage_size = 96\nepochs = 3\n[augmentation]\nhorizontal_flip = true\n')
    own = load_pipeline(str(tmp_path / "given.toml"))
    for pipeline in (own, fitted(own, 64, "none")):
        name, files = pipeline_for(pipeline.as_dict(), "mine")
        assert name == "mine.toml"
        (tmp_path / name).write_text(files[name])
        again = fitted(read_pipeline(tmp_path / name), 64, "none")
        assert again.as_dict() == fitted(own, 64, "none").as_dict()


def test_any_text_and_key_can_be_read_again():
    plain = {
        "a": 'say "x"\n\x7f\tü€\\',
        "b c": [1, 2.5, 1e-9],
        "d": {"e f": True, "g": "h"},
        "none": None,
        "t": dict.fromkeys("abcde", 1),
    }
    expected = {name: value for name, value in plain.items() if value is not None}
    assert tomllib.loads(toml_text(plain)) == expected
