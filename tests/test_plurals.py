"""Numbers stand with the right form of their noun, and a misspelt name is answered with the name that was meant."""

import pytest

from evaluator.words import counted, ending, meant, number, was


@pytest.mark.parametrize(
    ("n", "said"), [(0, "0 cells were"), (1, "1 cell was"), (2, "2 cells were"), (10_000, "10,000 cells were")]
)
def test_one_thing_is_singular(n, said):
    assert f"{counted(n, 'cell')} {was(n)}" == said


def test_a_plural_of_its_own():
    assert counted(1, "strategy", "strategies") == "1 strategy"
    assert counted(3, "strategy", "strategies") == "3 strategies"


def test_the_nearest_name_is_offered_and_no_far_name():
    assert meant("quik", ["quick", "rare"]) == "; did you mean 'quick'?"
    assert meant("zebra", ["quick", "rare"]) == ""
    said = "; did you mean 'gro\\u0308\\xdfe', which is written in another form of Unicode than 'gr\\xf6\\xdfe'?"
    assert meant("gr\u00f6\u00dfe", ["gruesse", "gro\u0308\u00dfe"]) == said


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        *((1200.0, 3, "1,200"), (8.5, 3, "8.5"), (25.55, 3, "25.6"), (0.025, 3, "0.025"), (17.0, 3, "17"), (0.0, 3, "0")),
        *((10_800.0, 4, "10,800"), (123_456.7, 4, "123,457"), (621.25, 4, "621.2"), (999.6, 3, "1,000"), (1e6, 3, "1,000,000")),
    ],
)
def test_a_number_for_a_person_has_no_exponent(value, digits, text):
    assert number(value, digits) == text


@pytest.mark.parametrize(
    ("name", "text"), [("a.txt", "ends in '.txt'"), ("a.tar.gz", "ends in '.gz'"), ("a", "has no ending"), (".md", "has no ending")]
)
def test_an_ending_is_said_as_it_is(name, text):
    assert ending(name) == text
