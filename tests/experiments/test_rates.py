"""The study of false findings: its small runs hold what the page says of its large one, and the page shows the stored rates."""

import json

import pytest

from evaluator.errors import ConfigurationError
from experiments.places import HERE
from experiments.studies import rates
from experiments.studies.rates import Rate, copies, failures, in_page, looks, page, single

GRIDS = 400


@pytest.mark.parametrize(
    ("measure", "plain"),
    [
        (lambda: single("normal", 8, GRIDS), 0.02),
        (lambda: single("exponential", 5, GRIDS), 0.07),
        (lambda: single("exponential", 8, GRIDS), 0.06),
        (lambda: copies(7, GRIDS), 0.7),
        (lambda: page(4, 4, 2, 8, GRIDS // 2), 0.1),
        (lambda: failures(20, GRIDS), 0.3),
        (lambda: looks(6, 24, GRIDS), 0.08),
    ],
    ids=["one", "five skewed", "eight skewed", "copies", "a page", "failures", "looks"],
)
def test_the_rule_of_the_tables_holds_its_level_where_the_plain_rule_does_not(measure, plain):
    rate = measure()
    assert rate.rule <= 0.05 + 3 * rate.error(0.05)
    assert rate.plain > max(plain, rate.rule)


def test_what_is_there_is_found():
    rate = single("normal", 20, GRIDS, 1.0)
    assert rate.power
    assert rate.rule > 0.9


def test_the_page_shows_the_stored_rates_and_each_is_at_its_level():
    stored = [Rate(**row) for row in json.loads((HERE.root / "experiments/studies/results/rates.json").read_text())["rates"]]
    text = (HERE.root / "docs/statistics.md").read_text()
    assert in_page(text, stored) == text
    assert all(rate.rule <= 0.05 + 2 * rate.error(0.05) for rate in stored if not rate.power)
    with pytest.raises(ConfigurationError, match="there are no lines"):
        in_page("nothing", stored)


def test_the_command_writes_both_files(tmp_path, monkeypatch, capsys):
    path = tmp_path / "page.md"
    path.write_text(f"before\n{rates.BEGIN}\nold\n{rates.END}\nafter\n")
    monkeypatch.setattr(rates, "measured", lambda grids: [single("normal", 6, grids)])
    monkeypatch.setattr("sys.argv", ["rates", "--grids", "200", "--json", str(tmp_path / "rates.json"), "--page", str(path)])
    rates.main()
    assert json.loads((tmp_path / "rates.json").read_text())["rates"][0]["grids"] == 200
    text = path.read_text()
    assert "old" not in text
    assert text.startswith("before")
    assert "one comparison, normal differences | 6 |" in text
