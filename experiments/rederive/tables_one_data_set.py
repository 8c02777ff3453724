"""The tables of one data set, held against what the cells give."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.rederive.cells import Grid, Series, labels_minutes
from experiments.rederive.conditions import Conditions, Derived
from experiments.rederive.differences import Test, t_bounds
from experiments.rederive.forms import bounds_form, difference_form, score_form
from experiments.rederive.found import NUMBER, Found
from experiments.rederive.gap import share_of_gap
from experiments.rederive.power import deviations, enough_seeds, smallest
from experiments.rederive.tables_rank_agreement import RankAgreement


@dataclass(eq=False)
class OneDataSet:
    """Holds tables whose condition has one data set against what is derived."""

    conditions: Conditions
    found: Found
    ranks: RankAgreement

    def check(self, proxy: bool, heading: str, title: str, rows: list[list[str]]) -> None:
        """Look at one table, or note."""
        header = rows[0]
        if title.startswith("Difference to random over the pairs"):
            for place, text in enumerate(header[1:], 1):
                (derived,) = self.conditions.chosen(proxy, f"### {text}") or [None]
                self._column(derived.over if derived else None, f"overview, {text}", rows, place)
            return
        if heading == "### The proxy against full training":
            self.ranks.table(rows)
            return
        chosen = self.conditions.chosen(proxy, heading)
        if len(chosen) != 1:
            self.found.left[f"table {title}"] += 1
            return
        derived, where = chosen[0], f"{heading[4:]}, {title}"
        if title == "note":
            self._note(derived, where, header[0])
        elif title == "mark":
            if header[0] == "tau-b with a full training not measured":
                self.found.words("tau-b", where, header[0], *(() if self.conditions.agreement(derived.grid) else (header[0],)))
                return
            for text in header[0].split("; "):
                pipeline, _, said = text.removeprefix("tau-b with `").partition("` ")
                self.ranks.text(where, said, self.conditions.agreement(derived.grid).get(pipeline))
        elif title.startswith("Macro F1"):
            self._scores(derived, where, title, rows)
        elif title.startswith("Difference to random, pair by pair"):
            for place, text in enumerate(header[1:], 1):
                pair = text.split()[0]
                budget = round(labels_minutes(pair)[0] * derived.grid.scale)
                self.found.words("budgets", where, text, f"{pair} ({budget} label{'s' * (budget != 1)})")
                self._column(derived.at([pair]), where, rows, place)
        elif title.startswith("Area under the curve"):
            self._areas(derived, where, title.partition(": ")[2], rows)
        elif title.startswith("Wins-ties-losses"):
            self._matrix(derived, where, rows)
        elif title.startswith("What these seeds can show"):
            self._power(derived, where, rows)
        elif title.startswith("Public minus hidden"):
            for row in rows[1:]:
                less = derived.grid.less(row[0])
                own = np.array([]) if less is None else less.observed
                self.found.form("public minus hidden", f"{where}, {row[0]}", row[1], bounds_form(t_bounds(own)))
                self.found.words("n", f"{where}, {row[0]}", row[2], str(len(own)))
        else:
            self.found.left[f"table {title}"] += 1

    def _column(self, tests: dict[str, Test] | None, where: str, rows: list[list[str]], place: int) -> None:
        """``**+0.105 [+0.080, +0.131] better** (n 10)``."""
        if tests is None:
            self.found.left["overview"] += len(rows) - 1
            return
        for row in rows[1:]:
            here, text = f"{where}, {row[0]}", row[place]
            test = tests.get(row[0])
            if test is None or not len(test.of.observed):
                self.found.words("not run", here, text, "failed cells" if test is not None and test.of.failed else "not run")
                continue
            said = re.fullmatch(rf"(\**)({NUMBER}!?(?: [\[(][^\])]*[\])])?) (.+?)(\**) \(n (\d+)\)", text)
            shown = ["noise" if word in ("within noise", "within noise ?") else word for word in test.marked]
            if said is None:
                self.found.said("findings", here, False, text, shown[0])
                continue
            self.found.form("differences", here, said[2], difference_form(test))
            self.found.words("findings", here, said[3], *dict.fromkeys(shown))
            self.found.words("bold", here, said[1] + said[4], "****" if said[3].startswith(("better", "worse")) else "")
            self.found.words("n", here, said[5], str(len(test.of.observed)))

    def _scores(self, derived: Derived, where: str, title: str, rows: list[list[str]]) -> None:
        grid = derived.grid
        pairs = re.search(r"\((\d+:.*)\)$", title)
        at = pairs[1].split(", ") if pairs and "mean over" in title else [title.split(" at ")[1].split()[0]]
        self.found.words("pairs", where, ", ".join(at), ", ".join(grid.main))
        tests = derived.at(at)
        names = [*grid.names, *([grid.ceiling] if grid.ceiling else [])]
        self.found.words("strategies", where, ", ".join(sorted(row[0] for row in rows[1:])), ", ".join(sorted(names)))
        shares = {}
        if grid.ceiling and grid.others:
            shares = {row[0]: share_of_gap(*(grid.of(name, at) for name in (row[0], "random", grid.ceiling))) for row in rows[1:]}
            known = any(share.bounds for share in shares.values())
            self.found.words("shares of the gap", where, str("share of gap" in rows[0]), str(known))
        for row in rows[1:]:
            here, named, own = f"{where}, {row[0]}", dict(zip(rows[0], row, strict=True)), grid.of(row[0], at)
            self.found.form("scores", here, named["score"], score_form(own))
            self.found.words("n", here, named["n"], self._observed(grid, row[0], at, own))
            self._against(here, tests.get(row[0]), named)
            if "share of gap" in named:
                self.found.form("shares of the gap", here, named["share of gap"], shares[row[0]].form)

    def _against(self, where: str, test: Test | None, named: dict[str, str], marks: bool = True) -> None:
        """The three columns of a difference. ``marks``: whether the test that decided is told, and doubtful findings are marked."""
        if "to random" not in named:
            return
        if test is None:
            self.found.words(
                "not compared", where, " ".join(named[column] for column in ("to random", "p corr.", "finding")), "- - -"
            )
            return
        self.found.form("differences", where, named["to random"], difference_form(test))
        p, _, second = named["p corr."].partition(" ")
        self.found.p(where, p, test.corrected)
        if marks:
            self.found.words("deciding test", where, second, "s" if test.p > test.p_t else "")
        self.found.words(
            "findings", where, named["finding"], *(test.marked if marks else [word + test.mark for word in test.findings])
        )

    def _observed(self, grid: Grid, name: str, pairs: Sequence[str], own: Series) -> str:
        """``10``, ``1 of 7``, ``10, 2 late``, ``3 failed``."""
        of = [cell for (strategy, pair, _), cell in grid.cells.items() if strategy == name and pair in pairs]
        failed, late = sum(math.isnan(cell.score) for cell in of), sum(cell.late for cell in of)
        marks = [f"{count} {word}" for count, word in ((failed, "failed"), (late, "late")) if count]
        n = len(own.observed)
        return ", ".join(([f"{n} of {own.seeds}" if 0 < n < own.seeds else str(n)] if n or not marks else []) + marks)

    def _areas(self, derived: Derived, where: str, curve: str, rows: list[list[str]]) -> None:
        pairs = derived.grid.curves.get(curve)
        if pairs is None:
            self.found.said("areas", where, False, curve, " or ".join(derived.grid.curves) or "no curve")
            return
        for row in rows[1:]:
            here = f"{where}, {row[0]}"
            self.found.form("areas", here, row[1], score_form(derived.grid.area(row[0], pairs)))
            self._against(here, derived.areas.get((row[0], curve)), dict(zip(rows[0], row, strict=True)), marks=False)

    def _note(self, derived: Derived, where: str, text: str) -> None:
        """Counts of collapsed cells, and gaps of which there is no share."""
        grid = derived.grid
        counts = {name: grid.count(name) for name in [*grid.names, *([grid.ceiling] if grid.ceiling else [])]}
        if text.startswith("!: "):
            total = [float(sum(count[at] for count in counts.values())) for at in (0, 1)]
            self.found.form("collapsed cells", where, text.partition(" scored")[0], ("!: {} of {}", total))
        elif text.startswith("collapsed cells: "):
            named = ", ".join(f"{name} {fell}" for name, (fell, _) in sorted(counts.items()) if fell)
            self.found.words("collapsed cells", where, text.partition(". ")[0], f"collapsed cells: {named}")
        elif (said := re.search(rf"is within noise \(({NUMBER}) to ({NUMBER}), n=(\d+)\)(.*)$", text)) and grid.ceiling:
            gaps = []
            for pairs in {tuple(grid.main), *((pair,) for pair in grid.pairs)}:
                share = share_of_gap(*(grid.of(name, pairs) for name in (grid.ceiling, "random", grid.ceiling)))
                fell = re.search(r"; (\d+) of the seeds ha", said[4])
                _, low, high, n = share.gap
                same = (n, share.fell) == (int(said[3]), int(fell[1]) if fell else 0) and low is not None and high is not None
                gaps.append(
                    same and all(f"{of:.3g}" == of_page for of, of_page in zip((low, high), said.groups()[:2], strict=True))
                )
            self.found.said("gaps", where, any(gaps), text, "another gap")

    def _matrix(self, derived: Derived, where: str, rows: list[list[str]]) -> None:
        """Wins, ties and losses. Of a tie by chance nothing is known for sure."""
        grid = derived.grid
        score, unsure = derived.wins

        def held(here: str, text: str, pairings: list[tuple[str, str]]) -> None:
            counts = [sum(score[one, other, word] for one, other in pairings) for word in (1, 0, -1)]
            room = 2 * sum(unsure[pairing] for pairing in pairings)
            self.found.near["wins"] += room > 0
            near = len(text.split("-")) == 3 and sum(abs(int(a) - b) for a, b in zip(text.split("-"), counts, strict=True)) <= room
            self.found.said("wins", here, near, text, "-".join(map(str, counts)))

        numbered = {str(place): name for place, name in enumerate(grid.names, 1)}
        for row in rows[1:]:
            number, name = row[0].split(" ", 1)
            self.found.words("wins", where, name, numbered.get(number, "nobody"))
            for text, head in zip(row[1:-1], rows[0][1:-1], strict=True):
                if head not in numbered:
                    self.found.said("wins", where, False, head, f"a number from 1 to {len(numbered)}")
                elif head != number:
                    held(f"{where}, {name}", text, [(name, numbered[head])])
            held(f"{where}, {name}", row[-1], [(name, other) for other in grid.names if other != name])

    def _power(self, derived: Derived, where: str, rows: list[list[str]]) -> None:
        for row in rows[1:]:
            here, test = f"{where}, {row[0]}", derived.over.get(row[0])
            if test is None or not test.spread:
                self.found.said("needed seeds", here, False, row[0], "no such test")
                continue
            self.found.words("n", here, row[1], str(len(test.of.observed)))
            self.found.number("deviations", here, row[2], float(np.std(test.of.observed, ddof=1)))
            spread = deviations(test)
            self.found.bounds("smallest differences", here, row[3], [smallest(test, d) for d in spread], slack=2e-5)
            needed = [enough_seeds(d, test.family) for d in spread]
            if any(of > 100_000 for of in needed):
                template = "{} [{}, {}]".format(*("> 100000" if of > 100_000 else "{}" for of in needed))
                self.found.form("needed seeds", here, row[4], (template, [of for of in needed if of <= 100_000]), slack=1.0)
            else:
                self.found.bounds("needed seeds", here, row[4], needed, slack=1.0)
