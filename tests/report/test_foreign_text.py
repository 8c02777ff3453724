"""Every text that a stranger can write, in every field of every record, through every verb: none steers, forges or formats.

The fields come from the records themselves: each text in a stored cell, in the summary of a run and in that of a sweep is replaced,
so a new field is covered by itself.
"""

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY
from report_example import FORGED, HOSTILE, example
from rich.console import Console
from specs import VERSIONS, result, spec
from stored_run import Page

from evaluator.cli.main import main
from evaluator.cli.tracks import TRACKS
from evaluator.history.checksum import sealed
from evaluator.history.reading import known
from evaluator.history.store import Store
from evaluator.purchase.heat_picture import draw_heat_maps
from evaluator.purchase.rounds import Pair
from evaluator.purchase.track import PURCHASE
from evaluator.report.sweep import show_sweep_result, titled_maps
from evaluator.report.terminal import show_result, show_rows, show_warnings
from evaluator.specs import digest_of
from evaluator.submission.manifest import Manifest
from evaluator.sweep.faults import FaultRow
from evaluator.sweep.summary import RunSummary

GRID = [Pair(labels, minutes) for labels in (621, 1321) for minutes in (17, 34)]


def leaves(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """The places of all texts in a JSON value, and of the keys of its objects, which a stranger may choose as well."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict):
        for key, member in value.items():
            yield from leaves(member, (*path, key))
    elif isinstance(value, list):
        for place, member in enumerate(value):
            yield from leaves(member, (*path, place))


def put(value: Any, path: tuple, new: Any) -> Any:
    """A copy with another value at a place."""
    copy = json.loads(json.dumps(value))
    at = copy
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = new
    return copy


def renamed(cell: dict[str, Any]) -> tuple[bytes, str]:
    """The file of a cell, named after its spec."""
    digest = digest_of(cell["spec"])
    return sealed({name: value for name, value in cell.items() if name != "checksum"} | {"cell": digest}).encode(), digest


def filled(found) -> dict[str, Any]:
    """A cell whose optional texts are there, too, as JSON."""
    cell = json.loads(json.dumps(found.as_dict()))
    cell["purchase"] |= {"disagreement": "d", "class_name": "c", "trace": "t"}
    cell["busy"], cell["reason"] = "b", "r"
    cell["phases"] = [{"name": "n", "verdict": "OK", "reason": "r", "seconds": 1.0, "allowed": 2.0}]
    cell["data"]["notes"] = {"training": "n"}
    return cell


@pytest.fixture(scope="module")
def free() -> tuple[list[tuple], list[tuple]]:
    """The places of a cell where a reader takes any text, and those where it takes none."""
    cell, takes, refuses = filled(result(spec(), None)), [], []
    for path in leaves(cell):
        if path == ("cell",):
            continue
        raw, digest = renamed(put(cell, path, HOSTILE))
        (takes if known(raw, digest, TRACKS, None)[0] is not None else refuses).append(path)
    return takes, refuses


@pytest.fixture(scope="module")
def results(free, tmp_path_factory) -> Path:
    """Results: cells of a grid with hostile texts wherever a reader takes them, and a cell for every place where it takes none."""
    takes, refuses = free
    root = tmp_path_factory.mktemp("results")
    Store(root)

    def write(cell):
        raw, digest = renamed(cell)
        (root / "cells" / f"{digest}.json").write_bytes(raw)

    for name in ("random", "a", "b"):
        for pair in GRID:
            for seed in range(2):
                for pipeline in ("", "2"):
                    score = None if name == "b" and seed else 0.3 + 0.1 * seed + 0.05 * len(name)
                    cell = filled(result(spec(name, pair, seed), score, versions=VERSIONS))
                    for path in takes:
                        # The reference keeps its name, and a text of the rules is the same in all cells.
                        more = name if path == ("spec", "submission") else pipeline if path == ("spec", "pipeline", "name") else ""
                        if path == ("spec", "submission") and name == "random":
                            continue
                        cell = put(cell, path, HOSTILE + more)
                    write(cell)
    for path in refuses:
        write(put(filled(result(spec("refused"), None)), path, HOSTILE))
    (root / "cells" / "=Q[red]\x1b[2J\u202e.json").write_text("no cell")
    return root


def check(shown: str, lines: bool = True) -> None:
    """No control character, no direction, no half of a pair, no forged line, no sign of a text that was taken for markup."""
    bad = {c for c in shown if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")}
    assert not bad, bad
    for line in shown.split("\n"):
        assert not line.startswith((FORGED[:10], "results: /forged")), line
    assert "😄" not in shown
    assert "=Q" not in shown or "=Q[red]x[/red]" in re.sub(r"\s", "", shown).replace("\\", "") or "..." in shown or "…" in shown


def test_most_texts_of_a_cell_are_free_and_some_are_not(free):
    takes, refuses = free
    assert {("reason",), ("spec", "submission"), ("purchase", "trace"), ("busy",)} <= set(takes)
    assert {("verdict",), ("spec", "task"), ("spec", "profile", "round", "primary_metric")} <= set(refuses)
    assert len(takes) > 25


@pytest.mark.parametrize("width", ["60", "100", "200"])
@pytest.mark.parametrize("verb", ["compare", "panel", "list", "show", "clean", "json", "panel --json"])
def test_every_verb_shows_hostile_results_and_no_line_is_forged(results, verb, width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", width)
    digest = next(p.stem for p in sorted((results / "cells").glob("*.json")) if b'"scored":true' in p.read_bytes())
    out = ["--out", str(results)]
    commands = {
        "compare": ["compare", str(results)],
        "json": ["compare", str(results), "--json"],
        "panel": ["panel", str(results)],
        "panel --json": ["panel", str(results), "--json"],
        "list": ["results", "list", *out],
        "show": ["results", "show", digest, *out],
        "clean": ["results", "clean", "--failed", *out],
    }
    assert main(commands[verb]) in (0, 2)
    said = capsys.readouterr()
    assert "=Q" in said.out + said.err or verb == "clean"
    check(said.out)
    check(said.err)
    if "json" in verb and said.out:
        assert said.out.isascii()
        assert "=Q[red]" in str(json.loads(said.out))


def test_pages_tables_and_pictures_of_hostile_results_hold_texts_only(results, tmp_path, capsys):
    page, picture, table = tmp_path / "page.md", tmp_path / "map.svg", tmp_path / "table.csv"
    shown = tmp_path / "page.html"
    assert main(["compare", str(results), "--out", str(page), "--heat-map", str(picture), "--html", str(shown)]) == 0
    found = Page(shown.read_text())
    check(found.said, lines=False)
    assert "=Q" in found.said
    assert "<b>`" not in shown.read_text()
    assert not {tag for tag, _ in found.tags} & {"script", "iframe", "object", "a", "red"}
    text = page.read_text()
    check(text)
    assert "=Q" in text
    assert "<b>" not in text
    for row in (line for line in text.split("\n") if line.startswith("|")):
        cells = re.split(r"(?<!\\)\|", row)
        assert len(cells) > 3
    assert "\x1b" not in picture.read_text()
    assert main(["results", "export", str(table), "--out", str(results)]) == 0
    with open(table, newline="") as file:
        rows = list(csv.reader(file))
    assert len({len(row) for row in rows}) == 1
    for row in rows:
        for cell in row:
            check(cell)
            assert not cell.startswith("=")
    assert any("'=Q" in cell for row in rows for cell in row)
    parquet = pytest.importorskip("pyarrow.parquet")
    assert main(["results", "export", str(tmp_path / "t.parquet"), "--out", str(results)]) == 0
    for column in parquet.read_table(tmp_path / "t.parquet").to_pydict().values():
        for value in column:
            if isinstance(value, str):
                check(value)
    check(capsys.readouterr().err)


def test_a_replay_of_hostile_cells_ends_in_one_message(results, tmp_path, capsys):
    for path in sorted((results / "cells").glob("*.json"))[::6]:
        assert main(["replay", str(path), "--data", str(tmp_path / "none")]) == 2
        check(capsys.readouterr().err)


# -- summaries of runs and sweeps, made from the types


METRICS = {name: {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 2, "level": 0.95} for name in ("macro_f1", "accuracy", "hamming_loss")}


def run_summary(panel: bool, scored: bool) -> dict[str, Any]:
    plain = example(RunSummary)
    cell = filled(result(spec(), 0.5 if scored else None))
    for path in leaves(cell):
        if path[0] not in ("spec", "cell") and path != ("verdict",):
            cell = put(cell, path, HOSTILE)
    row = {name: value for name, value in cell.items() if name != "spec"}
    row |= {"pair": HOSTILE, "seed": 0, "pipeline": HOSTILE, "cached": True, "reused": True, "fit_to_submit": False}
    task = {"pair": HOSTILE, "budget": 12, "seconds_allowed": 8.5, "verdicts": [HOSTILE, "OK"], "bought": [3], "seconds": [1.0]}
    plain |= {"tasks": [task | {"metrics": METRICS if scored else None}], "cells": [row], "score": METRICS if scored else None}
    plain["pipeline"] = {"name": HOSTILE, "weights": HOSTILE, "image_size": 32}
    plain["primary_metric"] = "macro_f1"  # the kit writes it: a metric that the track declares
    found = RunSummary.from_dict(plain, "pair").as_dict("pair")
    own = {"pipeline": plain["pipeline"], "pairs": [task | {"metrics": METRICS}], "score": METRICS}
    rows = [row | own for row in found["panel"]]
    return found | {"panel": rows if panel else None}


@pytest.mark.parametrize("width", [60, 100, 200])
@pytest.mark.parametrize(("panel", "scored"), [(False, True), (False, False), (True, True)])
def test_the_table_of_a_run_shows_hostile_texts_as_texts(panel, scored, width):
    console = Console(width=width, file=io.StringIO())
    show_result(console, run_summary(panel, scored), PURCHASE)
    said = console.file.getvalue()
    assert "=Q" in said
    check(said)


@pytest.mark.parametrize("width", [60, 100, 200])
def test_the_table_of_a_sweep_shows_hostile_texts_as_texts(width, tmp_path):
    interval = METRICS["macro_f1"]
    maps = PURCHASE.maps(TINY.as_dict(), [], None, [], metric="macro_f1", seeds=1, reference=None)
    assert maps == []
    place = {"pair": "621:17", "score": interval, "bought": 3.0, "bought_share": 0.5, "seconds": 1.0, "seconds_share": 0.5}
    place |= {"minus_reference": interval, "failed": {HOSTILE: 1}, "missing": 0}
    failed = place | {"score": None, "bought": None, "bought_share": None, "seconds": None, "seconds_share": None}
    heat = {"metric": "macro_f1", "reference": HOSTILE, "seeds": 2, "labels": [500, 1000], "budgets": [5, 10], "minutes": [15, 30]}
    heat |= {"seconds_allowed": [1.0, 2.0], "label_quality": 1.0, "score_split": HOSTILE, "pipeline": HOSTILE}
    heat["submissions"] = [{"submission": HOSTILE + end, "cells": [place, failed | {"minus_reference": None}] * 2} for end in "12"]
    row = {"submission": HOSTILE, "pipeline": HOSTILE, "label_quality": 1.0, "score_split": HOSTILE, "cells": 2, "scored": 1}
    row |= {"fit": 0, "verdicts": {HOSTILE: 2}}
    row |= {"score": METRICS, "public": METRICS, "hidden": METRICS, "public_minus_hidden": METRICS, "clock_was_read": True}
    row["pairs"] = [{"pair": HOSTILE, "metrics": METRICS}] * 3
    cell = {"cell": "0", "submission": HOSTILE, "pair": HOSTILE, "seed": 0, "pipeline": HOSTILE, "verdict": HOSTILE}
    summary = {
        "round": HOSTILE,
        "profile": HOSTILE,
        "primary_metric": "macro_f1",
        "isolation": HOSTILE,
        "seeds": 2,
        "pairs": [{"pair": HOSTILE, "kind": kind} for kind in ("public", "hidden", "grid")],
        "pipelines": [{"name": HOSTILE, "proxy": True, "fitted_from": HOSTILE}],
        "score_splits": [HOSTILE],
        "submissions": [{"label": HOSTILE, "owner": HOSTILE}, {"label": "x", "owner": HOSTILE + "2"}],
        "rows": [row, row | {"pipeline": HOSTILE + "2", "score_split": "x"}],
        "heat_maps": [heat],
        "cells": [cell | {"reason": HOSTILE, "score": None, "cached": False}],
        "faults": [example(FaultRow)],
        "warnings": [HOSTILE],
        "remarks": [HOSTILE],
        "cached": 1,
    }
    summary["pipelines"].append(summary["pipelines"][0] | {"name": HOSTILE + "2"})
    console = Console(width=width, file=io.StringIO())
    show_sweep_result(console, summary, PURCHASE)
    said = console.file.getvalue()
    assert "=Q" in said
    check(said)
    draw_heat_maps(tmp_path / "map.png", titled_maps(summary, PURCHASE), HOSTILE)
    assert (tmp_path / "map.png").stat().st_size > 1_000


@pytest.mark.parametrize("width", [60, 200])
def test_manifests_and_warnings_are_shown_as_texts(width, capsys):
    line = Manifest(Path(HOSTILE), **dict.fromkeys(("challenge_id", "description", "license"), HOSTILE), authors=(HOSTILE,)).line
    console = Console(width=width, file=io.StringIO())
    show_rows(console, [("manifest", line), (HOSTILE, HOSTILE)])
    check(console.file.getvalue())
    show_warnings([HOSTILE, "a plain warning"])
    said = capsys.readouterr().err
    check(said)
    assert "warning: a plain warning\n" in said


def test_a_folder_with_dollars_in_its_name_is_drawn(tmp_path):
    """``a$x_$b`` was read as a formula without an end, and ended the command."""
    place = {"pair": "p", "score": METRICS["accuracy"], "bought": 3.0, "bought_share": 0.5, "seconds": 1.0, "seconds_share": 0.5}
    place |= {"minus_reference": None, "failed": {}, "missing": 0}
    heat = {"metric": "accuracy", "reference": None, "seeds": 1, "labels": [5, 9], "budgets": [5, 9], "minutes": [1, 2]}
    heat |= {"seconds_allowed": [60, 120], "submissions": [{"submission": "a$x_$b", "cells": [place] * 4}]}
    draw_heat_maps(tmp_path / "map.svg", [("a$x_$b ^{", heat)], "a$x_$b")
    assert (tmp_path / "map.svg").stat().st_size > 1_000
