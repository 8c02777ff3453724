"""How stable is the recipe of a pipeline? The part of ``docs/benchmarks.md`` on it, from the cells that ``recipes`` stored.

    python -m experiments.studies.stability    # writes that part of the page anew

More cells are trained by the command that ``TRAINED`` names; it goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.pages import Region, write_text
from evaluator.report.format import markdown_rows, mixed
from evaluator.scoring.collapse import over_seeds
from evaluator.scoring.intervals import t_interval
from evaluator.tables import Block
from evaluator.words import counted
from experiments.places import HERE, Places
from experiments.studies.recipes import key_of

COMMAND = "python -m experiments.studies.stability"
FIGURES, PAGE = "experiments/studies/results/round2-stability.json", "docs/benchmarks.md"
REGION = Region("stability", COMMAND)
TRAINED = f"""\
python -m experiments.studies.recipes --device cpu --pipeline round2 --base image_size=64,learning_rate=0.001 --shift rare \\
  --sizes 1060 140 --qualities 0.97 1 --scored 600 --seeds 3 --workers 2 --minutes 150 --json {FIGURES} --resume \\
  --only base "rate 0.0005" "warm-up 0.5" "clip 0.1\""""

Result = Mapping[str, Any]


def page_text(stored: Mapping[str, Any]) -> str:
    """The part of the page: the command, and a row per condition and variant, with how many of its trainings collapsed."""
    cells = stored["cells"]
    head = (
        f"```\n{TRAINED}\n```\n\n{counted(len(cells), 'training')} so far (`{FIGURES}`); best constant answer "
        f"{stored['best_constant']:.3f}. `base` is the earlier recipe, at a rate of 0.001.\n\n"
    )
    rows = [row for condition in conditions(cells) for row in _rows(cells, condition)]
    headers = ("items, label quality, recipe", "seeds", "collapsed", "macro F1", "less base, paired", "seconds")
    return head + "\n".join(markdown_rows(Block("", headers, tuple(rows)))) + "\n"


def conditions(cells: Sequence[Result]) -> list[tuple[int, float]]:
    """(items, label quality) of the cells: few items first, right labels first."""
    return sorted({(cell["n"], cell["quality"]) for cell in cells}, key=lambda of: (of[0], -of[1]))


def _rows(cells: Sequence[Result], condition: tuple[int, float]) -> list[tuple[str, ...]]:
    n, quality = condition
    here = {key_of(cell): cell for cell in cells if (cell["n"], cell["quality"]) == condition}
    rows: list[tuple[str, ...]] = []
    for variant in dict.fromkeys(key[0] for key in here):
        mine = {key[-1]: cell for key, cell in here.items() if key[0] == variant}
        found = over_seeds([(cell["macro_f1"]["own"], cell["collapsed"]) for cell in mine.values()])
        assert found is not None  # the variant has a cell
        half = "" if found["high"] is None else f" ± {found['high'] - found['mean']:.3f}"
        mean = f"{found['mean']:.3f}" + (f"! ({mixed(found)})" if found["collapsed"] else half)
        less = [
            cell["macro_f1"]["own"] - here[key]["macro_f1"]["own"]
            for seed, cell in mine.items()
            if variant != "base" and (key := ("base", n, quality, seed)) in here
        ]
        seconds = sum(cell["seconds"] for cell in mine.values()) / len(mine)
        rows.append(
            (
                f"{n}, {quality:g}, {variant}",
                str(len(mine)),
                str(found["collapsed"]),
                mean,
                _less(less),
                f"{seconds:.0f}",
            )
        )
    return rows


def _less(values: Sequence[float]) -> str:
    if not values:
        return ""
    gap = t_interval(values)
    return f"{gap.mean:+.3f}" + ("" if gap.half_width is None else f" ± {gap.half_width:.3f}")


def main(places: Places = HERE) -> None:
    """Write the part of the page anew."""
    page = places.root / PAGE
    stored = json.loads((places.root / FIGURES).read_text(encoding="utf-8"))
    write_text(page, REGION.replaced(page.read_text(encoding="utf-8"), page_text(stored)))


if __name__ == "__main__":
    main()
