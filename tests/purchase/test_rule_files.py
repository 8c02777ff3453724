"""Rounds and profiles as TOML files: read, refused with line and nearest key; own classes are judged from end to end."""

import json
import os
import re
from dataclasses import fields
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import local_evaluation
from docs import make_keys
from evaluator.cli.main import build_parser, main
from evaluator.data.decoding import decode
from evaluator.errors import ConfigurationError, KitError
from evaluator.places import DATA, data_place, data_set_place
from evaluator.purchase.profiles import PROFILES, QUICK, Profile
from evaluator.purchase.rounds import ROUND1, ROUND2, ROUNDS, Pair, Round, tables_besides
from evaluator.purchase.rule_files import chosen_profile, counted_sizes, named_round, other_file, read_profile, with_sizes
from evaluator.purchase.spec import PurchaseSpec
from evaluator.training.recipes import read_pipeline

SUBMISSION = Path(__file__).resolve().parents[1] / "submissions" / "random_buyer.py"
PETS = """name = "pets"
classes = ["cat", "dog", "bird"]
pairs = ["6:0.5", "12:0.5"]
"""
OWN = """
[profile]
data_folder = "./images"
image_size = 32
resize = "pad"
pipeline = "milliseconds"
"""


def write(folder: Path, text: str, name: str = "pets.toml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def make_pets(folder: Path, columns: str = "cat,dog,bird") -> Path:
    """A data set of three classes whose images are 16 x 10: class k brightens three columns."""
    rng = np.random.default_rng(0)
    for split, n in (("training", 8), ("unlabelled", 20), ("validation", 12)):
        (folder / split / "images").mkdir(parents=True)
        rows = [f"filename,{columns}"]
        for i in range(n):
            labels = [(i + k) % 3 == 0 for k in range(len(columns.split(",")))]
            image = rng.integers(70, 130, (10, 16, 3), dtype=np.uint8)
            for k, there in enumerate(labels):
                image[:, 4 * k + 2 : 4 * k + 5] += 90 * there
            Image.fromarray(image).save(folder / split / "images" / f"{i:02d}.png")
            rows.append(f"{i:02d}.png," + ",".join(str(int(there)) for there in labels))
        (folder / split / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


# -- what a file says


def test_a_round_of_three_lines_is_whole_and_runs_at_full_scale(tmp_path):
    profile = chosen_profile("", str(write(tmp_path, PETS)))
    rules = profile.round
    assert (rules.name, rules.classes, rules.pairs) == ("pets", ("cat", "dog", "bird"), (Pair(6, 0.5), Pair(12, 0.5)))
    assert (rules.label_interval, rules.minute_interval) == ((6, 12), (0.5, 0.5))
    assert (profile.name, profile.budget(Pair(12, 0.5)), profile.seconds(Pair(12, 0.5))) == ("pets", 12, 30.0)
    assert (profile.data_folder, profile.sizes, profile.generated) == ("pets", {}, False)


def test_a_kits_profile_scales_the_round_and_the_round_keeps_its_data(tmp_path):
    scaled = chosen_profile("quick", str(write(tmp_path, PETS + OWN)))
    assert (scaled.name, scaled.budget_scale, scaled.image_size) == ("pets-quick", QUICK.budget_scale, QUICK.image_size)
    assert (scaled.resize, scaled.data_place, scaled.generated) == ("pad", str(tmp_path / "images"), False)
    other = chosen_profile("quick", "round1")
    assert (other.round, other.sizes, other.generated, other.data_folder) == (ROUND1, QUICK.sizes, True, "round1-quick")
    assert chosen_profile("", "round2") is PROFILES["official"]


def test_a_profile_file_begins_from_another_and_names_its_round_in_three_ways(tmp_path):
    write(tmp_path, PETS)
    inside = PETS.replace("\n", "\n", 1)
    for said in ('round = "pets.toml"\n', f"\n[round]\n{inside}"):
        path = write(tmp_path, f'name = "small"\nlike = "quick"\nsizes = {{ training = 8 }}\n{said}', "small.toml")
        small = read_profile(path)
        assert (small.round.name, small.budget_scale, small.sizes, small.data_folder) == ("pets", 0.1, {"training": 8}, "small")
    path = write(tmp_path, 'name = "half"\nround = "round2"\nbudget_scale = 0.5\nlike = "debug"\n', "half.toml")
    half = read_profile(path)
    assert (half.round, half.generated, half.budget(Pair(621, 17))) == (ROUND2, True, 310)
    assert half.drawn == PROFILES["debug"].drawn
    few = 'name = "few"\nlike = "quick"\nsizes = {{ training = 50, unlabelled = 200 }}\n{}'
    assert read_profile(write(tmp_path, few.format(""), "few.toml")).drawn == {}, "a draw belongs to the sizes it draws from"
    own = read_profile(write(tmp_path, few.format("drawn = { unlabelled = 90 }\n"), "few.toml"))
    assert own.drawn == {"unlabelled": 90}
    with pytest.raises(ConfigurationError, match="names a round of its own; leave --round out"):
        chosen_profile(str(path), "round1")


def test_verbs_that_read_results_take_a_file_for_the_name_that_is_stored(tmp_path, capsys):
    path = write(tmp_path, 'name = "half"\nround = "round2"\nlike = "debug"\n', "half.toml")
    for verb in ("compare", "panel"):
        assert build_parser().parse_args([verb, "--profile", str(path)]).profile == "half"
        assert build_parser().parse_args([verb, "--profile", "quick"]).profile == "quick"
        assert main([verb, "--profile", str(tmp_path / "none.toml")]) == 2
        assert "none.toml cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            'opens = "2030-01-01"\ncloses = "2020-01-01"\n',
            "closes is '2020-01-01'; expected a day that is not before opens, 2030-01-01",
        ),
        ('primary_metric = "f1"\n', "primary_metric is 'f1'; expected macro_f1 or accuracy"),
    ],
)
def test_a_round_that_makes_no_sense_is_refused_by_its_key(tmp_path, line, said):
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        chosen_profile("", str(write(tmp_path, line + PETS + OWN)))


