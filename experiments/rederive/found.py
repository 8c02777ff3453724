"""What was held against the page: how many figures of each kind are right, and a line for each that is wrong."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from experiments.rederive.forms import Form, bounds_form

NUMBER = r"[+-]?\d+(?:\.\d+)?"


@dataclass
class Found:
    """What was held against the page. ``right``, ``left``, ``near``: by kind; ``wrong``: a line each."""

    right: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    near: Counter[str] = field(default_factory=Counter)
    """Findings that chance may turn: see ``__main__``."""
    wrong: list[str] = field(default_factory=list)

    def number(self, kind: str, where: str, text: str, value: float | None, slack: float = 0.0) -> None:
        """Hold a figure against a number."""
        self.between(kind, where, text, value, value, slack)

    def between(self, kind: str, where: str, text: str, low: float | None, high: float | None, slack: float = 0.0) -> None:
        """Hold a figure against two bounds."""
        text = text.strip().removesuffix("%")
        room = 0.5 * 10 ** -len(text.partition(".")[2]) + 1e-9 + slack
        near = low is not None and high is not None and low - room <= float(text) <= high + room
        value = "nothing" if low is None else f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
        self.said(kind, where, near, text, value)

    def words(self, kind: str, where: str, text: str, *values: str) -> None:
        """Hold words against words; the first is most likely, and each counts as right."""
        self.near[kind] += len(values) > 1
        self.said(kind, where, text in values, text, " or ".join(values))

    def form(self, kind: str, where: str, text: str, form: Form, slack: float = 0.0) -> None:
        """Hold a text with numbers against how it should read."""
        template, values = form
        found = re.fullmatch(f"({NUMBER})".join(map(re.escape, template.split("{}"))), text)
        if found is None or not values:
            self.said(kind, where, found is not None, text, template.format(*(f"{value:.6g}" for value in values)))
            return
        for figure, value in zip(found.groups(), values, strict=True):
            self.number(kind, where, figure, value, slack)

    def said(self, kind: str, where: str, right: bool, text: str, value: str) -> None:
        """Count a figure, and name it if it is wrong."""
        self.right[kind] += right
        if not right:
            self.wrong.append(f"{where}: the page says {text}; derived is {value} ({kind})")

    def bounds(self, kind: str, where: str, text: str, derived: Sequence[float | None], slack: float = 0.0) -> None:
        """Hold a value with its interval against (value, low, high)."""
        self.form(kind, where, text, bounds_form(derived), slack)

    def p(self, where: str, text: str, value: float) -> None:
        """Hold a corrected p against a number; a dash, or NaN, is no test."""
        if math.isnan(value) or text == "-":
            self.words("p", where, text, "-" if math.isnan(value) else f"{value:.3f}")
        elif text.startswith("<"):
            self.said("p", where, value < float(text[1:]), text, f"{value:.4f}")
        else:
            self.number("p", where, text, value)
