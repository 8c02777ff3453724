"""Published tables without predictions: what they allow, said as bounds."""

import json
import re

import numpy as np
import pytest

from evaluator.audit.published import analysed, error_bounds, read_table
from evaluator.bounded import BoundsError
from evaluator.cli.main import main


@pytest.mark.parametrize(("first", "second"), [(0.9, 0.8), (0.6, 0.55), (0.5, 0.5), (0.3, 0.1), (1.0, 0.4)])
def test_the_bounds_are_reached_by_models_that_overlap_most_and_least(first, second):
    n = 1_000
    a, b = round(first * n), round(second * n)
    one = np.arange(n) < a
    nested, apart = np.arange(n) < b, np.arange(n) >= n - b
    errors = [(one.astype(float) - other).std() / np.sqrt(n) for other in (nested, apart)]
    assert error_bounds(first, second, n) == (pytest.approx(min(errors), abs=1e-12), pytest.approx(max(errors)))


def test_a_swap_is_decided_only_where_both_bounds_say_so():
    def decided(*rows, n=10_000):
        (swap,) = analysed({f"m{k}": row for k, row in enumerate(rows)}, [n, n]).swaps
        return swap.decided

    assert decided((90, 50), (50, 90)) is True
    assert decided((80.5, 79.5), (79.5, 80.5)) is None
    assert decided((80.01, 60), (80, 80), n=400) is False


def test_the_command_says_bounds(tmp_path, capsys):
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"a": [80.5, 79], "b\x1b[1m": [80, 80], "c": [70, 70]}))
    assert main(["audit", "bounds", "--table", str(path), "--images", "5000", "4000"]) == 0
    out = capsys.readouterr().out
    assert "cannot be" in out or "cannot" in out
    assert "bounds of the standard error" in out
    assert "\x1b" not in out
    assert main(["audit", "bounds", "--table", str(path), "--images", "5000", "4000", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["swaps"][0]["beyond_noise"]) == ("audit-bounds", None)
    assert main(["audit", "bounds", "--table", str(path), "--images", "5000"]) == 2
    assert "expected 2 of 1 or more" in capsys.readouterr().err
    assert main(["audit", "bounds", "--table", str(path), "--images", "4000", "5000"]) == 2
    assert "expected all images first" in capsys.readouterr().err


def test_a_models_name_is_not_broken(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"convnext_small": [80.5, 79], "efficientnet_b4": [80, 80]}))
    assert main(["audit", "bounds", "--table", str(path), "--images", "5000", "4000"]) == 0
    assert re.search(r"^convnext_small +efficientnet_b4 ", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "no object of two models"),
        ('{"a": [1, 2]}', "no object of two models"),
        ('{"a": [1, 2], "b": [1]}', "as long for each"),
        ('{"a": [1, 2], "b": [1, 101]}', "101; expected a percentage"),
        ('{"a": [1, 2], "b": [1, true]}', "True; expected a percentage"),
        ('{"a": [1, 2], "b": 3}', "expected a list"),
        ('{"a": [1, NaN], "b": [1, 2]}', "NaN"),
        ('{"a": [0.8, 0.7], "b": [0.7, 1]}', "no accuracy is above 1; expected percentages"),
        ('{"a": [80, 70], "a": [70, 80], "b": [1, 2]}', "'a' stands there twice"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, text, said):
    path = tmp_path / "t.json"
    path.write_text(text)
    with pytest.raises(BoundsError, match=said):
        read_table(path)
    with pytest.raises(BoundsError, match="cannot be read"):
        read_table(tmp_path / "absent.json")
