"""What goes back, key by key: every string and number that must not leave is a canary, in every key that a sweep makes."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.cli.tracks import TRACKS
from evaluator.judging import feedback
from evaluator.judging.board import scored
from evaluator.judging.site import write_site
from evaluator.judging.work import _result

WORDS = {track.name: (track.task_word, tuple(metric.name for metric in track.metrics)) for track in TRACKS}
OWN = "/srv/judge/submissions/abc/mine"
INTERVAL = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 3, "level": 0.95, "collapsed": 0, "without": 0.777123}
TRACE = f'  File "{OWN}/run.py", line 5\nKeyError: 3\n  File "/srv/judge/kit/x.py"'
CANARY = re.compile(r"canary|777123|/srv|hidden-7")


def text(what: str) -> str:
    return f"canary-{what}"


NUMBER = 777123
FIGURES = {
    "purchase": {"bought": 9, "budget": 10, "seconds": 1.0, "clock_was_read": NUMBER},
    "cleaning": {"clean_accuracy": 0.777123, "target": 0.777123, "reached": 0.777123, "rows": NUMBER},
    "curation": {"train": 90, "val": 10, "dropped": 3, "relabelled": 2, "moved": 0, "added": 1, "accuracy_low": 0.777123}
    | {"accuracy_high": 0.777123, "test_images": NUMBER},
}
CONDITIONS = {"purchase": {"label_quality": 1.0}, "cleaning": {}, "curation": {}}


def summary(track: str) -> dict:
    """A summary with every key that ``sweep.json`` of a track has, and a canary wherever something must stay."""
    word, metrics = WORDS[track]
    primary = metrics[0]
    figures = {metric: dict(INTERVAL) for metric in metrics} | {text("metric"): dict(INTERVAL)}
    secret = {metric: dict(INTERVAL, mean=0.777123) for metric in metrics}

    def task(name: str, of: dict) -> dict:
        return {word: name, "metrics": of, "indices": [NUMBER], text("figure"): NUMBER} | FIGURES[track]

    row = {
        "submission": text("other team"),
        "pipeline": "proxy",
        **{name: text("condition") for name in CONDITIONS[track]},
        "score_split": text("split"),
        **dict.fromkeys(("cells", "scored", "collapsed", "fit", "late", "again", "copies"), NUMBER),
        "verdicts": {text("verdict"): NUMBER},
        "score": secret,
        "public": figures,
        "hidden": secret,
        "public_minus_hidden": secret,
        f"{word}s": [task("shown", figures), task("hidden-7:77", secret), task("named-7:78", secret)],
        "clock_was_read": text("clock"),
        text("key of a row"): text("value"),
    }
    cell = {
        "cell": text("hash of a cell"),
        "submission": text("other team"),
        word: "shown",
        "seed": 0,
        "pipeline": text("pipeline"),
        "score_split": text("split"),
        "verdict": "RUNTIME_ERROR",
        "reason": text("reason of a cell"),
        "fit_to_submit": False,
        "collapsed": False,
        "score": None,
        "cached": False,
        text("key of a cell"): NUMBER,
    }
    hidden_cell = cell | {word: "hidden-7:77", "score": 0.777123, "verdict": "OK"}

    def fault(first: str, then: str) -> dict:
        return {
            "submission": text("other team"),
            "scored": text("scored"),
            "verdict": "RUNTIME_ERROR",
            "reason": f"KeyError in {OWN}/run.py" if first == "shown" else text("reason"),
            "trace": f'  File "{OWN}/run.py", line 5\nKeyError: 3\n  File "/srv/judge/kit/x.py"'
            if first == "shown"
            else text("trace"),
            "full_trace": text("frames of the kit"),
            "printed": ["hello"] if first == "shown" else [text("printed")],
            "log": text("log"),
            "count": NUMBER,
            "cells": [{"task": name, "seed": NUMBER, "pipeline": text("pipeline")} for name in (first, then)],
        }

    return {
        "schema": NUMBER,
        **{name: text(name) for name in ("track", "round", "profile", "isolation", "device", "busy", "secret", "until")},
        **dict.fromkeys(("threads", "workers", "root_seed", "seeds", "first_seed", "first_data_set", "round_seed"), NUMBER),
        **{name: text(name) for name in ("on_timeout", "restart", "weights", "worker_threads")},
        "primary_metric": primary,
        "looks": [text("look")],
        f"{word}s": [
            {word: "shown", "kind": "public", "budget": NUMBER},
            {word: "hidden-7:77", "kind": "hidden", "budget": NUMBER},
            {word: "named-7:78", "kind": "named", "budget": NUMBER},
        ],
        "submissions": [dict.fromkeys(("label", "name", "digest", "owner", "folder", "time"), text("submission"))],
        "pipelines": [{"name": text("pipeline"), "pipeline": {"file": "/srv/judge/p.toml"}}],
        **{f"{name}s": [text("condition")] for name in CONDITIONS[track]},
        "score_splits": [text("split")],
        "data": {"validation": {text("data"): text("digest")}},
        "rows": [row],
        "heat_maps": [{"pairs": ["hidden-7:77"], "values": [NUMBER]}],
        "cells": [cell, hidden_cell],
        "cached": NUMBER,
        "faults": [fault("shown", "hidden-7:77"), fault("hidden-7:77", "shown"), fault("named-7:78", "named-7:78")],
        "warnings": [text("warning to the organiser")],
        "remarks": [
            f"mine: nothing was bought (shown seed 0: 0 of 10). Look at {OWN}/run.py",
            "mine: nothing was bought (hidden-7:77 seed 0: 0 of 777123). Call it.",
        ],
        "seconds": 777.123,
    }


def told(track: str, content: dict) -> dict:
    word, metrics = WORDS[track]
    return feedback.public(content, word, OWN, 1, metrics)


def keys_of(form: dict, word: str) -> None:
    """Every key of the form is one that is listed, in every object that it holds."""
    known = {name: {key.replace("{task}", word) for key in keys} for name, keys in feedback.KEYS.items()}
    assert set(form) == known[form["kind"]]
    for row in form["rows"]:
        assert set(row) == known["rows"]
        for of in [row, *row["tasks"]]:
            assert all(set(interval) == known["score"] for interval in (of["score"] or {}).values())
        assert all(set(of) <= known["tasks"] for of in row["tasks"])
    assert all(set(cell) == known["cells"] for cell in form["cells"])
    assert all(set(fault) == known["faults"] for fault in form["faults"])


@pytest.mark.parametrize("track", FIGURES)
def test_of_a_summary_full_of_canaries_nothing_leaves(track):
    form = told(track, summary(track))
    assert CANARY.findall(json.dumps(form)) == []
    word, metrics = WORDS[track]
    keys_of(form, word)
    (row,) = form["rows"]
    assert set(row["score"]) == set(metrics), "the mean of shown tasks, of the metrics that the track has"
    assert [of[word] for of in row["tasks"]] == ["shown"]
    assert [cell[word] for cell in form["cells"]] == ["shown"]
    assert form["verdict"] == "RUNTIME_ERROR"
    (fault,) = form["faults"]
    assert (fault["cells"], "hello" in fault["printed"], './run.py", line 5' in fault["traceback"]) == (1, True, True)
    assert [line.startswith("mine: nothing was bought") for line in form["warnings"]] == [True]


@pytest.mark.parametrize("track", FIGURES)
def test_a_failure_at_a_hidden_task_alone_is_not_told(track):
    """A submission sees its budget and may fail where it likes; its verdict answers no question about a hidden pair."""
    content, (word, _) = summary(track), WORDS[track]
    for cell, verdict in zip(content["cells"], ("OK", "TIME_LIMIT"), strict=True):
        cell |= {"verdict": verdict, "score": 0.5 if verdict == "OK" else None}
    content |= {"data": {}, "secret": "", "seconds": 1.0, "seeds": 1}
    content["rows"][0] |= {"score_split": "validation", "verdicts": {"OK": 1, "TIME_LIMIT": 1}}
    assert told(track, content)["verdict"] == "OK"
    row = {"submission": 1, "participant": "fox", "name": "mine", "received": 1.0, "verdict": "TIME_LIMIT", "version": 1}
    row |= {"result": feedback.for_pages(_result(content, word), word), "sha256": "a" * 64, "ended": 2.0}
    metric = next(of for of in TRACKS if of.name == track).metrics[0]
    assert scored(row, metric, word).verdict == "OK"
    assert scored(row, metric, word, whole=True).verdict == "TIME_LIMIT", "the private part counts everything"
    content["cells"][0]["verdict"] = "RUNTIME_ERROR"
    assert told(track, content)["verdict"] == "RUNTIME_ERROR"


@pytest.mark.parametrize("track", FIGURES)
def test_without_hidden_tasks_the_score_is_the_mean_of_everything(track):
    content, (word, metrics) = summary(track), WORDS[track]
    content[f"{word}s"] = content[f"{word}s"][:1]
    content["rows"][0]["score"] = content["rows"][0]["public"]
    content["rows"][0]["public"] = None
    content["rows"][0][f"{word}s"] = content["rows"][0][f"{word}s"][:1]
    assert set(told(track, content)["rows"][0]["score"]) == set(metrics)


@pytest.mark.parametrize("track", FIGURES)
def test_the_public_site_names_no_hidden_task(track, tmp_path):
    content, (word, _) = summary(track), WORDS[track]
    for cell in content["cells"]:  # as the judge stores it for the board
        cell |= {"pipeline": "proxy", "score_split": "validation", "cell": "c", "verdict": "OK", "score": 0.5}
    content["cells"][1]["score"] = 0.25
    content |= {"data": {}, "secret": "", "seconds": 1.0, "seeds": 1}
    content["rows"][0] |= {"score_split": "validation", "verdicts": {"OK": 2}}
    row = {"submission": 1, "participant": "fox", "name": "mine", "received": 1.0, "verdict": "OK", "version": 1}
    row |= {"result": feedback.for_pages(_result(content, word), word), "sha256": "a" * 64, "ended": 2.0}
    metric = next(of for of in TRACKS if of.name == track).metrics[0]
    write_site(tmp_path, "Labels", {"public": [scored(row, metric, word)]}, metric, word, 1.0)
    for path in tmp_path.rglob("*.*"):
        assert "hidden-7" not in path.read_text(), path


VALUE = st.recursive(
    st.sampled_from(["canary", "/srv/judge/canary"]) | st.just(777123) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["canary", "x-canary"]), inner, max_size=3),
    max_leaves=6,
)
NEW = st.text("abcdefgh_", min_size=1, max_size=8).map(lambda name: f"canary_{name}")


@settings(max_examples=40, deadline=None)
@given(track=st.sampled_from(sorted(FIGURES)), data=st.data())
def test_whatever_a_later_kit_adds_stays_here(track, data):
    """Random keys with random values, in every object of the summary: none of them changes what goes back."""
    content = summary(track)
    before = told(track, content)

    def add(value: object) -> None:
        if isinstance(value, dict):
            for inner in list(value.values()):
                add(inner)
            if data.draw(st.booleans()):
                value[data.draw(NEW)] = data.draw(VALUE)
        elif isinstance(value, list):
            for inner in value:
                add(inner)

    for part in ("rows", "faults", "submissions", "pipelines"):
        add(content[part])
    for cell in content["cells"]:
        cell[data.draw(NEW)] = data.draw(VALUE)
    content[data.draw(NEW)] = data.draw(VALUE)
    assert told(track, content) == before


@settings(max_examples=60, deadline=None)
@given(value=VALUE | st.text() | st.floats())
def test_whatever_stands_where_a_figure_belongs_only_a_number_leaves(value):
    content = summary("purchase")
    content["rows"][0]["pairs"][0] |= {"bought": value, "seconds": value}
    content["rows"][0]["public"]["macro_f1"]["mean"] = value
    content["cells"][0] |= {"seed": value, "score": value, "verdict": value}
    form = told("purchase", content)
    task, cell = form["rows"][0]["tasks"][0], form["cells"][0]
    for found in (task["bought"], task["seconds"], cell["seed"], cell["score"], form["rows"][0]["score"]["macro_f1"]["mean"]):
        assert found is None or (type(found) in (int, float) and found == value)
    assert CANARY.search(json.dumps(cell["verdict"])) is None
    json.dumps(form, allow_nan=False)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/srv/judge/secret.txt", "…/secret.txt"),
        ("~/judge/x", "…/x"),
        ("at /a/b/c: bad", "at …/c: bad"),
        ("1/2 and a/b", "1/2 and a/b"),
        ("line\nin /a/b/c", "…/c"),
    ],
)
def test_paths_of_the_judge_are_cut(path, shown):
    found = feedback.shown(path)
    assert shown in found
    assert "/srv" not in found


def test_every_other_form_has_exactly_its_keys():
    forms = [
        feedback.receipt("x.zip", "a" * 64, 1.0, "why", ["a finding in /srv/judge/run.py"], 3),
        feedback.choice([3], 1.0, ""),
        feedback.private(1),
        feedback.ours(1, 3),
    ]
    for form in forms:
        assert tuple(form) == feedback.KEYS[form["kind"]]
        assert "/srv" not in json.dumps(form)


BUILD = f"""Step 1/4 : FROM registry.canary.example:5000/kit:1
 ---> Running in 0123456789ab
