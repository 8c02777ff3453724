"""The options of a sweep: words for pairs, files of options, submissions by pattern."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.cli.main import main
from evaluator.errors import ConfigurationError
from evaluator.purchase.pairs import NamedPair, choose_pairs, hidden_pairs, outside_warnings
from evaluator.purchase.profiles import QUICK
from evaluator.purchase.rounds import ROUND1, ROUND2, Pair
from evaluator.purchase.track import PURCHASE
from evaluator.sweep.settings import Settings, read_settings, require_outside

# -- pairs


def names(*words: str, seed: int | None = None) -> list[str]:
    return [named.pair.name for named in choose_pairs(words, QUICK, seed)]


def test_words_for_pairs():
    assert names("public") == [pair.name for pair in ROUND2.pairs]
    assert names("profile") == [pair.name for pair in QUICK.pairs]
    assert names("621:17,1000:2.5") == ["621:17", "1000:2.5"]
    assert names("grid:500,1000x15,30,60") == ["500:15", "500:30", "500:60", "1000:15", "1000:30", "1000:60"]
    assert names("621:17", "public")[:2] == ["621:17", "621:51"]
    assert len(names("public", "hidden:3", seed=1)) == 8


def test_a_public_pair_is_one_by_whatever_name_it_came():
    kinds = [named.kind for named in choose_pairs(("621:17,7:7", "grid:8x8"), QUICK, None)]
    assert kinds == ["public", "named", "grid"]


@pytest.mark.parametrize("word", ["", "publik", "grid:", "grid:500", "grid:500,x15", "grid:ax15", "hidden:", "hidden:x", "5", "5:"])
def test_words_that_mean_nothing_are_refused(word):
    with pytest.raises(ConfigurationError):
        choose_pairs((word,), QUICK, 1)


@pytest.mark.parametrize(
    "word",
    [
        *("hidden:" + "9" * 5_000, "9" * 5_000 + ":17", "621:" + "9" * 5_000, "x" * 5_000, "grid:" + "9" * 5_000 + "x15"),
        *("grid:500x" + "1," * 3_000, "99999999999999999999:17", "2000000000:17", "621:2000000", "grid:2000000000x15", "٣:17"),
    ],
)
def test_words_beyond_every_bound_are_refused_in_a_short_sentence(word):
    with pytest.raises(ConfigurationError, match="--pairs") as caught:
        choose_pairs((word,), QUICK, 1)
    assert len(str(caught.value)) < 500


def test_pairs_without_a_label_are_warned_of(ready):
    assert ready(pairs=("621:17",)).plan.warnings == ()
    warning, _ = ready(pairs=("0:17", "3:17", "621:17")).plan.warnings
    assert "--pairs 0:17, 3:17: the profile tiny scales the label budget to 0, so nothing can be bought" in warning


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (
            "17:621",
            "--pairs 17:621: lies outside of what round2 draws from, 500 to 2,000 labels and 15 to 60 minutes. A pair is "
            "labels:minutes; did you mean 621:17?",
        ),
        ("100:17,621:90", "--pairs 100:17, 621:90: lie outside of what round2 draws from"),
        ("grid:100,600x17", "--pairs 100:17: lies outside"),
        ("621:17,2000:60,500:15", ""),
        ("profile", ""),
    ],
)
def test_a_pair_outside_the_rounds_intervals_or_turned_round_is_warned_of(word, said):
    found = outside_warnings(choose_pairs((word,), QUICK, None), ROUND2)
    assert [warning[: len(said)] for warning in found] == ([said] if said else [])


@pytest.mark.parametrize(("word", "shown"), [("-5:17", "-5:17"), ("621:-3", "621:-3"), ("621:0", "621:0"), ("621:0.0", "621:0")])
def test_a_pair_that_is_not_possible_is_named_as_pairs_are(word, shown):
    with pytest.raises(ConfigurationError) as caught:
        choose_pairs((word,), QUICK, 1)
    assert f"the pair {shown} is not possible; expected 0 or more labels and more than 0 minutes" in str(caught.value)


def test_hidden_pairs_need_a_seed_and_room():
    with pytest.raises(ConfigurationError, match="--round-seed"):
        choose_pairs(("hidden:2",), QUICK, None)
    with pytest.raises(ConfigurationError, match="which are 0 hidden pairs; ask for fewer"):
        hidden_pairs(ROUND1, 1, 0, frozenset(ROUND1.pairs))
    assert hidden_pairs(ROUND1, 1, 0) == ROUND1.pairs
    with pytest.raises(ConfigurationError):
        hidden_pairs(ROUND2, 0, 0)
    with pytest.raises(ConfigurationError):
        hidden_pairs(ROUND2, 1, -1)


@given(seed=st.integers(0, 2**40), count=st.integers(1, 12))
def test_hidden_pairs_lie_in_the_intervals_repeat_and_are_new(seed, count):
    pairs = hidden_pairs(ROUND2, count, seed, frozenset(ROUND2.pairs))
    assert len(set(pairs)) == count
    assert not set(pairs) & set(ROUND2.pairs)
    assert pairs == hidden_pairs(ROUND2, count + 3, seed, frozenset(ROUND2.pairs))[:count]
    for pair in pairs:
        assert 500 <= pair.labels <= 2000
        assert 15 <= pair.minutes <= 60
        assert Pair.parse(pair.name) == pair, "the name says all of it"
    assert NamedPair(pairs[0], "hidden") in choose_pairs((f"hidden:{count}",), QUICK, seed)


def test_hidden_pairs_fill_the_intervals():
    pairs = hidden_pairs(ROUND2, 400, 2022)
    for values, (low, high) in (([p.labels for p in pairs], (500, 2000)), ([p.minutes for p in pairs], (15, 60))):
        share = (high - low) / 20
        assert min(values) < low + share
        assert max(values) > high - share
        assert abs(sum(values) / len(values) - (low + high) / 2) < share * 1.5


# -- files


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two submissions, and what lies beside submissions."""
    (tmp_path / "some").mkdir()
    for name in ("a.py", "b.py", "README.md", "_own.py", "__init__.py"):
        (tmp_path / "some" / name).write_text("")
    return tmp_path