def test_dates_and_places_decide_no_result(tmp_path):
    plain = chosen_profile("", str(write(tmp_path, PETS + OWN)))
    dated = chosen_profile("", str(write(tmp_path, "closes = 2026-02-01\nopens = '2026-01-01'\n" + PETS + OWN, "dated.toml")))
    assert plain.as_dict() == dated.as_dict()
    assert not {"data_place", "pipeline_file"} & plain.as_dict().keys()
    assert plain.as_dict()["resize"] == "pad"
    assert Profile.from_dict(json.loads(json.dumps(plain.as_dict()))).as_dict() == plain.as_dict()
    assert "opens on 2026-01-01" in dated.round.outside(date(2025, 12, 31))
    assert "closed on 2026-02-01" in dated.round.outside(date(2026, 2, 2))
    assert not dated.round.outside(date(2026, 2, 1))


def test_the_kits_own_profiles_are_stored_as_they_always_were():
    """Published cells are named by a hash of this."""
    for profile in PROFILES.values():
        plain = profile.as_dict()
        assert not {"resize", "data_place", "pipeline_file"} & plain.keys()
        assert not {"opens", "closes"} & plain["round"].keys()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PETS.replace("classes", "clases"), "line 2: a round has no key 'clases'; did you mean 'classes'?"),
        (PETS + "\n[profile]\nresise = 'pad'\n", "line 6: the profile of a round has no key 'resise'; did you mean 'resize'?"),
        (PETS + "\n[profile]\nresize = 'pat'\n", "line 6: profile pets: resize is 'pat'; expected pad, crop or stretch"),
        (PETS + "sizes = { training = 'many' }\n", "line 4: sizes is {'training': 'many'}; expected `int`"),
        (PETS + "sizes = { traning = 5 }\n", "line 4: round pets: sizes is 'traning = 5'"),
        (PETS.replace('"6:0.5"', '"six"'), "line 3: the pair 'six' was not understood"),
        (PETS.replace("pets", "round2", 1), "line 1: name is 'round2', as a round of the kit is called"),
        (PETS.replace("pets", "a/b", 1), "line 1: name is 'a/b'; write letters"),
        (PETS.replace('"dog"', '"cat"'), "line 2: round pets: classes: the class 'cat' stands there more than once"),
        (PETS.replace("pairs", "# pairs"), "a round needs the key pairs"),
        (PETS + "closes = 'soon'\n", "line 4: closes is 'soon'"),
        (PETS + "score_split = 'tests'\n", "line 4: round pets: score_split is 'tests'; expected validation or test"),
        (PETS + "profile = 3\n", "line 4: profile is a value; expected a table [profile]"),
        ("name = \n", "this is not valid TOML"),
        (PETS.replace('"dog"', '"Cat"'), "line 2: round pets: classes: the classes 'cat' and 'Cat' are alike"),
        (PETS.replace('"12:0.5"', '"6:0.50"'), "line 3: the pair 6:0.5 stands in pairs more than once; name it once"),
        (PETS + "prediction_minutes = 1e308\n", "line 4: round pets: prediction_minutes is 1e+308; expected more than 0"),
        (PETS + "[profile]\npipeline = 'quik'\n", "line 5: pipeline 'quik' is not known; did you mean 'quick'?"),
        (PETS + "[profile]\npipeline = 'no.toml'\n", "line 5: the pipeline file "),
        (PETS + "[profile]\nimage_size = 'x'\n", "line 5: image_size is 'x'; expected `int`"),
        (PETS + "[profile]\nprediction_seconds = inf\n", "line 5: profile pets: prediction_seconds is inf; expected"),
        (PETS + "[profile]\nbudget_scale = 0\n", "line 5: profile pets: budget_scale is 0"),
        (PETS + "[profile]\nbudget_scale = 1\nseconds_per_minute = -1\n", "line 6: profile pets: seconds_per_minute is -1"),
        (PETS + "[profile]\nname = 'quick'\n", "line 5: name is 'quick', as a profile of the kit is called"),
        (PETS + "[profile]\nshifted = { tests = 'rare' }\n", "line 5: profile pets: shifted has the split 'tests'"),
        (PETS + "[profile]\nshifted = { test = 'rar' }\n", "line 5: profile pets: shifted is 'rar', which is no distribution"),
        (PETS + "[profile]\nshift = 'rar'\n", "line 5: profile pets: shift is 'rar', which is no distribution of the kit"),
    ],
)
def test_a_mistake_in_a_round_is_named_once_with_file_and_line(tmp_path, text, said):
    with pytest.raises(ConfigurationError) as caught:
        chosen_profile("", str(write(tmp_path, text)))
    assert str(caught.value).startswith(f"{tmp_path / 'pets.toml'}")
    assert said in str(caught.value)
    assert str(caught.value).count("pets.toml") == 1


