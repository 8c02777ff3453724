"""What a page shows to everybody is made of public tasks alone, holds nothing of single items, and never costs a score."""

import json

import pytest
import specs

from benchmarks import fabricated
from evaluator.cleaning.track import CLEANING
from evaluator.cli.tracks import TRACKS
from evaluator.curation.track import CURATION
from evaluator.errors import ConfigurationError
from evaluator.history.store import Store
from evaluator.judging import figures
from evaluator.judging.figures import as_stored, from_stored, to_show
from evaluator.judging.jobs import Job
from evaluator.judging.place import Place, Rules
from evaluator.purchase.rounds import Pair
from evaluator.purchase.track import PURCHASE
from evaluator.sections import Bar, Bars, Curve, Curves, Dots, Picture, Section, Series, Value
from evaluator.submission.manifest import read_manifest, web_address

HIDDEN = Pair(777, 33)


def job(part="public") -> Job:
    return Job(1, 1, "0" * 64, "fox", "mine", "purchase", part, 1, 1, "a", 0.0)


@pytest.fixture
def judged(tmp_path):
    """A judge's folder with stored cells of two public pairs and of a hidden pair, two seeds each, and the summary of their run."""
    place = Place(tmp_path / "judge", Rules("Labels"))
    place.results("public").mkdir(parents=True)
    store, rows = Store(place.results("public")), []
    for pair in (*specs.PAIRS, HIDDEN):
        for seed in (0, 1):
            spec = specs.spec(pair=pair, seed=seed)
            made = fabricated.purchase(spec, fabricated.ledger_of(4 + pair.labels // 1000))
            store.write_answer(made)
            store.write_cell(fabricated.judged(spec, made))
            rows.append({"cell": spec.digest(), "pair": spec.task})
    kinds = [{"pair": pair.name, "kind": "hidden" if pair == HIDDEN else "public"} for pair in (*specs.PAIRS, HIDDEN)]
    return place, {"track": "purchase", "pairs": kinds, "cells": rows}


def test_the_figures_of_a_run_are_those_of_its_public_tasks(judged, tmp_path):
    place, summary = judged
    found = to_show(place, TRACKS, job(), tmp_path / "nothing", summary)
    assert found["metric_version"] == PURCHASE.spec_type.version
    text = json.dumps(found, allow_nan=False)
    titles = {part["title"] for section in found["figures"] for part in section["parts"]}
    assert {"F1 of each class, 0 to 1", "Training loss"} <= titles
    assert "Classes bought" not in titles, "nothing of what was bought"
    assert all(pair.name in text for pair in specs.PAIRS)
    assert HIDDEN.name not in text
    assert "image" not in {key for section in found["figures"] for part in section["parts"] for key in part}
    assert len(text) < 8_000
    (curves,) = [part for section in found["figures"] for part in section["parts"] if part["title"] == "Training loss"]
    assert [curve["name"] for curve in curves["curves"]] == [pair.name for pair in specs.PAIRS]


def test_of_the_private_part_no_figure_is_kept(judged, tmp_path):
    place, summary = judged
    assert to_show(place, TRACKS, job("private"), tmp_path / "nothing", summary)["figures"] == []


def test_a_failure_of_the_figures_costs_no_score(judged, tmp_path, monkeypatch, capsys):
    place, summary = judged
    monkeypatch.setattr(type(PURCHASE), "public_sections", lambda self, cells: 1 / 0)
    assert to_show(place, TRACKS, job(), tmp_path / "nothing", summary)["figures"] == []
    assert "its scores are stored" in capsys.readouterr().err
    for path in (place.results("public") / "cells").iterdir():
        path.write_text("damaged")
    assert to_show(place, TRACKS, job(), tmp_path / "nothing", summary)["figures"] == []


def test_several_pipelines_have_sections_of_their_own(judged, tmp_path):
    place, summary = judged
    store = Store(place.results("public"))
    for seed in (0, 1):
        spec = specs.spec(seed=seed, pipeline=specs.PIPELINES["round2"])
        store.write_cell(fabricated.judged(spec, fabricated.purchase(spec, fabricated.ledger_of(4))))
        summary["cells"].append({"cell": spec.digest(), "pair": spec.task})
    titles = [section["title"] for section in to_show(place, TRACKS, job(), tmp_path, summary)["figures"]]
    assert len(set(titles)) == len(titles) >= 4
    assert any("round2" in title for title in titles)
    assert any("quick" in title for title in titles)


def test_of_cleaning_everybody_sees_the_accuracy_at_a_few_places_and_not_what_is_wrong():
    curve = [{"checks": n, "accuracy": 0.5 + n / 1_000} for n in range(101)]
    spec = {"task": "a", "action": "fix", "pipeline": {"name": "linear"}}
    cell = {"spec": spec, "curve": curve, "rows": 100, "target": 0.55, "metrics": {"fraction_fixed": 0.1}}
    (section,) = CLEANING.public_sections({"mine": [cell]})
    (accuracy,) = section.parts
    assert [x for x, _ in accuracy.curves[0].points] == [10.0 * n for n in range(11)]
    assert "hits" not in CLEANING.figure_members | CLEANING.public_members


def test_of_curation_nobody_sees_the_single_models_of_a_panel():
    spec = {"task": "numerals", "pipeline": {"name": "panel"}}
    rows = [{"label": "i", "right": 0.5, "images": 10}, {"label": "v", "right": 0.7, "images": 10}]
    members = [{"accuracy": 0.4}, {"accuracy": 0.8}]
    cell = {"spec": spec, "metrics": {"accuracy": 0.6}, "by_class": rows, "test_images": 20, "members": members}
    titles = [part.title for section in CURATION.public_sections({"mine": [cell]}) for part in section.parts]
    assert titles == ["Accuracy on the hidden test set", "By class"]


def test_sections_come_back_as_they_were_and_what_may_not_be_shown_does_not():
    value = Value(0.1234567891, 0.1, 0.2)
    bars = Bars("b", "c", (Bar("x", "1 of 2", 1.0, 2.0),))
    dots = Dots("d", "c", ("x",), ("t",), (Series("s", (value, None)),), (0.0, 1.0))
    curves = Curves("k", "c", "a", "u", (Curve("n", ((1.0, Value(0.5)),)),))
    wild = Curves("k", "c", "a", "u", (Curve("n", ((1.0, Value(float("nan"))),)),))
    stored = json.loads(json.dumps(as_stored([Section("s", (bars, dots, curves, wild), ("note",)), Section("empty", (wild,))])))
    (back,) = from_stored(stored)
    assert back.parts[0] == bars
    assert back.parts[1].series[0].values == (Value(0.123457, 0.1, 0.2), None)
    assert back.parts[2] == curves
    assert (len(back.parts), back.notes) == (3, ("note",))
    picture = Picture(None, (), "an item")
    assert as_stored([Section("s", (picture,))]) == []
    for broken in ("text", [{"title": "x"}], [{"title": "x", "notes": [], "parts": [{"kind": "gallery"}]}], [7], {"a": 1}):
        assert from_stored(broken) == ()


def test_the_links_of_a_manifest_are_kept_if_a_page_may_show_them(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    manifest = tmp_path / "aicrowd.json"
    manifest.write_text('{"code": "https://code.example/a", "write_up": ""}')
    assert figures._links(mine) == {"code": "https://code.example/a"}
    manifest.write_text('{"code": "javascript:alert(1)"}')
    assert figures._links(mine) == {}
    with pytest.raises(ConfigurationError, match="begins with https://"):
        read_manifest(mine)
    manifest.unlink()
    assert figures._links(mine) == {}


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://github.com/a/b?c=d#e", "github.com"),
        ("http://localhost:8000/", "localhost"),
        ("HTTPS://Example.ORG", "example.org"),
        ("https://a.example/" + "x" * 500, ""),
        ("https://user@evil.example/", ""),
        ("https://evil.example\\@good.example/", ""),
        ("https://exаmple.org/", ""),  # a Cyrillic letter
        ("https://a.example/<b>", ""),
        ("https://a.example/\u202e", ""),
        ("https://a.example:port/", ""),
        ("https:///path", ""),
        ("ftp://a.example/", ""),
        ("javascript:alert(1)//https://a.example", ""),
        ("", ""),
    ],
)
def test_what_is_a_web_address(address, host):
    assert web_address(address) == host