def write(folder: Path, text: str, name: str = "sweep.toml") -> Path:
    (folder / name).write_text(text)
    return folder / name


def read(given: dict[str, object], file: Path | None = None) -> tuple[Settings, tuple[str, ...]]:
    return read_settings(given, PURCHASE, file)


def test_a_file_holds_the_same_options_and_the_command_line_wins(folder):
    file = write(
        folder, 'submissions = "some/*"\nseeds = 3\nlabel-quality = [1, 0.9]\nround_seed = 4\nfresh = true\nout = "here"\n'
    )
    settings, skipped = read({"seeds": 5, "fresh": None}, file)
    assert [path.name for path in settings.submissions] == ["a.py", "b.py"]
    assert sorted(skipped) == ["README.md", "__init__.py", "_own.py"]
    own = settings.options
    assert (settings.seeds, own["label_quality"], own["round_seed"], settings.fresh) == (5, (1.0, 0.9), 4, True)
    assert settings.out == folder / "here"
    assert own["pairs"] == ("profile",)


def test_a_pipeline_of_ones_own_is_seen_from_the_files_folder_too(folder):
    path = write(folder, 'submissions = "some/*"\npipelines = ["round2", "own/mine.toml", "/abs/theirs.toml"]\n')
    assert read({}, path)[0].pipelines == ("round2", str(folder / "own" / "mine.toml"), "/abs/theirs.toml")
    given = read({"pipelines": ["own/mine.toml"]}, path)[0]
    assert given.pipelines == ("own/mine.toml",), "what is typed is seen from where one stands"


def test_what_the_shell_has_expanded_is_read_the_same(folder):
    shell, skipped = read({"submissions": sorted((folder / "some").iterdir())})
    assert (shell, sorted(skipped)) == (read({"submissions": [folder / "some" / "*"]})[0], sorted(skipped))
    assert len(shell.submissions) == 2


def test_a_file_that_is_no_toml_is_refused_by_name(folder):
    file = write(folder, "submissions: [some/a.py]\npairs: [public, 'hidden:2']\n", "sweep.yaml")
    with pytest.raises(ConfigurationError, match=r"sweep\.yaml: this is not valid TOML"):
        read({}, file)


