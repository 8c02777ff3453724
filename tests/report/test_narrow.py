"""Tables in narrow terminals: no number and no word is cut, whatever the width."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from evaluator.report.console import NARROWEST, USUAL, label, line, show_table, terminal

INTERVAL = "0.612 [0.512, 0.712]"
WORDS = ("1321:34", "RUNTIME_ERROR", "132", "of", "2040", "123.4", "0.612", "[0.512,", "0.712]", "Hamming", "accuracy")


def printed(table: Table, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO())
    show_table(console, table)
    return console.file.getvalue().splitlines()


def results(box: bool = False) -> Table:
    table = Table() if box else Table(box=None, pad_edge=False)
    table.add_column("pair")
    table.add_column("verdict")
    for title in ("labels", "time", "macro F1", "accuracy", "Hamming loss"):
        table.add_column(title, justify="right")
    texts = ("RUNTIME_ERROR", "132 of 132", "123.4 of 2040 s", INTERVAL, INTERVAL, INTERVAL)
    table.add_row(label("1321:34"), *map(line, texts))
    table.add_section()
    table.add_row("mean", "FAILED", "", "", INTERVAL, INTERVAL, INTERVAL, style="bold")
    return table


@pytest.mark.parametrize("box", [False, True])
@pytest.mark.parametrize("width", [40, 47, 60, 80, 100, 200])
def test_no_number_and_no_word_is_cut_at_any_width(width, box):
    lines = printed(results(box), width)
    found = " ".join(lines).replace("│", " ").split()
    assert all(word in found for word in WORDS)
    assert found.count("[0.512,") == 6
    assert "…" not in "".join(lines)
    assert max(map(len, lines)) <= width


def test_a_table_that_does_not_fit_goes_on_below_with_its_first_column():
    assert sum(line_.startswith("1321:34") for line_ in printed(results(), 200)) == 1
    assert sum(line_.startswith("1321:34") for line_ in printed(results(), 40)) > 1


def test_a_long_name_leaves_room_for_the_figures():
    table = Table(box=None, pad_edge=False)
    table.add_column("submission")
    table.add_column("mean", justify="right")
    table.add_row(label("a" * 48), INTERVAL)
    text = " ".join(printed(table, 40))
    assert all(word in text.split() for word in INTERVAL.split())
    assert text.count("a") == 49  # of the name, and of the title `mean`


@pytest.mark.parametrize(("columns", "width"), [("0", USUAL), ("7", NARROWEST), ("60", 60)])
def test_a_width_that_nothing_can_be_printed_in_counts_as_unknown(monkeypatch, columns, width):
    monkeypatch.setenv("COLUMNS", columns)
    assert terminal().width == width
