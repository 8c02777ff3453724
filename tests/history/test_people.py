"""Whose a stored submission is: entries on disk, a row for everybody, editions folded, failed tries hidden, names and dates."""

import json
from dataclasses import replace

import pytest
from specs import PAIRS, result, spec

from evaluator.cli.main import main
from evaluator.errors import ConfigurationError
from evaluator.history.checksum import sealed
from evaluator.history.entries import LABEL_WIDTH, Entry, moment, read_entries, write_entries
from evaluator.history.people import Shown, fold, people, shown_names, since
from evaluator.history.store import Store

HOSTILE = "a\x1b[2J\nb\u202e"


def entry(label="mine", owner="ada", day=1, digest="d", folder="/ada/mine", **rest) -> Entry:
    when = f"2026-11-{day:02}T00:00:00Z"
    return Entry(owner=owner, label=label, name=rest.pop("name", label), digest=digest, folder=folder, first=when, last=when)


@pytest.fixture
def root(tmp_path):
    Store(tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def stored(root):
    """Cells of a submission with a score (None: failed), and its entry."""

    def write(owned: Entry | None, score: float | None, digest="d" * 32, name="mine", seeds=3):
        for pair in PAIRS:
            for seed in range(seeds):
                described = spec(name, pair, seed, submission_digest=digest)
                value = None if score is None else score + 0.01 * seed
                content = json.loads(json.dumps(result(described, value).as_dict()))
                (root / "cells" / f"{content['cell']}.json").write_text(sealed(content))
        if owned is not None:
            write_entries(root, [replace(owned, digest=digest, name=name)])

    return write


def compared(root, capsys, *options):
    """Rows of the first table of ``compare``, and the table."""
    assert main(["compare", str(root), *options, "--json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    return [row["name"] for row in table["strategies"]], table


# -- entries


def test_an_entry_is_read_as_it_was_written_and_keeps_its_first_time(root):
    write_entries(root, [entry(day=2)])
    write_entries(root, [entry(day=5, folder="/elsewhere")])
    (found,), damaged = read_entries(root)
    assert damaged == []
    assert (found.first[:10], found.last[:10], found.folder) == ("2026-11-02", "2026-11-05", "/elsewhere")


def test_a_changed_file_is_named_and_nothing_else_is_lost(root):
    write_entries(root, [entry(), entry("other")])
    path = sorted((root / "entries").iterdir())[0]
    whole = path.read_text()
    for content in (whole.replace("ada", "bob"), "", "[" * 5000, "{}", "x" * 2**17):
        path.write_text(content)
        found, damaged = read_entries(root)
        assert len(found) == len(damaged) == 1
        assert path.name in damaged[0]
    path.unlink()
    path.mkdir()
    (root / "entries" / ("0" * 32 + ".json")).write_text(whole)
    assert len(read_entries(root)[1]) == 2, "a folder, and an entry under another name"


def test_hostile_texts_of_an_entry_are_harmless_and_bounded(root):
    write_entries(root, [entry(HOSTILE * 200, HOSTILE * 200, folder=HOSTILE * 2000).bounded()])
    (found,), _ = read_entries(root)
    for text in (found.owner, found.label, found.folder):
        assert text.isprintable()
        assert len(text) <= 1_000
    assert len(found.label) <= LABEL_WIDTH
    path = next((root / "entries").iterdir())
    wrong = replace(found, label=HOSTILE)
    path.unlink()
    (root / "entries" / f"{wrong.key}.json").write_text(sealed(wrong.as_dict()))
    assert read_entries(root)[0][0].label.isprintable(), "a file that somebody else wrote is shown harmless, too"


# -- rows


def test_equal_files_of_two_people_are_two_rows_and_cells_without_an_entry_keep_theirs():
    entries = [entry(owner="ada"), entry(owner="bob"), entry(owner="bob", day=3, folder="/moved"), entry(digest="other")]
    found = people({("mine", "d"), ("old", "d"), ("alone", "e")}, entries)
    assert [(p.label, p.owner, p.name) for p in found] == [
        *(("alone", "", "alone"), ("mine", "ada", None), ("mine", "bob", None), ("old", "", "old")),
    ]
    assert found[2].folder == "/moved"


def test_names_are_different_and_say_what_differs():
    rows = [("a", "", "1" * 32), ("b", "x", "1" * 32), ("b", "y", "1" * 32), ("c", "x", "1" * 32), ("c", "x", "2" * 32)]
    assert shown_names(rows) == ("a", "b (x)", "b (y)", "c (11111111)", "c (22222222)")
    assert len(set(shown_names([("d", "", "3" * 32)] * 3 + [("d", "x", "3" * 32), ("d", "x", "4" * 32)]))) == 5


def rows_of(*entries):
    return people({(e.name, e.digest) for e in entries}, entries)


def test_editions_of_one_owner_and_label_are_folded_to_the_latest():
    rows = rows_of(entry(day=1, digest="a"), entry(day=3, digest="b"), entry(day=2, digest="c"), entry(owner="bob", digest="a"))
    left, hidden = fold(rows, rows, Shown(latest=True))
    assert [(row.owner, row.digest) for row in left] == [("ada", "b"), ("bob", "a")]
    assert (hidden.editions, hidden.failed) == (2, 0)
    assert fold(rows, rows, Shown())[0] == rows


def test_without_an_owner_only_what_lay_in_the_same_folder_is_an_edition():
    rows = rows_of(*(entry(owner="", day=d, digest=str(d), folder=f) for d, f in ((1, "/x"), (2, "/x"), (3, "/y"))))
    assert [row.digest for row in fold(rows, rows, Shown(latest=True))[0]] == ["2", "3"]
    alone = people({("mine", "a"), ("mine", "b")}, [])
    assert fold(alone, alone, Shown(latest=True))[0] == alone, "whose time is unknown is never folded"


def test_a_failed_try_is_no_edition_and_is_shown_where_there_is_nothing_else():
    good, bad = rows_of(entry(day=1, digest="a"), entry(day=2, digest="b"))
    assert fold([good, bad], {good}, Shown(latest=True, failed=False)) == ([good], replace(fold([], [], Shown())[1], failed=1))
    assert fold([good, bad], {good}, Shown(failed=True))[0] == [good, bad]
    assert fold([bad], set(), Shown(failed=False))[0] == [bad]


@pytest.mark.parametrize("text", ["2026-13-01", "yesterday", "", "2026-11-26T25:00", HOSTILE])
def test_a_date_that_is_none_is_refused(text):
    with pytest.raises(ConfigurationError, match="--since is") as caught:
        since(text)
    assert str(caught.value).isprintable()


def test_a_date_is_a_moment():
    assert since("2026-11-26T21:00+01:00") == "2026-11-26T20:00:00Z" == moment(1795723200)
    assert since("2026-11-26")[:7] == "2026-11"


# -- compare


def test_compare_folds_hides_and_says_so(root, stored, capsys):
    stored(None, 0.4, name="random")
    stored(entry(day=1), 0.5, "a" * 32)
    stored(entry(day=2), 0.6, "b" * 32)
    stored(entry(day=3), None, "c" * 32)
    names, table = compared(root, capsys)
    assert names == ["mine", "random"]
    assert table["strategies"][0]["digest"] == "b" * 32
    assert table["hidden"] == {"editions": 1, "failed": 1}
    assert compared(root, capsys, "--latest")[0] == names
    assert len(compared(root, capsys, "--all-editions")[0]) == 3
    assert len(compared(root, capsys, "--all-editions", "--failed")[0]) == 4
    assert main(["compare", str(root)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for words in ("1 earlier edition is not shown", "1 failed try without any score is not shown", "2026-11-02T00:00:00Z", "ada"):
        assert words in said


def test_compare_shows_what_is_named_and_what_is_new_enough(root, stored, capsys):
    stored(None, 0.4, "0" * 32, name="random")
    stored(entry("a", day=1), 0.5, "a" * 32, name="a")
    stored(entry("b", "bob", day=5, folder="/bob/b"), 0.6, "b" * 32, name="b")
    names, table = compared(root, capsys, "a", "bob/b")
    assert (names, table["reference"]) == (["a", "b"], "a")
    assert compared(root, capsys, "/bob/b")[0] == ["b", "random"], "of one alone the reference is shown, too"
    assert compared(root, capsys, "aaaaaaaa", "b")[0] == ["a", "b"]
    names, table = compared(root, capsys, "--since", "2026-11-03")
    assert names == ["b"]
    assert compared(root, capsys, "--since", "2026-11-03", "--reference", "random")[0] == ["b", "random"]
    assert main(["compare", str(root), "--since", "2026-11-09"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "--since 2026-11-09T" in said
    assert "the last evaluation began at 2026-11-05T00:00:00Z (b). Name an earlier time, or leave --since out" in said
    assert main(["compare", str(root), "bb"]) == 2
    assert "no stored submission is called 'bb'; stored are: a, b, random" in capsys.readouterr().err
    assert main(["compare", str(root), f"{root}/../results"]) == 2
    assert "are both folders of results" in capsys.readouterr().err


def test_equal_files_of_two_people_are_two_rows_of_one_table(root, stored, capsys):
    stored(entry(owner="ada"), 0.5)
    stored(entry(owner="bob"), 0.5)
    names, table = compared(root, capsys)
    assert names == ["mine (ada)", "mine (bob)"]
    means = {row["strategy"]: row["interval"]["mean"] for row in table["means"]}
    assert means["mine (ada)"] == means["mine (bob)"]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_many_alike_give_no_matrix_and_no_figure_is_broken_at_any_width(root, stored, capsys, monkeypatch, width):
    for i in range(27):
        stored(
            entry(f"strategy-{i}", HOSTILE, folder=f"/some/long/folder/of/somebody/{i}").bounded(), 0.512, f"{i:032}", f"s{i}", 2
        )
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["compare", str(root), "--reference", "strategy-0"]) == 0
    out = capsys.readouterr().out
    said = " ".join(out.split())
    assert "no two strategies have the seeds that a test needs" in said
    assert "wins-ties-losses" not in said
    assert max(map(len, out.splitlines())) <= width
    assert "\x1b[2J" not in out
    assert out.count("+0.000 ") >= 26
    assert "no spread: the difference is the same on all seeds" in said


def test_results_list_and_export_have_a_row_for_everybody(root, stored, capsys, tmp_path):
    stored(entry(owner="ada"), 0.5)
    stored(entry(owner="bob"), 0.5)
    assert main(["results", "list", "--out", str(root)]) == 0
    out = capsys.readouterr().out
    assert "ada" in out
    assert "bob" in out
    assert "entry" in out
    assert main(["results", "export", str(tmp_path / "cells.csv"), "--out", str(root)]) == 0
    lines = (tmp_path / "cells.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 2 * 3
    assert {"owner", "label", "folder", "time"} <= set(lines[0].split(","))
