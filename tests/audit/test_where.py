"""Conditions on columns: what they mean, and what is refused before anything runs."""

import pytest

from evaluator.audit.where import parse
from evaluator.bounded import BoundsError

COLUMNS = {
    "correction": ["", "-1", "3", "3,5"],
    "scale": ["1", "2.0", "10", ""],
    "light": ["dim", "bright", "dim", "x y"],
    "the label": ["a", "b", "c", "d"],
}

MEANT = [
    ("correction is none", "1000"),
    ("correction is not none", "0111"),
    ("correction = -1", "0100"),
    ("correction = '3,5'", "0001"),
    ("correction != -1", "0011"),
    ("scale = 2", "0100"),
    ("scale > 1.5", "0110"),
    ("scale<=2", "1100"),
    ("scale >= 2 and light = dim", "0010"),
    ("scale < 2 or light = dim and scale = 10", "1010"),
    ("(scale < 2 or light = dim) and scale = 10", "0010"),
    ("not light = dim", "0101"),
    ('light = "x y"', "0001"),
    ("light in (dim, bright)", "1110"),
    ("light not in (dim, bright)", "0001"),
    ("scale not in (1, 2)", "0010"),
    ("'the label' IN (a, \"d\") AND NOT (scale IS NONE)", "1000"),
    ("scale in (1.0, 1e1)", "1010"),
]


@pytest.mark.parametrize(("text", "expected"), MEANT)
def test_a_condition_holds_for_the_images_that_it_names(text, expected):
    assert "".join(str(int(holds)) for holds in parse(text).of(COLUMNS, 4)) == expected


def test_no_comparison_holds_for_an_empty_cell():
    for text in ("scale = 9", "scale != 9", "scale < 9", "scale > 0", "scale in (9)", "scale not in (9)"):
        assert not parse(text).of(COLUMNS, 4)[3], text


REFUSED = [
    ("", "it ends too early"),
    ("scale", "expected '='"),
    ("scale = ", "expected a value"),
    ("scale > big", "'big' is no number"),
    ("light > 3", "the column 'light' holds 'dim'"),
    ("scale = 1 scale = 2", "expected 'and', 'or'"),
    ("(scale = 1", "expected ')'"),
    ("scale in 3", "expected '('"),
    ("scale in (3", "expected ',' or ')'"),
    ("scale is 3", "expected 'none'"),
    ("scle = 1", "there is no column 'scle'; did you mean 'scale'"),
    ("scale == 1", "expected a value"),
    ("scale = 'open", "is no part of a condition"),
    ("__import__('os').system('true')", "expected '='"),
    ("(" * 100 + "scale = 1" + ")" * 100, "brackets within each other"),
    ("not " * 100 + "scale = 1", "brackets within each other"),
    ("scale = " + "1" * 5_000, "characters; at most"),
    ("\x1b[2Jscale = 1", "no column"),
]


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_what_is_no_condition_is_refused_in_words(text, said):
    with pytest.raises(BoundsError) as caught:
        parse(text).of(COLUMNS, 4)
    assert said in str(caught.value)
    assert str(caught.value).startswith("--where ")
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 500
