"""The paragraphs above the tables, held against what the cells give: who is better or worse, and where; collapsed cells."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.rederive.conditions import Conditions, Derived
from experiments.rederive.data_sets import over_sets_verdict
from experiments.rederive.differences import Test
from experiments.rederive.found import NUMBER, Found
from experiments.rederive.power import deviations, smallest


@dataclass(eq=False)
class Headline:
    """Holds the paragraphs of a page against what is derived."""

    text: str
    conditions: Conditions
    found: Found

    def check(self) -> None:
        """Look at every paragraph."""
        self._headline()
        self._where()
        self._collapsed()
        self._headline_over_data_sets()

    def _headline(self) -> None:
        """``name`` in k of m (a to b, all conditions): in how many it is better (or worse) on every split, and by what."""
        for proxy, mark in ((False, "**Full training.**"), (True, "**Proxy**")):
            line = next((line for line in self.text.splitlines() if line.startswith(mark)), "")
            chosen = [derived for derived in self.conditions.of_one(proxy) if derived.over]
            if not line or not chosen:
                continue
            rows: dict[str, list[tuple[Any, Test]]] = {}
            for derived in chosen:
                for name, test in derived.over.items():
                    rows.setdefault(name, []).append((derived.grid.key[:3], test))
            better, _, worse = line.partition("Worse than `random`:")
            counted = re.search(r"(\d+|\*\*none\*\*) of (\d+) strateg", better)
            if counted is not None:
                self.found.words("headline", "headline, strategies", counted[2], str(len(rows)))
                named = len(re.findall(r"`\w+`(?: in \d+ of \d+)? \(", better))
                self.found.words("headline", "headline, strategies", counted[1], str(named or "**none**"))
            for word, text in (("better", better), ("worse", worse)):
                self._named(word, text, rows)
            plans = [smallest(test, deviations(test)[0]) for of in rows.values() for _, test in of if test.spread]
            if said := re.search(rf"seeds can show is ({NUMBER})(?: to ({NUMBER}))?", line):
                self.found.number("headline", "headline, smallest difference", said[1], min(plans), slack=2e-5)
                self.found.number("headline", "headline, smallest difference", said[2] or said[1], max(plans), slack=2e-5)
            if said := re.search(rf"tau-b of ({NUMBER})(?: to ({NUMBER}))? \(the lowest interval begins at ({NUMBER})\)", line):
                taus = [
                    found
                    for derived in chosen
                    for found in self.conditions.agreement(derived.grid).values()
                    if found and found.bands
                ]
                bands = np.array([found.bands for found in taus])
                for figure, ends in zip(
                    (said[1], said[2] or said[1], said[3]),
                    (bands[:, 1].min(axis=0), bands[:, 1].max(axis=0), bands[:, 0].min(axis=0)),
                    strict=True,
                ):
                    self.found.between("headline", "headline, tau-b", figure, *ends)

    def _named(self, word: str, text: str, rows: dict[str, list[tuple[Any, Test]]]) -> None:
        """The strategies of a paragraph with a finding."""
        form = rf"`(\w+)`(?: in (\d+) of (\d+))? \(({NUMBER})(?: to ({NUMBER}))?(?:, all conditions)?\)"
        said = {found[0]: found[1:] for found in re.findall(form, text)}
        for name, of in rows.items():
            models: dict[Any, list[Test]] = {}
            for model, test in of:
                models.setdefault(model, []).append(test)
            least = sum(all(test.findings == [word] for test in tests) for tests in models.values())
            most = sum(all(word in test.findings for test in tests) for tests in models.values())
            here = f"headline, {name}"
            if name not in said:
                self.found.said("headline", here, least == 0, f"nothing of {word}", f"{word} in {least}")
                continue
            count, total, low, high = said[name]
            self.found.said("headline", here, least <= int(count or 1) <= most, count or "1", f"{least} to {most}")
            self.found.words("headline", here, total or "1", str(len(models)))
            means = [test.bounds[0] for _, test in of if len(test.of.observed)]
            self.found.number("headline", here, low, min(means))
            self.found.number("headline", here, high or low, max(means))
        for name in said.keys() - rows.keys():
            self.found.said("headline", f"headline, {name}", False, name, "no such strategy")

    def _where(self) -> None:
        """Comparisons on single pairs: how many are better and worse, and better by condition, split and pair."""
        line = next((line for line in self.text.splitlines() if line.startswith("**Where.** Of ")), "")
        said = re.search(
            r"Of (?:the|whose|the proxy's) (\d+) comparisons on single pairs, (\d+) are better .* and (\d+) are worse", line
        )
        if said is None:
            return
        counts: dict[str, Counter[str]] = {}
        for derived in self.conditions.of_one(False) or self.conditions.of_one(True):
            _, _, quality, split, _ = derived.grid.key
            for (_, pair), test in derived.single.items():
                for place in (
                    ("all", "clean labels" if quality == 1 else "noisy labels", f"{split} split", pair) if test.spread else ()
                ):
                    counts.setdefault(place, Counter())[test.findings[0]] += 1
                    counts[place]["unsure"] += len(test.findings) > 1
        total = counts["all"]
        tests = sum(total.values()) - total["unsure"]
        self.found.words("headline", "where", said[1], str(tests))
        for text, word in ((said[2], "better"), (said[3], "worse")):
            self.found.between("headline", "where", text, total[word] - total["unsure"], total[word] + total["unsure"])
        for place, better, of in re.findall(r"([\w:.]+(?: \w+)?) (\d+) of (\d+)", line.partition("by condition: ")[2]):
            own = counts.get(place, Counter())
            here = f"where, {place}"
            self.found.between("headline", here, better, own["better"] - own["unsure"], own["better"] + own["unsure"])
            self.found.words("headline", here, of, str(sum(own.values()) - own["unsure"]))

    def _collapsed(self) -> None:
        """How many cells are no better than the best constant answer."""
        counts: dict[str, list[int]] = {}
        for grid in [derived.grid for derived in self.conditions.derived.values()]:
            for name in {name for name, _, _ in grid.cells}:
                both = counts.setdefault(name, [0, 0])
                both[:] = [a + b for a, b in zip(both, grid.count(name), strict=True)]
        fell, scored = (sum(both[at] for both in counts.values()) for at in (0, 1))
        named = ", ".join(f"`{name}` {both[0]}" for name, both in sorted(counts.items()) if both[0])
        line = next((line for line in self.text.splitlines() if line.startswith("**Collapsed.** ")), "")
        said = re.match(r"\*\*Collapsed.\*\* (\S+ of \S+) scored cells .* \((.*?)\)", line)
        derived_text = f"{fell:,} of {scored:,}" if fell else ""
        self.found.words("collapsed cells", "headline", said[1] if said else "", derived_text)
        self.found.words("collapsed cells", "headline", said[2] if said else "", named)

    def _headline_over_data_sets(self) -> None:
        """``name`` in k of m (a to b over all m); as corrected with all tests of the page."""
        for proxy, mark in ((False, "**Full training, over data sets.**"), (True, "**The proxy, over data sets.**")):
            line = next((line for line in self.text.splitlines() if line.startswith(mark)), "")
            kinds: dict[Any, list[Derived]] = {}
            for key, of in self.conditions.derived.items():
                if of.grid.proxy == proxy and self.conditions.in_levels(key):
                    kinds.setdefault(key[:4], []).append(of)
            derived = [self.conditions.over_sets[kind] for kind in kinds]
            for own in (own for of in derived for own in of.values()):
                own["shown"] = np.sign(own["mean"]) if over_sets_verdict(own).startswith(("better", "worse")) else 0.0
            for sign, part in zip((1, -1), re.split("strategies (?:is|are) worse than", line), strict=False):
                for name, count, of, low, high in re.findall(rf"`(\w+)` in (\d+) of (\d+) \(({NUMBER}) to ({NUMBER}) over", part):
                    own = [found[name] for found in derived if name in found]
                    here = f"headline over data sets, {name}"
                    # Splits of the same models count once, and only together.
                    models: dict[Any, list[float]] = {}
                    for kind in kinds:
                        if name in self.conditions.over_sets[kind]:
                            models.setdefault(kind[:3], []).append(self.conditions.over_sets[kind][name]["shown"])
                    shown = sum(all(each == sign for each in both) for both in models.values())
                    self.found.words("headline", here, f"{count} of {of}", f"{shown} of {len(models)}")
                    self.found.number("headline", here, low, min(one["mean"] for one in own))
                    self.found.number("headline", here, high, max(one["mean"] for one in own))
