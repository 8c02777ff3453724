"""Text of strangers is harmless in every form: it steers nothing, hides nothing and forges no line."""

import csv
import html as standard
import io
import json
import os
import pty
import sys
import unicodedata

import pytest
from fuzzing import counts, hold, texts
from hypothesis import strategies as st

from evaluator.text import (
    BAR,
    GAP,
    MARKS,
    cells,
    html,
    json_text,
    markdown,
    message,
    name,
    one_line,
    quoted,
    said,
    say,
    spreadsheet,
    visible,
)

EXAMPLES = {
    "colour": ("\x1b[31mred", "\\x1b[31mred"),
    "c1": ("\x9b31m", "\\x9b31m"),
    "title": ("\x1b]0;PWNED\x07", "\\x1b]0;PWNED\\x07"),
    "delete": ("a\x7f", "a\\x7f"),
    "lines": ("a\r\nb\x85c\u2028d\u2029e\x0bf\x0cg", "a\\r\\nb\\x85c\\u2028d\\u2029e\\x0bf\\x0cg"),
    "tab": ("a\tb", "a\\tb"),
    "directions": ("\u202eabc\u202c\u2066d\u2069\u200f\u061c", "\\u202eabc\\u202c\\u2066d\\u2069\\u200f\\u061c"),
    "zero width": ("a\u200bb\u200dc\ufeffd\u00ade\u2060", "a\\u200bb\\u200dc\\ufeffd\\xade\\u2060"),
    "fillers": ("\u3164\u2800\u115f\ufe0f\u034f", "\\u3164\\u2800\\u115f\\ufe0f\\u034f"),
    "blanks": ("a\u00a0b\u3000c", "a\\xa0b\\u3000c"),
    "surrogate": ("\ud800", "\\ud800"),
    "private": ("\ue000\U000f0000", "\\ue000\\U000f0000"),
    "unassigned": ("\u0378\U000e0001", "\\u0378\\U000e0001"),
    "letters": ("é ü 漢字 עברית Ω", "é ü 漢字 עברית Ω"),
}


@pytest.mark.parametrize(("text", "shown"), EXAMPLES.values(), ids=EXAMPLES)
def test_what_steers_hides_or_reorders_is_shown_as_an_escape(text, shown):
    assert visible(text) == shown


def test_marks_do_not_stack_without_end():
    shown = visible("e" + "\u0301" * 50)
    longest = max(len(run) for run in "".join("m" if unicodedata.category(c) == "Mn" else " " for c in shown).split())
    assert longest == MARKS
    assert visible("\u0301a") == "\\u0301a", "a mark without a character would be drawn over what stands before"


def harmless(shown: str) -> None:
    assert all(c.isprintable() for c in shown)
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in shown)


@counts(400)
def test_any_text_is_harmless_in_one_line_and_twice_is_as_once(count):
    def check(text, width):
        for form in (visible, lambda t: one_line(t, width), lambda t: name(t, width)):
            shown = form(text)
            harmless(shown)
            assert form(shown) == shown
        assert cells(one_line(text, width)) <= width
        assert cells(name(text, width)) <= width
        for form in (markdown, html):
            harmless(form(text))
        assert not set("<>\"'") & set(html(text))
        assert standard.unescape(html(text)) == one_line(text)

    hold(count, check, texts, st.integers(32, 80))


@counts(400)
def test_any_text_of_several_lines_stays_a_quotation(count):
    def check(text, width, lines):
        shown = quoted(text, width, lines).split("\n")
        assert len(shown) <= lines + 1
        for line in shown:
            harmless(line)
            assert line.startswith((BAR, GAP))
            assert cells(line) <= width
        first, *rest = message(text, width).split("\n")
        for line in (first, *rest):
            harmless(line)
            assert cells(line) <= width
        assert all(line.startswith("  ") for line in rest)
        label, *below = said("621:17", text, width).split("\n")
        assert label.startswith("621:17:")
        assert cells(label) <= max(width, 8)
        assert all(line.startswith((BAR, GAP, "    ")) for line in below)

    hold(count, check, texts, st.integers(30, 100), st.integers(2, 9))


@counts(300)
def test_any_text_stays_in_its_cell_of_csv_and_json(count):
    def check(text):
        file = io.StringIO()
        csv.writer(file).writerow([spreadsheet(text), "end"])
        (row,) = csv.reader(io.StringIO(file.getvalue(), newline=""))
        assert row[1:] == ["end"]
        assert not row[0].lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))
        shown = json_text({text: [text]})
        harmless(shown)
        assert shown.isascii()
        assert json.loads(shown) == {text: [text]}

    hold(count, check, texts)


def test_a_long_text_is_cut_and_says_so():
    assert one_line("x" * 1_000, 40).endswith("x ... (1,000 characters)")
    assert cells(one_line("漢" * 1_000, 41)) <= 41
    assert one_line("x" * 40, 40) == "x" * 40
    shown = name("a" * 300 + "(12345678)")
    assert shown.startswith("aaa")
    assert shown.endswith("(12345678)"), "the end tells versions apart"
    assert name("  a   b ") == "\\x20\\x20a \\x20\\x20b\\x20"
    shown = name("000 " + "0" * 25 + " ", 32)
    assert name(shown, 32) == shown


