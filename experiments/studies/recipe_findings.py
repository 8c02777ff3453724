"""Which variants of a recipe differ from its base: paired by seed, all comparisons of a table corrected together (Holm).

    python -m experiments.studies.recipe_findings          # writes its part of docs/benchmarks.md from the committed trainings

The trainings are ``experiments/studies/results/round2-ablation.json``, which ``experiments.studies.recipes`` made.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pages import Region, write_text
from evaluator.scoring.comparisons import Difference, compare
from evaluator.scoring.intervals import t_interval
from evaluator.scoring.scores import Scores

BASE = "base"
FIGURES = "experiments/studies/results/round2-ablation.json"
PAGE = "docs/benchmarks.md"
ROOT = Path(__file__).resolve().parents[2]
COMMAND = "python -m experiments.studies.recipe_findings"
REGION = Region("recipes", COMMAND)


def differences(results: Sequence[dict[str, Any]], alpha: float = 0.05) -> dict[tuple[str, int, float], Difference]:
    """Differences to the base in macro F1 by the variant's own thresholds, by variant, number of items and label quality.

    The family of Holm's correction is the whole table: every variant at every number of items and label quality. A cell that is
    missing (a run that reached its time limit, or failed) is no score. Empty without a variant beside the base.

    Args:
        results: cells as ``recipes`` stores them.
    """
    variants = list(dict.fromkeys(cell["variant"] for cell in results))
    if BASE not in variants or len(variants) < 2:
        return {}
    places, seeds = sorted({condition_of(cell) for cell in results}), sorted({cell["seed"] for cell in results})
    values = np.full((len(variants), len(places), len(seeds)), np.nan)
    for cell in results:
        at = variants.index(cell["variant"]), places.index(condition_of(cell)), seeds.index(cell["seed"])
        values[at] = cell["macro_f1"]["own"]
    found = compare(Scores(tuple(variants), tuple(map(str, places)), tuple(seeds), values), BASE, alpha=alpha, family="table")
    named = dict(zip(map(str, places), places, strict=True))
    return {(difference.strategy, *named[difference.pair]): difference for difference in found.per_pair}


def condition_of(cell: dict[str, Any]) -> tuple[int, float]:
    """Number of items and label quality of a cell; files from before there were qualities have none."""
    return cell["n"], cell.get("quality", 1.0)


def in_words(difference: Difference) -> str:
    """``+0.028 ± 0.010: within noise (p 0.06)``; the difference alone where nothing could be tested, and empty without a seed."""
    of = difference.difference
    if of is None:
        return ""
    if of.half_width is None or difference.p_holm is None:
        return f"{of.mean:+.3f}: {difference.finding}"
    p = "p < 0.001" if difference.p_holm < 0.001 else f"p {difference.p_holm:.3f}"
    return f"{of.mean:+.3f} ± {of.half_width:.3f}: {difference.finding} ({p})"


def page_text(stored: dict[str, Any]) -> str:
    """The table of the page: a row per variant, the best mean first below the base."""
    results = stored["cells"]
    ((n, quality),) = {condition_of(cell) for cell in results}
    found = differences(results)
    family = max(difference.family for difference in found.values())
    rows = []
    for variant in dict.fromkeys(cell["variant"] for cell in results):
        mine = [cell["macro_f1"] for cell in results if cell["variant"] == variant]
        own = t_interval([scores["own"] for scores in mine])
        half = "" if own.half_width is None else f" ± {own.half_width:.3f}"
        against = "" if variant == BASE else in_words(found[variant, n, quality])
        best = np.mean([scores["oracle"] for scores in mine])
        name = "`quick` as it is" if variant == BASE else variant
        rows.append((variant != BASE, -own.mean, f"| {name} | {own.mean:.3f}{half} | {against} | {len(mine)} | {best:.3f} |"))
    shown = [difference for difference in found.values() if difference.finding in ("better", "worse")]
    lines = [
        "",
        f"p: of the paired tests ([statistics.md](statistics.md#which-test)), corrected by Holm over all {family} comparisons of "
        f"this table. Beyond noise: {len(shown)} of {family}.",
        "",
        "| recipe | macro F1 | against the first row | n | best thresholds |",
        "|---|---|---|---|---|",
        *(row for *_, row in sorted(rows)),
        "",
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Write the part of the page. Returns 0."""
    argparse.ArgumentParser(prog=COMMAND, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(
        arguments
    )
    page = root / PAGE
    text = page_text(json.loads((root / FIGURES).read_text(encoding="utf-8")))
    write_text(page, REGION.replaced(page.read_text(encoding="utf-8"), text))
    print(f"wrote {page}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
