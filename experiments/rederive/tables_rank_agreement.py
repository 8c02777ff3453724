"""What the page says of the agreement of proxy and full training, held against what the cells give."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from scipy import stats

from experiments.rederive.conditions import Conditions
from experiments.rederive.differences import ALPHA, t_bounds
from experiments.rederive.found import NUMBER, Found
from experiments.rederive.rank_agreement import Tau


@dataclass(eq=False)
class RankAgreement:
    """Holds what is said of Kendall's tau-b against what is derived."""

    conditions: Conditions
    found: Found

    def table(self, rows: list[list[str]]) -> None:
        """The proxy against full training, on one data set."""
        for row in rows[1:]:
            for derived in self.conditions.chosen(True, f"### {row[0]}"):
                found = self.conditions.agreement(derived.grid).get(row[1])
                self.text(row[0], row[2], found)
                if found is not None:
                    counts = f"{found.strategies} {found.pairs} {found.seeds}"
                    self.found.words("tau-b", row[0], " ".join(row[3:6]), counts)

    def text(self, where: str, text: str, found: Tau | None) -> None:
        """``0.76 [0.04, 1.00], 0.71 as measured``."""
        if found is None or found.bands is None:
            self.found.words("tau-b", where, text.partition(" (")[0], "not measured")
            return
        said = re.fullmatch(rf"({NUMBER}) \[({NUMBER}), ({NUMBER})\], ({NUMBER}) as measured", text)
        if said is None:
            self.found.said("tau-b", where, False, text, "a coefficient")
            return
        self.found.number("tau-b", where, said[4], found.measured)
        for figure, band in zip((said[2], said[1], said[3]), found.bands, strict=True):
            self.found.between("tau-b without noise", where, figure, *band)

    def table_over_data_sets(self, rows: list[list[str]]) -> None:
        """The mean over data sets of the values without noise; it and its bounds may move by the bands of these values."""
        for row in rows[1:]:
            taus = [
                self.conditions.agreement(derived.grid).get(row[1])
                for derived in self.conditions.chosen(True, f"### {row[0]}", True)
            ]
            bands = np.array([found.value for found in taus if found is not None and found.bands is not None])
            if not len(bands):
                noisy = [found.measured for found in taus if found is not None and not math.isnan(found.measured)]
                if not noisy:
                    self.found.words("tau-b", row[0], " ".join(row[1:5]), "none stored not measured - 0")
                    continue
                self.found.number("tau-b", row[0], row[2].partition(" as measured")[0], float(np.mean(noisy)))
                for figure, end in zip(row[3].split(" to "), (min(noisy), max(noisy)), strict=True):
                    self.found.number("tau-b", row[0], figure, end)
                self.found.words("tau-b", row[0], row[4], str(len(noisy)))
                continue
            mean, low, high, n = t_bounds(bands.mean(axis=1))
            room = float(np.ptp(bands, axis=1).max())
            of_sd = 0.0 if n < 2 else room * float(stats.t.ppf(1 - ALPHA / 2, n - 1)) / math.sqrt(n - 1)
            self.found.bounds("tau-b", row[0], row[2], (mean, low, None if high is None else min(high, 1.0)), slack=room + of_sd)
            for figure, ends in zip(row[3].split(" to "), (bands.min(axis=0), bands.max(axis=0)), strict=True):
                self.found.between("tau-b", row[0], figure, *ends)
            self.found.words("tau-b", row[0], row[4], str(n))
