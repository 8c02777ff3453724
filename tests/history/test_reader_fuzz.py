"""Stored files of any content: mutated real cells, answers, summaries and indices give a record, or one error with the file."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY
from fabricated import purchase, scored
from fuzzing import counts, hold, values
from hypothesis import strategies as st
from report_example import example
from specs import result, spec

from evaluator.bounded import BoundsError, read_json
from evaluator.cli.main import main
from evaluator.cli.tracks import TRACKS
from evaluator.errors import ConfigurationError, KitError
from evaluator.history.checksum import sealed
from evaluator.history.index import INDEX, read_index
from evaluator.history.predictions import parse_npy
from evaluator.history.reading import known, sound
from evaluator.history.store import Store
from evaluator.purchase.replay import read_replay
from evaluator.purchase.rounds import Pair
from evaluator.purchase.track import PURCHASE
from evaluator.specs import digest_of
from evaluator.sweep.summary import RunSummary
from evaluator.track import Judged

CELL = json.loads(json.dumps(scored(spec("random"), "0" * 64, 0.5).as_dict()))
FAILED = json.loads(json.dumps(result(spec("failed"), None).as_dict()))
ANSWER = json.loads(json.dumps(purchase(spec()).as_dict()))


def places(value: Any, path: tuple = ()) -> list[tuple]:
    found = [path] if path else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [place for key, member in inner for place in places(member, (*path, key))]


PLACES = {id(base): places(base) for base in (CELL, FAILED, ANSWER)}
KINDS = ("replace", "drop", "duplicate", "deepen", "wrap", "swap")


def mutated(base: Any, draws: list[tuple[int, str, Any]]) -> Any:
    """A copy with a few members replaced, dropped, doubled, nested or swapped."""
    copy = json.loads(json.dumps(base))
    for number, kind, value in draws:
        path = PLACES[id(base)][number % len(PLACES[id(base)])]
        at = copy
        try:
            for step in path[:-1]:
                at = at[step]
            old = at[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue  # an earlier mutation took it away
        if not isinstance(at, (dict, list)):
            continue  # it is a text now
        last = path[-1]
        if kind == "replace":
            at[last] = value
        elif kind == "drop":
            del at[last]
        elif kind == "duplicate":
            if isinstance(at, list):
                at.insert(last, old)
            else:
                at[f"{last}2"] = old
        elif kind == "deepen":
            for _ in range(number % 40):
                old = [old]
            at[last] = old
        elif kind == "wrap":
            at[last] = {"a": old}
        else:
            other = PLACES[id(base)][(number * 7 + 3) % len(PLACES[id(base)])]
            taken: Any = base
            for step in other:
                taken = taken[step]
            at[last] = json.loads(json.dumps(taken))
    return copy


mutations = st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(KINDS), values), min_size=1, max_size=3)


def filed(content: Any) -> tuple[bytes, str]:
    """The file of a mutated cell with the right checksum and the right name, as a person would make it by hand."""
    digest = digest_of(content["spec"]) if isinstance(content.get("spec"), dict) else "0" * 32
    return sealed(content | {"cell": digest}).encode("utf-8", "surrogatepass"), digest


@counts(300)
def test_any_cell_is_read_or_named(count):
    def check(draws, failed):
        raw, digest = filed(mutated(FAILED if failed else CELL, draws))
        cell, why = known(raw, digest, TRACKS, None)
        assert (cell is None) == bool(why)
        if cell is not None:
            PURCHASE.result(cell)  # what is read as a cell is one

    hold(count, check, mutations, st.booleans())


@pytest.mark.parametrize("only", [None, {"spec"}], ids=["whole", "in part"])
def test_a_cell_whose_spec_lacks_a_rule_of_the_tables_is_named(only):
    spec = {name: value for name, value in CELL["spec"].items() if name != "label_quality"}
    raw, digest = filed(CELL | {"spec": spec})
    assert known(raw, digest, TRACKS, only) == (None, "holds no spec.label_quality")


def test_a_spec_that_was_read_has_the_hash_that_it_had():
    assert PURCHASE.spec(CELL["spec"]).digest() == CELL["cell"], "17 minutes stay 17 and do not become 17.0"


@counts(200)
def test_any_answer_is_read_or_refused(count):
    def check(draws):
        content = mutated(ANSWER, draws)
        digest = content.get("answer")
        raw = sealed({k: v for k, v in content.items() if k != "checksum"}).encode("utf-8", "surrogatepass")
        found, why = sound(raw, "answer", str(digest))
        assert (found is None) == bool(why)
        if found is not None:
            try:
                PURCHASE.answer(found)
            except ConfigurationError as error:
                why = str(error)
            assert why == "" or why.startswith("a stored purchase was not understood")

    hold(count, check, mutations)


@counts(200)
def test_any_bytes_of_a_stored_file_are_read_or_named(count):
    raws = [filed(CELL), filed(FAILED)]

    def check(which, place, new, cut):
        raw, digest = raws[which]
        place %= len(raw)
        raw = (raw[:place] + new + raw[place + len(new) :])[: len(raw) - cut]
        cell, why = known(raw, digest, TRACKS, None)
        assert (cell is None) == bool(why)

    hold(count, check, st.integers(0, 1), st.integers(0, 10_000), st.binary(max_size=4), st.integers(0, 30))


@counts(40)
@pytest.mark.endurance
def test_any_results_are_compared_listed_exported_and_replayed_or_refused_in_words(count, tmp_path):
    root = tmp_path / "results"
    store = Store(root)
    for name in ("random", "other"):
        for pair in (Pair(621, 17), Pair(621, 34), Pair(1321, 17), Pair(1321, 34)):
            for seed in range(2):
                store.write_cell(Judged(result(spec(name, pair, seed), 0.4 + 0.1 * seed)))

    def check(draws, failed):
        raw, digest = filed(mutated(FAILED if failed else CELL, draws))
        path = root / "cells" / f"{digest}.json"
        path.write_bytes(raw)
        said = io.StringIO()
        try:
            with redirect_stdout(said), redirect_stderr(said):
                for command in (
                    ["compare", str(root)],
                    ["panel", str(root)],
                    ["results", "list", "--out", str(root)],
                    ["results", "show", digest, "--out", str(root)],
                    ["results", "export", str(tmp_path / "x.csv"), "--out", str(root)],
                    ["replay", str(path), "--data", str(tmp_path / "none")],
                ):
                    assert main(command) in (0, 2), command
        finally:
            path.unlink(missing_ok=True)
        assert all(c.isprintable() or c == "\n" for c in said.getvalue())

    hold(count, check, mutations, st.booleans())


def test_an_index_that_the_kit_wrote_is_used(tmp_path, monkeypatch):
    """Every row is of the form that the reader of the index expects, so no cell is read a second time."""
    store = Store(tmp_path)
    store.write_cell(Judged(result(spec(), 0.5)))
    store.write_cell(Judged(result(spec("failed"), None)))
    wanted = read_index(tmp_path, TRACKS).cells
    monkeypatch.setattr("evaluator.history.index.known", None)
    assert read_index(tmp_path, TRACKS).cells == wanted
    assert len(wanted) == 2


@counts(150)
def test_any_index_is_used_or_made_again(count, tmp_path):
    store = Store(tmp_path)
    store.write_cell(Judged(result(spec(), 0.5)))
    wanted = read_index(tmp_path, TRACKS).cells
    good = json.loads((tmp_path / INDEX).read_text())
    PLACES[id(good)] = places(good)

    def check(draws):
        content = mutated(good, draws)
        content.pop("checksum", None)
        (tmp_path / INDEX).write_bytes(sealed(content).encode("utf-8", "surrogatepass"))
        with redirect_stderr(io.StringIO()):
            found = read_index(tmp_path, TRACKS).cells
        assert found.keys() == wanted.keys()
        for digest, row in found.items():
            assert row.keys() == wanted[digest].keys()
            assert not row["scored"] or all(isinstance(value, (int, float)) for value in row["metrics"].values())

    hold(count, check, mutations)


@counts(150)
def test_any_run_summary_is_read_or_refused(count):
    hints = {"tasks": [], "cells": [], "submission": {"name": "n", "digest": "d"}, "options": {}, "score": None, "panel": None}
    good = example(RunSummary) | hints
    PLACES[id(good)] = places(good)

    def check(draws):
        content = mutated(good, draws)
        with suppress(ValueError):  # msgspec.ValidationError; no other error
            RunSummary.from_dict(content, "pair")

    hold(count, check, mutations)


@counts(200)
def test_any_file_of_predictions_is_read_or_refused(count):
    file = io.BytesIO()
    np.save(file, np.full((4, 6), 0.5, np.float16))
    good = file.getvalue()

    def check(place, new, cut):
        raw = (good[:place] + new + good[place + len(new) :])[: len(good) - cut]
        try:
            found = parse_npy(raw, [4, 6], "x.npy")
        except ConfigurationError as error:
            said = str(error)
        else:
            assert found.shape == (4, 6)
            assert np.all((found >= 0) & (found <= 1))
            said = "x.npy"
        assert said.startswith("x.npy")

    hold(count, check, st.integers(0, 180), st.binary(max_size=4), st.integers(0, 20))


@pytest.mark.parametrize("member", sorted(CELL))
def test_a_cell_without_one_of_its_members_ends_no_command(member, tmp_path, capsys):
    """Named, or read as if the member had its default."""
    content = {name: value for name, value in CELL.items() if name not in (member, "cell")}
    raw, digest = filed(content)
    store = Store(tmp_path)
    store.cell_path(digest).write_bytes(raw)
    for command in (["compare", str(tmp_path)], ["results", "list", "--out", str(tmp_path)], ["panel", str(tmp_path)]):
        assert main(command) in (0, 2)
    assert main(["results", "show", digest, "--out", str(tmp_path)]) in (0, 2)
    assert main(["results", "export", str(tmp_path / "x.csv"), "--out", str(tmp_path)]) == 0
    assert "Traceback" not in "".join(capsys.readouterr())


BY_HAND = {
    "metrics.macro_f1": 1.5,
    "metrics.accuracy": -0.1,
    "metrics.hamming_loss": 1e308,
    "metrics.n": -1,
    "metrics.f1": {"dent": 2.0},
    "phases": [{"name": "a", "verdict": "OK", "reason": "", "seconds": -1.0, "allowed": 1.0}],
    "training.n_items": 10**30,
    "training.n_bought": 3,
    "purchase.bought": -5,
    "purchase.seconds": 1e300,
    "scored": False,
    "verdict": "RUNTIME_ERROR",
    "spec.seed": -1,
    "spec.task": "621:17.0",
    "spec.profile.budget_scale": 1e308,
    "spec.profile.image_size": "x",
    "spec.profile.round.classes": 3,
    "spec.pipeline.epochs": "many",
    "spec.label_quality": 1e308,
    "spec.threads": [],
}
"""Members that a person could set, each to a value that makes no sense."""


@pytest.mark.parametrize("member", BY_HAND)
def test_a_figure_that_makes_no_sense_is_an_error_that_names_file_and_field(member, tmp_path, capsys):
    content = json.loads(json.dumps(CELL))
    *above, last = member.split(".")
    at = content
    for step in above:
        at = at[step]
    at[last] = BY_HAND[member]
    raw, digest = filed(content)
    store = Store(tmp_path)
    store.cell_path(digest).write_bytes(raw)
    cell, why = known(raw, digest, TRACKS, None)
    assert cell is None
    field = member.split(".")[0] if member.startswith("spec") else last
    assert field in why
    assert main(["results", "show", digest, "--out", str(tmp_path)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"{digest}.json {why}" in said
    assert main(["compare", str(tmp_path)]) == (0 if last == "phases" or "training" in member else 2), "compare reads neither"


def test_a_replay_checks_the_ledger_before_it_trains(tmp_path):
    def ledger(**changes):
        return [{"order": 0, "index": 0, "image": 0, "seconds": 1.0, "label": [0] * 6} | changes]

    pool = TINY.sizes["unlabelled"]
    for rows, bought, why in (
        (ledger(image=pool), 1, rf"ledger\[0\]\.image is {pool}; the pool has {pool}"),
        (ledger(label=[0] * 5), 1, r"ledger\[0\]\.label has 5 members; the round has 6 classes"),
        (ledger(label=[0, 0, 0, 0, 0, 2]), 1, r"ledger\[0\]\.label\[5\]"),
        (ledger() * 2, 2, "an image twice"),
        (ledger(), 4, "purchase.bought is 4, and ledger has 1"),
    ):
        content = json.loads(json.dumps(CELL)) | {"ledger": rows}
        content["purchase"]["bought"] = bought
        raw, digest = filed(content)
        path = tmp_path / f"{digest}.json"
        path.write_bytes(raw)
        with pytest.raises(KitError, match=why) as caught:
            read_replay(path, tmp_path)
        assert path.name in str(caught.value)
    content = json.loads(json.dumps(CELL)) | {"ledger": ledger()}
    content["purchase"]["bought"] = 1
    content["spec"]["profile"]["data_folder"] = "../../etc"
    raw, digest = filed(content)
    path.write_bytes(raw)
    with pytest.raises(KitError, match="data_folder"):
        read_replay(path)


def test_texts_that_end_a_parser_end_no_command(tmp_path, capsys):
    """Nested 2,000 deep, a number of 5,000 digits, a pipe: each is named by every verb."""
    root = tmp_path / "results"
    Store(root)
    cells = root / "cells"
    deep = sealed(CELL).replace('"busy":""', f'"busy":{"[" * 2_000}{"]" * 2_000}')
    (cells / "a.json").write_text(deep)
    (cells / "b.json").write_text(sealed(CELL).replace('"busy":""', f'"busy":{"9" * 5_000}'))
    (cells / "c.json").write_text("[" * 100_000)
    with open(cells / "d.json", "wb") as file:
        file.truncate(2**40)
    for name in "abcd":
        assert main(["replay", str(cells / f"{name}.json")]) == 2
        assert f"{name}.json" in capsys.readouterr().err
    for command in (["compare", str(root)], ["panel", str(root)]):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert all(f"{name}.json" in said for name in "abcd")
    assert main(["results", "list", "--out", str(root)]) == 0
    with pytest.raises(BoundsError):
        read_json(Path(cells / "a.json"))