def test_an_option_that_a_file_holds_twice_is_refused(folder):
    with pytest.raises(ConfigurationError, match="twice"):
        read({}, write(folder, 'submissions = "some/a.py"\nroot_seed = 3\n"root-seed" = 4\n'))
    with pytest.raises(ConfigurationError, match="Cannot overwrite a value"):
        read({}, write(folder, 'submissions = "some/a.py"\nseeds = 3\nseeds = 4\n'))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("seedz = 3", "seedz"),
        ("seeds = true", "whole number"),
        ("seeds = 1.5", "whole number"),
        ('label-quality = ["x"]', "number"),
        ('fresh = "yes"', "true or false"),
        ("submissions = 3", "path"),
        ("seeds =", "TOML"),
        ("pairs = []", "pairs"),
        ('pipelines = ["quick", "quick"]', "'quick' is given more than once"),
        ('starting-weights = "mine"', "starting-weights"),
        ('weights-dir = "nowhere"', "not a folder"),
    ],
)
def test_a_bad_file_is_refused_by_name(folder, text, part):
    with pytest.raises(ConfigurationError, match=part):
        read({"submissions": [folder / "some" / "a.py"]} if "submissions" not in text else {}, write(folder, text))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("seeds = " + "[" * 5_000, "this is not valid TOML"),
        ("seeds = " + "9" * 5_000, "this is not valid TOML"),
        ("seeds = " + "[" * 90 + "]" * 90, "is nested more than 8 deep"),
        ('profile = ["' + "x" * 5_000 + '"]', "profile is"),
        ('out = "\\u0000"', "the option out: the path '\\\\x00' holds the character NUL"),
        ('out = " "', "the option out: the path is empty"),
        ('weights-dir = "' + "x" * 300 + '"', "the option weights-dir: .* is longer than"),
        ('data = "' + "x/" * 3_000 + '"', "the option data: .* is longer than"),
        ("threads = 99999999999999999999999", "--threads is 9+; at most 1,024"),
        ("workers = 2000", "--workers is 2000; at most 1,024"),
        ("first-seed = 9223372036854775808", "--first-seed"),
        ("root-seed = 99999999999999999999", "--root-seed"),
        ("seeds = 10001", "--seeds is 10001; at most 10,000"),
    ],
)
def test_values_beyond_every_bound_are_refused_in_a_short_sentence(folder, text, part):
    with pytest.raises(ConfigurationError, match=part) as caught:
        read({"submissions": [folder / "some" / "a.py"]}, write(folder, text))
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(("name", "value"), [("label_quality", (0.4,)), ("label_quality", (float("nan"),)), ("pipelines", ("x",))])
def test_a_value_that_only_the_track_knows_to_be_wrong_is_named_with_its_option(ready, name, value):
    with pytest.raises(ConfigurationError, match=f"--{name.replace('_', '-')}"):
        ready(**{name: value})


@pytest.mark.parametrize("text", ["", " ", "a\0b", "a\udcff", "\ud800", "x" * 256, "é" * 128, "x/" * 2_100])
@pytest.mark.parametrize("option", ["--file", "--out", "--submissions", "--data", "--weights-dir", "--heat-map"])
def test_a_text_that_no_file_can_have_for_a_path_is_refused_with_its_option(option, text, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["sweep", f"{option}={text}"])
    assert ended.value.code == 2
    assert f"argument {option}: the path" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["compare", "/nowhere", f"--out={text}"])


def test_results_in_a_submission_are_refused_before_anything_is_made(folder, monkeypatch):
    """They would be part of its digest: the next run would find no finished cell."""
    mine, beside = folder / "mine", folder / "results"
    mine.mkdir()
    (mine / "run.py").write_text("")
    (folder / "link").symlink_to(mine)
    for out in (mine, mine / "results", folder / "link" / "deep" / "results", mine / ".." / "mine" / "out"):
        with pytest.raises(ConfigurationError, match=r"--out: .* lies in the submission"):
            read({"submissions": [folder / "some" / "a.py", mine], "out": out})
    with pytest.raises(ConfigurationError, match=r"--heat-map: .* lies in the submission"):
        require_outside("--heat-map", mine / "map.svg", [mine])
    assert read({"submissions": [mine], "out": beside})[0].out == beside
    assert read({"submissions": [mine / "run.py"], "out": mine / "results"})[0].out == mine / "results", "of a file, only the file"
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigurationError, match="--out"):
        read({"submissions": [Path("mine")], "out": Path("mine/results")})
    assert not (mine / "results").exists()


def test_later_seeds_are_those_of_a_longer_run(ready):
    """``--first-seed 2 --seeds 2`` elsewhere must name the very cells of ``--seeds 4`` here."""

    def cells(**seeds):
        return [spec.digest() for spec in ready(**seeds).cells]

    there, here = cells(seeds=2, first_seed=2), cells(seeds=4)
    assert len(set(here)) == 2 * len(there) == 8
    assert there == here[4:]
    with pytest.raises(ConfigurationError, match="--first-seed is -1"):
        cells(seeds=1, first_seed=-1)


def test_an_empty_address_of_a_cluster_is_refused(folder):
    with pytest.raises(ConfigurationError, match="--ray is empty; give auto"):
        read_settings({"submissions": [folder / "some" / "a.py"], "ray": ""}, PURCHASE)


def test_a_submission_that_is_named_alone_may_have_any_name(tmp_path):
    for name in ("_mine", ".hidden", "README"):
        folder = tmp_path / name
        folder.mkdir()
        settings, skipped = read_settings({"submissions": [folder]}, PURCHASE)
        assert (settings.submissions, skipped) == ((folder,), ())
    settings, skipped = read_settings({"submissions": [tmp_path / "_mine", tmp_path]}, PURCHASE)
    assert (settings.submissions, skipped) == ((tmp_path,), ("_mine",))
