"""Votes: read from every kind of file, decided by a stated rule, with agreement as the books have it."""

import csv
import gzip
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis.strategies import data, lists, sampled_from

from evaluator.audit.ballots import read_ballot
from evaluator.audit.correction_files import read_corrections
from evaluator.audit.data_files import outcomes, write_votes
from evaluator.audit.reading import Reading
from evaluator.audit.voters import agreement
from evaluator.audit.votes import Ballot, Rule, Vote, by_voter, correction_rows, decide, voters_agree
from evaluator.cli.main import main
from evaluator.errors import ConfigurationError


def labels(*members):
    return frozenset(members)


def ballot(answers, own=3, other=5):
    """Votes on images ``a``, ``b``, ...: a text of G, S, B (both), N (neither) and ? for each voter."""
    meaning = {"G": labels(own), "S": labels(other), "B": labels(own, other), "N": labels(), "?": None}
    votes = [Vote(name, f"v{place}", meaning[letter]) for name, row in answers.items() for place, letter in enumerate(row)]
    return Ballot(tuple(votes), dict.fromkeys(answers, labels(own)), dict.fromkeys(answers, labels(other)))


# -- agreement


def test_alpha_is_krippendorffs_own_example():
    """Content Analysis, 2004, chapter 11.1.2: four observers, twelve units, missing values; nominal alpha 0.743."""
    values = [
        "1 2 3 3 2 1 4 1 2 * * *",
        "1 2 3 3 2 2 4 1 2 5 * 3",
        "* 3 3 3 2 3 4 2 2 5 1 *",
        "1 2 3 3 2 4 4 1 2 5 1 *",
    ]
    table = np.zeros((12, 5), int)
    for row in values:
        for unit, value in enumerate(row.split()):
            if value != "*":
                table[unit, int(value) - 1] += 1
    found = agreement(table)
    assert found.alpha.value == pytest.approx(0.743, abs=5e-4)
    assert found.images == 11, "the last unit has one value and pairs with none"
    assert found.kappa.value is None, "units have different numbers of values"