def test_a_draw_of_more_images_than_there_are_is_named_with_file_and_line(tmp_path, capsys):
    images = make_pets(tmp_path / "images")
    for sizes in ("", "sizes = { training = 500, unlabelled = 500, validation = 12 }\n"):
        rules = write(tmp_path, f"{PETS}{OWN}{sizes}drawn = {{ training = 9 }}\n")
        line = 9 + bool(sizes) + 1
        assert main(["data", "check", str(images), "--round", str(rules)]) == 2
        said = capsys.readouterr().err.replace("\n", " ")
        assert f"pets.toml, line {line}: profile pets: drawn has 9 images of 'training'" in said
        assert "8 training, 20 unlabelled, 12 validation" in said
        with pytest.raises(ConfigurationError, match="drawn has 9 images"):
            with_sizes(chosen_profile("", str(rules)), images)
    write(tmp_path, f"{PETS}{OWN}drawn = {{ training = 8 }}\n")
    assert with_sizes(chosen_profile("", str(rules)), images).drawn == {"training": 8}


def test_a_name_or_a_file_that_is_not_there_is_said(tmp_path):
    for profile, rules, said in (
        ("", "rund2", "--round: there is no round 'rund2'; did you mean 'round2'?"),
        ("quik", None, "--profile: there is no profile 'quik'; did you mean 'quick'?"),
        ("", str(tmp_path / "no.toml"), "--round: "),
        (str(tmp_path / "no.toml"), None, "--profile: "),
    ):
        with pytest.raises(ConfigurationError) as caught:
            chosen_profile(profile, rules)
        assert said in str(caught.value)


