"""The version of the judging code is raised when the figures of a cell change, and this test says when that was forgotten."""

import json
from pathlib import Path

import numpy as np
from conftest import SUBMISSIONS

from evaluator.purchase.cell import train_and_score
from evaluator.purchase.ledger import Ledger, Purchase
from evaluator.purchase.spec import VERSION
from evaluator.training.recipes import PIPELINES

STORED = Path(__file__).with_name("judging_version.json")
CLOSE = 0.01
"""Another processor may decide a borderline image otherwise: on 80 images that moves a macro F1 by less than this."""


def judged(cell_spec, sets) -> dict[str, float]:
    """Macro F1 of fixed ledgers, through every pipeline that the tiny images allow."""
    found = {}
    truth = sets.splits["unlabelled"].labels
    for pipeline in ("milliseconds",):
        for seed in (0, 1):
            for n in (0, 12, 60):
                images = np.random.default_rng(n).permutation(len(truth))[:n].tolist()
                bought = [Purchase(k, i, i, 0.0, tuple(truth[i].tolist())) for k, i in enumerate(images)]
                spec = cell_spec(SUBMISSIONS / "random_buyer.py", pipeline=PIPELINES[pipeline], seed=seed)
                found[f"{pipeline} seed {seed} bought {n}"] = train_and_score(spec, sets.of(spec), Ledger(bought)).metrics.macro_f1
    return found


def test_figures_change_only_together_with_the_version_of_the_judging_code(cell_spec, sets):
    stored = json.loads(STORED.read_text())
    figures = judged(cell_spec, sets)
    changed = {name: (stored["figures"].get(name), value) for name, value in figures.items()}
    changed = {name: pair for name, pair in changed.items() if pair[0] is None or abs(pair[0] - pair[1]) > CLOSE}
    anew = "PYTHONPATH=tests:. python tests/purchase/test_judging_version.py"
    assert stored["version"] == VERSION, f"{STORED.name} holds the figures of another version; write it anew: {anew}"
    assert changed == {}, f"the same ledger gives other figures; raise VERSION in evaluator/purchase/spec.py, then: {anew}"


def write() -> None:
    """Write the figures of today's version."""
    import tempfile

    from conftest import TINY, write_data

    from evaluator.purchase.sets import read_sets
    from evaluator.purchase.spec import PurchaseSpec

    with tempfile.TemporaryDirectory() as folder:
        sets = read_sets(TINY, write_data(Path(folder) / "tiny", TINY.sizes), cache=Path(folder) / "cache")

        def spec(path, **changes):
            common = {"submission": "x", "submission_digest": "x", "profile": TINY, "pair": TINY.pairs[0], "root_seed": 1}
            common |= {"weights": "none", "data": sets.digests(), "score_split": "validation", "tier": "process"}
            return PurchaseSpec(**common | {"device": "cpu", "threads": 1} | changes)

        STORED.write_text(json.dumps({"version": VERSION, "figures": judged(spec, sets)}, indent=1) + "\n")


if __name__ == "__main__":
    write()
