"""A stored answer with the right checksum is still held against its name and the rules of the market before it is judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fabricated import purchase

from evaluator.history.checksum import sealed
from evaluator.history.store import Store
from evaluator.purchase.track import PURCHASE
from evaluator.runner.answers import Answers


def more(content: dict[str, Any]) -> None:
    rows = content["ledger"]
    content["ledger"] = [rows[0] | {"order": i, "index": i, "image": i} for i in range(1_000)]


def twice(content: dict[str, Any]) -> None:
    content["ledger"][1]["image"] = content["ledger"][0]["image"]


def orders(content: dict[str, Any]) -> None:
    content["ledger"][2]["order"] = 7


def value(content: dict[str, Any]) -> None:
    content["ledger"][0]["label"] = [0, 1, 2, 0, 0, 0]


def short(content: dict[str, Any]) -> None:
    content["ledger"][0]["label"] = [0, 1]


def below(content: dict[str, Any]) -> None:
    content["ledger"][0]["image"] = -1


def late(content: dict[str, Any]) -> None:
    content["ledger"][0]["seconds"] = 1e9


def other(content: dict[str, Any]) -> None:
    content["spec"]["seed"] = 9


def later(content: dict[str, Any]) -> None:
    content["schema"] = 99


def no_spec(content: dict[str, Any]) -> None:
    content["spec"] = {}


def no_versions(content: dict[str, Any]) -> None:
    content["versions"] = []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (more, "holds a ledger of 1,000 labels; the budget is"),
        (twice, "an image was sold twice"),
        (orders, "whose orders are not 0, 1, 2"),
        (value, "ledger[0].label[2]"),
        (short, "expected 6 values of 0 and 1"),
        (below, "ledger[0].image"),
        (late, "a time beyond the clock"),
        (other, "the spec of another answer"),
        (no_spec, "the spec of another answer"),
        (later, "has the schema 99"),
        (no_versions, "not understood"),
    ],
)
def test_an_answer_that_cannot_be_that_of_its_cell_is_set_aside_and_obtained_again(
    change: Callable[[dict[str, Any]], None], said: str, cell_spec, strategy, tmp_path, capsys
) -> None:
    spec, store = cell_spec(strategy("def purchase_phase(self):\n    pass")), Store(tmp_path / "out")
    path = store.write_answer(purchase(spec))
    assert Answers(PURCHASE, store).find(spec) is not None
    content = json.loads(path.read_text())
    del content["checksum"]
    change(content)
    path.write_text(sealed(content))
    assert Answers(PURCHASE, store).find(spec) is None
    assert not path.exists()
    assert path.with_suffix(".damaged").exists()
    err = capsys.readouterr().err
    assert path.name in err
    assert said in err
