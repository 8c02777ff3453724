"""Numbers stand with the right form of their noun, and a misspelt name is answered with the name that was meant."""

import pytest

from evaluator.words import counted, meant, was


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
