"""The tables over several data sets, held against what the cells give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from experiments.rederive.conditions import Conditions
from experiments.rederive.data_sets import matrix, on_sets, over_sets_verdict
from experiments.rederive.forms import around, difference_form, over_sets_form
from experiments.rederive.found import Found
from experiments.rederive.tables_rank_agreement import RankAgreement


@dataclass(eq=False)
class OverDataSets:
    """Holds tables whose condition has several data sets against what is derived."""

    conditions: Conditions
    found: Found
    ranks: RankAgreement

    def check(self, proxy: bool, heading: str, title: str, rows: list[list[str]]) -> None:
        """Look at one table, or note."""
        if title.startswith("Difference to random over the pairs"):
            for place, text in enumerate(rows[0][1:], 1):
                derived = self.conditions.sets(self.conditions.chosen(proxy, f"### {text}", True))
                for row in rows[1:]:
                    self._overview(f"overview, {text}, {row[0]}", row[place].replace("**", ""), derived.get(row[0]))
            return
        if heading.startswith("### The proxy against full training"):
            self.ranks.table_over_data_sets(rows)
            return
        if title == "note":
            return
        if not title.startswith(("Macro F1", "Difference to random, ", "What more", "Difference to random on each")):
            self.found.left[f"{title or heading[4:]} (over data sets)"] += len(rows) - 1
            return
        chosen = self.conditions.chosen(proxy, heading)
        if title.startswith("Macro F1"):
            for name, text, count in rows[1:]:
                values, fell, failed = matrix([derived.grid for derived in chosen], name)
                here, own = f"{heading[4:]}, {name}", {} if failed else on_sets(values, fell)
                self.found.words("n", here, count, "failed cells" if failed else str(own.get("seeds", 0)))
                self.found.form("scores over data sets", here, text, over_sets_form(own, "collapsed") if own else ("-", []))
            return
        if title.startswith("Difference to random on each"):
            for row in rows[1:]:
                for derived, text in zip(chosen, row[1:], strict=True):
                    test = derived.over.get(row[0])
                    self.found.form("differences", f"{heading[4:]}, {row[0]}", text, difference_form(test) if test else ("-", []))
            return
        found = self.conditions.sets(chosen)
        for row in rows[1:]:
            here = f"{heading[4:]}, {row[0]}"
            own = found.get(row[0])
            if own is None:
                self.found.words("failed", here, " ".join(row[1:]), "- - failed cells -")
                continue
            if title.startswith("What more"):
                figures = (own["sd of data sets"], own["sd of seeds"], own["share"], own["half"], own["floor"])
                for text, value in zip(row[1:6], figures, strict=True):
                    self.found.number("parts", here, text, 100 * value if text.endswith("%") else value)
                if row[6].startswith(">"):
                    self.found.said("needed data sets", here, own["enough"] > 10_000, row[6], f"{own['enough']:g}")
                else:
                    self.found.number("needed data sets", here, row[6], own["enough"])
                continue
            self.found.form("differences over data sets", here, row[1], over_sets_form(own, "with a collapse"))
            self.found.p(here, row[2], own["gate"].corrected)
            self.found.words("findings", here, row[3], over_sets_verdict(own))
            self.found.bounds("one other data set", here, row[4], around(own["mean"], own["other"]), slack=0.03 * own["other"])

    def _overview(self, where: str, text: str, own: dict[str, Any] | None) -> None:
        if own is None:
            self.found.said("not run", where, text in ("not run", "failed cells"), text, "not run, or failed cells")
            return
        figures, _, rest = text.partition("] ")
        self.found.bounds("differences over data sets", where, f"{figures}]", around(own["mean"], own["half"]))
        self.found.words("findings", where, rest, f"{over_sets_verdict(own, 'noise')} (n {own['data sets']})")