def test_kappa_is_fleiss_as_statsmodels_and_wikipedia_have_it():
    """Ten subjects, fourteen raters, five categories: kappa 0.210."""
    table = [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
    found = agreement(np.array(table))
    assert found.kappa.value == pytest.approx(0.210, abs=5e-4)
    assert found.pairwise.value == pytest.approx(0.378, abs=5e-4)
    assert found.kappa.low < found.kappa.value < found.kappa.high


def test_agreement_that_cannot_be_told_has_no_value():
    assert agreement(np.array([[1, 0], [0, 1]])).images == 0
    same = agreement(np.array([[3, 0], [3, 0]]))
    assert same.pairwise.value == 1
    assert same.alpha.value is None, "one answer alone: chance agreement is complete, too"


def test_an_interval_covers_the_agreement_of_the_population():
    held = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        truth = rng.random(80) < 0.5
        said = np.where(rng.random((80, 3)) < 0.8, truth[:, None], ~truth[:, None])
        table = np.stack([said.sum(1), 3 - said.sum(1)], 1)
        found = agreement(table, seed, draws=300).pairwise
        held += found.low <= 0.8**2 + 0.2**2 <= found.high
    assert held >= 52, "95 % of 60 is 57"


# -- decisions


def test_a_majority_is_more_than_the_share_and_ties_are_named():
    found = {
        d.id: d
        for d in decide(ballot({"a": "GGGSS", "b": "SSGGN", "c": "SSGNB", "d": "BBBGS", "e": "NNN??", "f": "G"}), Rule(fewest=2))
    }
    assert found["a"].keeps
    assert (found["b"].labels, found["b"].why) == (None, "tie")
    assert (found["c"].labels, found["c"].why) == (None, "no majority")
    assert found["d"].labels == labels(3, 5)
    assert (found["e"].labels, found["e"].votes, found["e"].unsure) == (labels(), 3, 2)
    assert found["f"].why == "too few votes"


def test_a_number_of_votes_is_another_rule_than_a_share():
    votes = ballot({"a": "SSG", "b": "SSSGG"})
    assert [d.labels for d in decide(votes, Rule.parse("3"))] == [None, labels(5)]
    assert [d.labels for d in decide(votes, Rule.parse("0.5"))] == [labels(5), labels(5)]


def test_by_label_both_counts_for_either():
    votes = ballot({"a": "BBGSN", "b": "NNNGS"})
    assert [d.labels for d in decide(votes, Rule(by="label"))] == [labels(3, 5), labels()]
    assert [d.why for d in decide(votes, Rule())] == ["no majority", None]


@pytest.mark.parametrize("text", ["0", "1.5", "-0.1", "half", "nan"])
def test_a_rule_that_decides_nothing_is_refused(text):
    with pytest.raises(ConfigurationError, match="--majority"):
        Rule.parse(text)


def test_a_voter_who_answers_at_random_is_seen_beside_the_others():
    rng = np.random.default_rng(0)
    answers = {f"i{n}": "GGG" + rng.choice(list("GS")) for n in range(60)}
    found = {voter.name: voter for voter in by_voter(ballot(answers), Rule())}
    assert found["v3"].high < 0.75 < found["v0"].low
    assert found["v3"].compared == 60


def test_neither_is_no_label_or_an_unknown_label():
    decisions = decide(ballot({"a": "NNN", "b": "SSS", "c": "GGG"}), Rule())
    assert correction_rows(decisions) == ([("a", labels(3), labels()), ("b", labels(3), labels(5))], [])
    assert correction_rows(decisions, neither="unknown") == ([("b", labels(3), labels(5))], ["a"])


def test_agreement_is_on_answers_and_not_on_class_numbers():
    """Two images of different classes, all voters for the given label: one category, so that nothing but agreement is there."""
    votes = [Vote(name, f"v{n}", labels(own)) for name, own in (("a", 1), ("b", 2)) for n in range(3)]
    found = voters_agree(Ballot(tuple(votes), {"a": labels(1), "b": labels(2)}))
    assert found.pairwise.value == 1
    assert found.alpha.value is None


# -- files


def write(path, text):
    path.write_text(text)
    return path


SHEET = "id,given,suggested\na.png,3,5\nb.png,3,4\n"


def test_the_page_and_the_table_and_label_studio_say_the_same(tmp_path):
    sheet = write(tmp_path / "sheet.csv", SHEET)
    page = write(tmp_path / "ann.csv", "id,vote,voter\na.png,suggested,ann\nb.png,both,ann\n")
    filled = write(tmp_path / "bo.csv", "id,given,suggested,voter,answer\na.png,3,5,,predicted\nb.png,3,4,,\n")
    choice = {"from_name": "answer", "type": "choices", "value": {"choices": ["suggested"]}}
    other = [{"value": {"choices": ["other"]}}, {"value": {"text": ["cat; 7"]}}]
    tasks = [
        {
            "id": 1,
            "data": {"id": "a.png", "given": "3", "suggested": "5"},
            "annotations": [{"completed_by": 7, "result": [choice]}],
        },
        {
            "id": 2,
            "data": {"id": "b.png", "given": "3", "suggested": "4"},
            "annotations": [
                {"completed_by": {"id": 1, "email": "cy@example.org"}, "result": other},
                {"completed_by": 9, "was_cancelled": True, "result": [choice]},
            ],
        },
    ]
    studio = write(tmp_path / "export.json", json.dumps(tasks))
    found = read_ballot([page, filled, studio], ["ape", "bat", "cat", *"defghij"], sheets=[sheet])
    assert [(v.id, v.voter, v.labels) for v in found.votes] == [
        ("a.png", "ann", labels(5)),
        ("b.png", "ann", labels(3, 4)),
        ("a.png", "bo", labels(5)),
        ("b.png", "bo", None),
        ("a.png", "7", labels(5)),
        ("b.png", "cy@example.org", labels(2, 7)),
    ]
    assert found.given == {"a.png": labels(3), "b.png": labels(3)}


def counted_file(tmp_path, **mturk):
    entry = {"id": 293, "url": "https://x/val/n01/ILSVRC2012_val_00000293.JPEG", "given_original_label": 0, "our_guessed_label": 48}
    path = tmp_path / "human_votes.json.gz"
    path.write_bytes(gzip.compress(json.dumps([entry | {"mturk": mturk}]).encode()))
    return path


def test_counts_without_voters_name_the_image_as_the_benchmark_does(tmp_path):
    found = read_ballot([counted_file(tmp_path, given=1, guessed=3, both=0, neither=1)])
    assert found.anonymous
    assert set(found.given) == {"ILSVRC2012_val_00000293"}
    assert decide(found, Rule())[0].labels == labels(48)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,answer\na.png,horse\n", "'horse' is no label; did you mean 'house'"),
        ("id,answer\na.png,11\n", "'11' is no label"),
        ("id,answer\nz.png,given\n", "the benchmark does not have 1 image with votes: z.png"),
        ("id,answer\na.png,given\na.png,given\n", "line 3: 'votes' answered 'a.png' before"),
        ("id,answer,given\na.png,given,4\n", "the given label of 'a.png' is 4, and 3 elsewhere"),
        ("id,answer\na.png,both\n", "the image has no such label"),
        ("id,answer\n,given\n", "the id is empty"),
        ("name,answer\na.png,given\n", "the columns are name, answer; expected id and answer"),
        ("[1]", "a JSON value that is no list of objects"),
        ('[{"x": 1}]', "neither 'annotations' nor 'mturk'"),
    ],
)
def test_a_file_that_is_not_understood_is_refused_with_its_place(tmp_path, text, message):
    path = write(tmp_path / ("votes.json" if text[0] == "[" else "votes.csv"), text)
    with pytest.raises(ConfigurationError) as caught:
        read_ballot([path], ["house", *"abcdefg"], {"a.png": labels(3)})
    assert message in str(caught.value)
    assert str(path) in str(caught.value) or "--votes" in str(caught.value)