Looking in indexes: https://canary-user:canary-word@pypi.canary.example:8443/simple
Collecting absent from HTTPS://PYPI.canary.example:8443/simple/absent/ via http://:canary-word@proxy.example:3128
  copied from {OWN}/requirements.txt to /srv/judge/canary/x on canary-host and canary-host.local
ERROR: Could not find a version that satisfies the requirement absent
"""
HIDDEN = ("https://pypi.canary.example:8443/simple", "pypi.canary.example:8443", "pypi.canary.example", "canary-host", "/srv/judge")
HIDDEN = (*HIDDEN, "registry.canary.example:5000/kit:1", "")


def test_of_a_builds_log_the_own_lines_go_back_and_no_name_of_the_judge():
    form = feedback.unbuilt(3, "RUNTIME_ERROR", f"requirements.txt: not built, see {OWN} at PyPI.canary.example", BUILD, HIDDEN)
    assert CANARY.findall(json.dumps(form)) == []
    keys_of(form, "pair")
    (fault,) = form["faults"]
    for kept in ("Could not find a version that satisfies the requirement absent", "Step 1/4", "proxy.example:3128"):
        assert kept in fault["printed"], kept
    assert fault["reason"].startswith("requirements.txt: not built, see …")
    assert (form["version"], form["verdict"]) == (3, "RUNTIME_ERROR")
    long = feedback.unbuilt(3, "canary", "x" * 100_000, "begin\n" + "y\n" * 100_000 + "end\n", HIDDEN)
    assert len(json.dumps(long)) < 20_000
    assert "end" in long["faults"][0]["printed"]
    assert "begin" not in long["faults"][0]["printed"]
    assert long["verdict"] == "INFRASTRUCTURE", "what is no verdict does not leave"


def test_the_text_of_a_form_is_bounded():
    content = summary("purchase")
    content["faults"][0] |= {"trace": "x\n" * 100_000, "reason": "y" * 100_000, "printed": ["z" * 100_000]}
    assert len(json.dumps(told("purchase", content))) < 40_000


def test_the_documents_list_the_keys():
    page = (Path(__file__).resolve().parents[2] / "docs" / "organisers.md").read_text()
    for kind in ("receipt", "choice", "public", "private", "failed"):
        for key in feedback.KEYS[kind]:
            assert f"`{key}`" in page, (kind, key)
