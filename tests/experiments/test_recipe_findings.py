"""The table of recipes: paired differences to the base, corrected over the whole table."""

import numpy as np
import pytest

from evaluator.scoring.paired import holm, paired_tests
from experiments.studies.recipe_findings import differences, in_words, page_text


def recipes(lifts: dict[str, float], seeds: int, noise: float = 0.01, root: int = 0, sizes=(289,)) -> list[dict]:
    """Cells of variants whose macro F1 is that of the base and a lift, and noise of their own."""
    rng = np.random.default_rng(root)
    cells = []
    for n in sizes:
        for seed in range(seeds):
            common = rng.normal(0.6, 0.03)
            for variant, lift in lifts.items():
                own = common + lift + noise * rng.standard_normal()
                cells.append({"variant": variant, "n": n, "seed": seed, "macro_f1": {"own": own, "oracle": own + 0.03}})
    return cells


def test_all_comparisons_of_a_table_are_one_family():
    names = {"base": 0.0, "a": 0.02, "b": 0.01, "c": 0.0}
    cells = recipes(names, 6, sizes=(162, 289))
    found = differences(cells)
    assert len(found) == 6
    assert {difference.family for difference in found.values()} == {6}
    own = {(c["variant"], c["n"], c["seed"]): c["macro_f1"]["own"] for c in cells}
    gaps = np.array([[own[v, n, s] - own["base", n, s] for s in range(6)] for v, n, _ in found])
    tests = paired_tests(gaps)
    assert [d.difference.mean for d in found.values()] == pytest.approx(list(tests.mean))
    assert [d.p_holm for d in found.values()] == pytest.approx(list(holm(np.array([d.p for d in found.values()]))))


def test_equal_recipes_are_called_different_in_few_tables():
    """Twenty variants like the base, in 300 tables: uncorrected, two of three tables would name one."""
    names = {"base": 0.0} | {str(k): 0.0 for k in range(20)}
    rng = np.random.default_rng(1)
    gaps = rng.standard_normal((300, 20, 4)) - rng.standard_normal((300, 1, 4))
    tests = paired_tests(gaps)
    assert (tests.p < 0.05).any(axis=1).mean() > 0.4
    assert (holm(tests.p) < 0.05).any(axis=1).mean() < 0.08
    wrong = sum(any(d.finding in ("better", "worse") for d in differences(recipes(names, 4, root=k)).values()) for k in range(20))
    assert wrong <= 4


def test_a_table_says_what_differs_with_its_p_and_what_is_within_noise():
    cells = recipes({"base": 0.0, "much": 0.2, "little": 0.001}, 6)
    text = page_text({"cells": cells})
    assert "corrected by Holm over all 2 comparisons" in text
    assert "Beyond noise: 1 of 2." in text
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert [row.split(" | ")[0] for row in rows] == ["| `quick` as it is", "| much", "| little"]
    assert ": better (p < 0.001)" in rows[1]
    assert ": within noise (p " in rows[2]


def test_a_variant_that_lacks_seeds_is_compared_on_those_it_has():
    cells = [c for c in recipes({"base": 0.0, "a": 0.1}, 4) if (c["variant"], c["seed"]) not in (("a", 1), ("a", 2), ("a", 3))]
    (found,) = differences(cells).values()
    assert found.n == 1
    assert in_words(found).endswith("too few seeds")
    assert differences([c for c in cells if c["variant"] == "base"]) == {}