def test_a_cut_gzip_file_is_refused(tmp_path):
    path = counted_file(tmp_path, given=1, guessed=3, both=0, neither=1)
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(ConfigurationError, match="cut short"):
        read_ballot([path])


def test_what_is_written_is_what_an_audit_reads(tmp_path):
    votes = ballot({"a": "GGG", "b": "SSS", "c": "NNN", "d": "BBB", "e": "GS"})
    decisions = decide(votes, Rule())
    written = write_votes(tmp_path, votes, decisions, correction_rows(decisions)[0])
    assert [path.name for path in written] == ["corrections.csv", "undecided.csv", "answers.csv"]
    how = Reading(classes=tuple("0123456789"))
    found = read_corrections(tmp_path / "corrections.csv", how)
    assert dict(zip(found.ids, found.sets.lists(), strict=True)) == {"a": (3,), "b": (5,), "c": (), "d": (3, 5)}
    assert not found.whole, "e was not decided, and what nobody was asked about is not said to be right"
    assert [row["id"] for row in csv.DictReader((tmp_path / "undecided.csv").open())] == ["e"]
    raw = read_corrections(tmp_path / "answers.csv", how)
    assert raw.answers.raters == ("v0", "v1", "v2")
    assert dict(zip(raw.ids, raw.sets.lists(), strict=True)) == {"a": (3,), "b": (5,), "c": (), "d": (3, 5), "e": ()}
    assert outcomes(decisions)["tie"] == 1


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"data": {"id": "a"}, "annotations": 3}, "3 was seen; expected a list"),
        ({"data": {"id": "a"}, "annotations": [{"result": "x"}]}, "'x' was seen; expected a list"),
        ({"data": [], "annotations": []}, "its data has no id"),
        (
            {"data": {"id": "a", "given": "0"}, "annotations": [{"result": [{"value": {"choices": ["other"]}}]}]},
            "no class is named",
        ),
        (
            {
                "id": 1,
                "given_original_label": 0,
                "our_guessed_label": 1,
                "mturk": {"given": 10**12, "guessed": 0, "both": 0, "neither": 0},
            },
            "votes",
        ),
        (
            {
                "id": 1,
                "given_original_label": -1,
                "our_guessed_label": 1,
                "mturk": {"given": 1, "guessed": 0, "both": 0, "neither": 0},
            },
            "below 0",
        ),
        ({"id": 1, "url": 5, "mturk": {}}, "expected id, given_original_label"),
        ({"id": 1, "mturk": None}, "expected id, given_original_label"),
    ],
)
def test_a_json_file_of_another_shape_is_refused_and_takes_no_memory(tmp_path, entry, message):
    with pytest.raises(ConfigurationError, match=message):
        read_ballot([write(tmp_path / "votes.json", json.dumps([entry]))])


@given(data())
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_file_of_votes_is_read_or_refused_in_words(tmp_path, drawn):
    """Pieces of real files in any order: nothing ends in another error."""
    pieces = [
        "id",
        "answer",
        "vote",
        "voter",
        "given",
        ",",
        ";",
        "\n",
        '"',
        "a",
        "-1",
        "3",
        "[",
        "{",
        "}",
        "]",
        ":",
        '"annotations"',
        '"mturk"',
    ]
    pieces += ['"data"', '"id"', "null", "1e999", "\ufeff", "\0", "both", "neither", "9" * 30]
    text = "".join(drawn.draw(lists(sampled_from(pieces), max_size=24)))
    name = drawn.draw(sampled_from(["v.csv", "v.json", "v.txt"]))
    path = tmp_path / name
    path.write_bytes(text.encode())
    said = str(path)
    try:
        read_ballot([path])
    except ConfigurationError as error:
        said = str(error)
    assert str(path) in said or "--votes" in said


@pytest.mark.parametrize(("name", "text"), [("ann.csv", "id,vote,voter\n"), ("export.json", "[]")])
def test_files_without_a_vote_are_refused_and_nothing_is_written(tmp_path, capsys, name, text):
    path = write(tmp_path / name, text)
    assert main(["audit", "votes", "--votes", str(path), "--out", str(tmp_path / "out")]) == 2
    assert "the files hold no vote; expected an answer" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("below", ["", "/deeper"])
def test_a_folder_that_is_a_file_is_refused_before_anything_is_read(tmp_path, capsys, below):
    path = write(tmp_path / "ann.csv", "id,vote,voter\n")
    for action in (["votes", "--votes"], ["sheet", "--suspects"], ["suspects", "--probabilities", "p.npz", "--labels"]):
        assert main(["audit", *action, str(path), "--out", f"{path}{below}"]) == 2
        assert "ann.csv is a file; name a folder" in capsys.readouterr().err