def test_a_text_of_megabytes_is_not_made_visible_whole(monkeypatch):
    seen = []
    real = unicodedata.category
    monkeypatch.setattr(unicodedata, "category", lambda c: seen.append(c) or real(c))
    text = "\u0301é" * 5_000_000
    for form in (one_line, name, quoted, markdown, html, spreadsheet, message):
        seen.clear()
        form(text)
        assert len(seen) < 2_500_000, form


def test_a_message_that_looks_like_a_table_is_visibly_a_quotation():
    table = "x\n" * 30 + "pair    verdict\n621:17  OK\nmean    OK    0.999\nresults: /kit/results/spoof"
    shown = said("621:17 seed 0: RUNTIME_ERROR", table, 80).split("\n")
    assert shown[0] == "621:17 seed 0: RUNTIME_ERROR:"
    assert f"{BAR}results: /kit/results/spoof" in shown
    assert all(line.startswith((BAR, GAP)) for line in shown[1:])
    padded = "boom" + " " * 70 + "mean    OK    0.999" * 3
    assert all(line.startswith(BAR) for line in said("621:17", padded, 80).split("\n")[1:]), "a fold begins no line of its own"
    assert said("621:17 seed 0: RUNTIME_ERROR", "boom", 80) == "621:17 seed 0: RUNTIME_ERROR: boom"
    first, *rest = said("621:17", "a reason of many words " * 10, 80).split("\n")
    assert first.startswith("621:17: a reason")
    assert all(line.startswith("    ") for line in rest), "a sentence is folded with an indent"


MARKDOWN = {
    "a|b": "a\\|b",
    "[x](http://e)": "[x\\](http\\://e)",
    "![x](y)": "![x\\](y)",
    "<img src=x>": "&lt;img src=x>",
    "&lt;": "&amp;lt;",
    "*b* _i_ `c` ~s~ $m$": "\\*b\\* \\_i\\_ \\`c\\` \\~s\\~ \\$m\\$",
    "my_submission": "my_submission",
    "p & q": "p & q",
    "0.512 [0.498, 0.526]": "0.512 [0.498, 0.526]",
    "-0.010": "-0.010",
    "- item": "\\- item",
    "# h": "\\# h",
    "> q": "\\> q",
    "1. a": "1\\. a",
    "---": "\\---",
    "www.example.org": "www\\.example.org",
    "\\*": "\\\\\\*",
    "labels \\ time": "labels \\ time",
    "a\n\n| b |": "a\\n\\n\\| b \\|",
}


@pytest.mark.parametrize("text", MARKDOWN)
def test_markdown_shows_a_text_as_it_is(text):
    assert markdown(text) == MARKDOWN[text]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_no_cell_is_a_formula_whatever_a_spreadsheet_divides_lines_at(separator):
    """A spreadsheet whose list separator is not the comma sees cells within a text; quotation marks do not hold it."""
    for text in ("a;=1+1;b", 'a";=1+1', "a; =1", "a;;@SUM(A1)", "a\t=1", "=1;+2", "a;\uff1d1", "a;\r=1", "a,=1;-1", "a;b"):
        line = io.StringIO(newline="")
        csv.writer(line).writerow(["fox", spreadsheet(text), 3])
        cells = next(csv.reader([line.getvalue()], delimiter=separator))
        assert not any(cell.strip(' "\r\n').startswith(("=", "+", "-", "@", "\uff1d")) for cell in cells), (text, cells)
    assert spreadsheet("a;b - c=d") == "a;b - c=d"


def test_spreadsheets_compute_no_text_and_numbers_stay_numbers():
    for text in ("=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "＝1"):
        assert not spreadsheet(text).lstrip().startswith(("=", "+", "-", "@", "＝")), text
    assert [spreadsheet(value) for value in (-1, 0.5, None, True, "plain")] == [-1, 0.5, None, True, "plain"]


def test_a_warning_is_folded_to_the_width_of_its_terminal():
    """Through a pseudo-terminal of 40 columns: no line is longer, so none of the text begins at the terminal's left edge."""
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    with os.fdopen(theirs, "w") as file:
        say("warning: " + "x" * 31 + "results: /kit/results/spoof\nmean OK \x1b[2J", file=file)
        file.flush()
        seen = os.read(ours, 10_000).decode()
    os.close(ours)
    lines = seen.replace("\r\n", "\n").rstrip("\n").split("\n")
    assert lines[0].startswith("warning: ")
    assert all(line.startswith("  ") for line in lines[1:])
    assert all(len(line) <= 40 for line in lines)
    assert "\x1b" not in seen


def test_a_warning_goes_to_stderr(capsys):
    say("warning: a\nb")
    assert capsys.readouterr().err == "warning: a\n  b\n"
    assert sys.stderr is not None