def test_a_misspelt_key_of_a_pipeline_and_of_a_sweep_is_named_with_its_line(tmp_path, capsys):
    pipeline = write(tmp_path, 'name = "mine"\nepoch = 3\n\n[augmentation]\nblurr = 0.1\n', "mine.toml")
    with pytest.raises(ConfigurationError, match=r"mine\.toml, line 2: a pipeline has no key 'epoch'; did you mean 'epochs'"):
        read_pipeline(pipeline)
    write(tmp_path, 'name = "mine"\n\n[augmentation]\nblurr = 0.1\n', "mine.toml")
    with pytest.raises(ConfigurationError, match=r"mine.toml, line 4: \[augmentation\] of a pipeline has no key 'blurr'; did you"):
        read_pipeline(pipeline)
    write(tmp_path, 'name = "mine"\nwarmup = 0.1\nepochs = -1\n', "mine.toml")
    with pytest.raises(ConfigurationError, match=r"mine\.toml, line 3: pipeline 'mine': epochs is -1; it must be a whole number"):
        read_pipeline(pipeline)
    write(tmp_path, 'name = "mine"\n\n[augmentation]\nblur = "left"\n', "mine.toml")
    with pytest.raises(ConfigurationError, match=r"mine\.toml, line 4: augmentation: blur is 'left'"):
        read_pipeline(pipeline)
    sweep = write(tmp_path, "# own\nseds = 3\n", "sweep.toml")
    assert main(["sweep", "--file", str(sweep), "--dry-run"]) == 2
    assert "sweep.toml, line 2: a sweep has no option 'seds'; did you mean 'seeds'?" in capsys.readouterr().err


def test_the_page_of_keys_is_what_the_types_say():
    for page in make_keys.PAGES:
        assert page.read_text(encoding="utf-8") == make_keys.wanted(page), f"write it anew: {make_keys.COMMAND}"
    text = make_keys.PAGES[0].read_text(encoding="utf-8")
    for kind in (Round, Profile):
        assert all(f"`{f.name}`" in text for f in fields(kind) if f.compare)


# -- images that are not square


