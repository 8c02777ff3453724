"""A small stored run for tests of reports: purchases that nobody made, models that were trained in milliseconds."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import fabricated

from evaluator.history.checksum import sealed
from evaluator.history.store import Store
from evaluator.purchase.track import PURCHASE
from evaluator.runner.cells import Finished
from evaluator.specs import digest_of
from evaluator.sweep.experiment import Experiment
from evaluator.sweep.summary import summarise
from evaluator.track import Judged


def write_run(experiment: Experiment) -> Path:
    """The folder of a run whose purchases are fabricated and whose models are trained and scored as in any run."""
    store = Store(experiment.settings.out)
    cells = []
    for spec in experiment.cells:
        data = experiment.plan.data[spec.score_split]
        labels = 4 + 4 * (spec.pair.labels > 1000)
        judged = PURCHASE.judge(spec, data, fabricated.purchase(spec, labels), lambda what, share: None)
        cells.append(Finished(spec, store.write_cell(judged), cached=False, reused=False))
    folder = store.new_run("mine")
    store.write_run(folder, summarise(experiment, cells, 3.0))
    return folder


def write_other(experiment: Experiment, name: str, value: float, **changes: Any) -> None:
    """Scored cells of another submission at the places of an experiment. ``changes``: of their specs."""
    store = Store(experiment.settings.out)
    for spec in experiment.cells:
        other = replace(spec, submission=name, submission_digest=f"{name:0<40}", **changes)
        store.write_cell(Judged(fabricated.scored(other, "c" * 64, value + 0.01 * spec.seed)))


def rewritten(run: Path, change: Any) -> Path:
    """The run with every cell changed by ``change(cell)``, under the hashes of the new specs. Returns its folder."""
    summary = json.loads((run / "result.json").read_text())
    for row in summary["cells"]:
        path = run.parent / "cells" / f"{row['cell']}.json"
        cell = json.loads(path.read_text())
        del cell["checksum"]
        change(cell)
        digest = digest_of(cell["spec"])
        cell["cell"] = digest
        path.unlink()
        (path.parent / f"{digest}.json").write_text(sealed(cell))
        row |= {name: value for name, value in cell.items() if name in row}
    (run / "result.json").write_text(json.dumps(summary))
    return run


class Page(HTMLParser):
    """A page taken apart: ``tags``, with their attributes, and the ``texts`` between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def every(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every element of a kind."""
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def said(self) -> str:
        """All texts, blanks folded."""
        return " ".join(" ".join(self.texts).split())