@pytest.mark.parametrize(("resize", "side", "corner"), [("pad", 16, 0), ("crop", 10, 200), ("stretch", 16, 200)])
def test_images_that_are_not_square_become_square_as_the_rules_say(tmp_path, resize, side, corner):
    Image.new("RGB", (16, 10), (200, 200, 200)).save(tmp_path / "a.png")
    raw = (tmp_path / "a.png").read_bytes()
    image, stored = decode(raw, "a.png", None, resize)
    assert (image.shape, stored) == ((side, side, 3), (16, 10))
    assert (image[0, 0, 0], image[side // 2, side // 2, 0]) == (corner, 200)
    assert decode(raw, "a.png", 8, resize)[0].shape == (8, 8, 3)


# -- from end to end


@pytest.mark.endurance
def test_own_classes_run_from_the_check_to_the_replay(tmp_path, capsys, monkeypatch):
    images, rules = make_pets(tmp_path / "images"), str(write(tmp_path, PETS + OWN))
    monkeypatch.setattr("evaluator.places.DATA", tmp_path / "kit-data")
    assert main(["data", "check", str(images), "--round", rules]) == 0
    common = ["--round", rules, "--sandbox", "process", "--device", "cpu", "--public-seeds", "--out", str(tmp_path / "results")]
    assert local_evaluation.main(["--submission", str(SUBMISSION), *common, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.partition("{")[2].join(["{", ""]))
    assert (summary["round"], summary["profile"], summary["verdict"]) == ("pets", "pets", "OK")
    assert main(["sweep", "--submissions", str(SUBMISSION), *common, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cached"] == 2, "both doors name the same cells"
    cell = next((tmp_path / "results" / "cells").glob("*.json"))
    stored = PurchaseSpec.from_dict(json.loads(cell.read_text())["spec"]).profile
    assert stored == chosen_profile("", rules).__class__.from_dict(stored.as_dict())
    assert (stored.round.classes, stored.resize, stored.sizes["unlabelled"]) == (("cat", "dog", "bird"), "pad", 20)
    os.remove(rules)  # the stored cell is enough
    assert main(["replay", str(cell), "--data", str(images)]) == 0
    assert "the stored result, to the bit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("columns", "good"),
    [
        ("cat,dog,bird", True),
        ("cat,dog", False),
        ("cat,dog,bird,fish", False),
        ("cat,dog,bird,dent_small", False),
        ("bird,Dog,CAT", True),
    ],
)
def test_check_and_evaluation_accept_and_refuse_the_same_tables(tmp_path, capsys, monkeypatch, columns, good):
    from evaluator.purchase.sets import read_sets

    images = make_pets(tmp_path / "images", columns)
    profile = chosen_profile("", str(write(tmp_path, PETS + OWN)))
    for option in (["--round", str(tmp_path / "pets.toml")], ["--classes", "cat,dog,bird", "--resize", "pad"]):
        assert main(["data", "check", str(images), *option]) == (0 if good else 2)
    said = capsys.readouterr().err
    if good:
        read_sets(profile, images, cache=tmp_path / "cache")
        return
    with pytest.raises(KitError) as caught:
        read_sets(profile, images, cache=tmp_path / "cache")
    assert str(caught.value) in said


def test_check_and_evaluation_need_the_same_splits(tmp_path, capsys):
    images = make_pets(tmp_path / "images")
    os.rename(images / "unlabelled", tmp_path / "elsewhere")
    assert main(["data", "check", str(images), "--round", str(write(tmp_path, PETS + OWN))]) == 2
    assert "unlabelled does not exist" in capsys.readouterr().err


def test_a_table_of_some_classes_of_a_round_is_no_table_of_another(tmp_path, capsys):
    five = ",".join(ROUND2.classes[:5])
    images = make_pets(tmp_path / "images", five)
    assert main(["data", "check", str(images / "training"), "--resize", "pad"]) == 2
    assert "'discoloration'" in capsys.readouterr().err
    assert main(["data", "check", str(images / "training"), "--resize", "pad", "--round", "round1"]) == 2
    assert "hold 'stray_particle' besides the 4 classes that are read, but not 'discoloration'" in capsys.readouterr().err
    assert main(["data", "check", str(images / "training"), "--resize", "pad", "--classes", five]) == 0
    assert tables_besides(ROUND1.classes) == (ROUND2.classes,)
    assert all(tables_besides(rules.classes) == () for rules in ROUNDS.values() if rules != ROUND1)


def test_sizes_are_counted_where_no_file_says_them(tmp_path):
    assert counted_sizes(make_pets(tmp_path / "images")) == {"training": 8, "unlabelled": 20, "validation": 12}


# -- places


def test_a_checkout_that_cannot_be_written_has_its_data_and_cache_in_the_users_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("DCK_CACHE", raising=False)
    assert data_place() == DATA
    monkeypatch.setattr("evaluator.places.DATA", tmp_path / "data")
    (tmp_path / "data" / "quick").mkdir(parents=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert data_place() == tmp_path / "user" / "dck"
    assert data_set_place("quick") == tmp_path / "data" / "quick", "what the checkout has is read there"
    assert data_set_place("debug") == tmp_path / "user" / "dck" / "debug"
    monkeypatch.setenv("DCK_CACHE", str(tmp_path / "named"))
    assert data_place() == tmp_path / "named"
    assert data_place(tmp_path / "given") == tmp_path / "given"
    monkeypatch.setenv("DCK_CACHE", "a\nb" * 2_000)
    with pytest.raises(ConfigurationError, match="DCK_CACHE: the path"):
        data_place()


def test_cache_says_where_data_are_made_and_kept(tmp_path, capsys):
    small = ["--profile", "debug", "--split", "training=2", "--cache", str(tmp_path / "here")]
    assert main(["data", "make", *small]) == 0
    assert (tmp_path / "here" / "debug" / "training" / "labels.csv").is_file()


ROUND_FILE = 'name = "x"\nclasses = ["a"]\npairs = ["5:1"]\n'
PROFILE_FILE = 'name = "x"\nlike = "quick"\nimage_size = 32\n'
OPTIONS_FILE = 'profile = "quick"\npairs = ["5:1"]\nseeds = 2\n'
TAKEN_FOR = [
    (
        ROUND_FILE,
        "--profile",
        "it is the file of a round (it has the key classes); the file of a profile was expected. Give it to --round; w",
    ),
    (
        ROUND_FILE,
        "--file",
        "it is the file of a round (it has the key classes); a file of options was expected. Give it to --round\n",
    ),
    (
        PROFILE_FILE,
        "--round",
        "it is the file of a profile (it has the key like); the file of a round was expected. Give it to --profile\n",
    ),
    (
        PROFILE_FILE,
        "--file",
        "it is the file of a profile (it has the key like); a file of options was expected. Give it to --profile\n",
    ),
    (
        OPTIONS_FILE,
        "--profile",
        "it is a file of options (it has the key seeds); the file of a profile was expected. Give it to --file\n",
    ),
    (
        OPTIONS_FILE,
        "--round",
        "it is a file of options (it has the key seeds); the file of a round was expected. Give it to --file\n",
    ),
]


@pytest.mark.parametrize(("text", "option", "said"), TAKEN_FOR, ids=[f"{option} {said[6:24]}" for _, option, said in TAKEN_FOR])
def test_a_file_that_another_option_takes_is_named_with_that_option(tmp_path, capsys, text, option, said):
    (tmp_path / "x.toml").write_text(text)
    (tmp_path / "mine.py").write_text(
        "from run import ZEWDPCBaseRun\n\n\nclass Mine(ZEWDPCBaseRun):\n    def purchase_phase(self):\n        pass\n"
    )
    assert main(["validate", str(tmp_path / "mine.py"), "--sandbox", "process", option, str(tmp_path / "x.toml")]) == 2
    assert f"{tmp_path / 'x.toml'}: {said}" in capsys.readouterr().err


def test_a_round_file_that_an_organiser_gives_as_a_profile_is_named(tmp_path, capsys):
    (tmp_path / "x.toml").write_text(ROUND_FILE)
    assert main(["round", "new", "X", "--folder", str(tmp_path / "round"), "--profile", str(tmp_path / "x.toml")]) == 2
    assert "where a command has no --round, write its keys into a table [round] of a profile's file" in capsys.readouterr().err


def test_a_file_with_a_key_too_many_is_what_it_was_given_as(tmp_path):
    (tmp_path / "x.toml").write_text(PROFILE_FILE + 'classes = ["a"]\n')
    with pytest.raises(ConfigurationError, match="line 4: a profile has no key 'classes'"):
        chosen_profile(str(tmp_path / "x.toml"))
    (tmp_path / "x.toml").write_text(ROUND_FILE + "image_size = 32\n")
    with pytest.raises(ConfigurationError, match="line 4: a round has no key 'image_size'"):
        named_round(str(tmp_path / "x.toml"))


@pytest.mark.parametrize(
    ("content", "wanted", "key"),
    [
        ({"round": "x.toml", "pairs": [], "bogus": 1}, "options", ""),
        ({"round": {"name": "x"}, "name": "y"}, "options", "round"),
        ({"round": "x.toml", "name": "y"}, "round", "round"),
        ({"name": "x", "profile": {"image_size": 3}, "clases": []}, "round", ""),
        ({"name": "x", "profile": "quick"}, "round", "profile"),
        ({}, "profile", ""),
    ],
)
def test_what_a_file_is_follows_from_the_keys_that_no_other_has(content, wanted, key):
    said = other_file(content, wanted)
    assert (f"(it has the key {key})" in said) if key else said == ""
