"""The views of an audit: those of every source, of sources together, of conditions, and without images of the training set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evaluator.audit.benchmark import Benchmark
from evaluator.audit.corrections import Source
from evaluator.audit.kinds import MULTI_NAMES, NAMES, Kind
from evaluator.audit.sources import together
from evaluator.audit.views import TITLES, Flags, Name, Plan, leaving_out, plans_of
from evaluator.audit.where import Condition
from evaluator.bounded import BoundsError
from evaluator.errors import ConfigurationError
from evaluator.text import one_line

BY_SOURCE = frozenset({"correction", "kind", "reviewed"})
"""Columns for conditions that follow from a source; a column of a file with such a name counts instead."""


def planned(
    benchmark: Benchmark, sources: Sequence[Source], conditions: Sequence[Condition] = (), leaks: Sequence[str] | None = None
) -> list[Plan]:
    """The views of an audit, beside ``all``.

    Args:
        conditions: each makes a view of the images for which it holds; one that asks for a source's column makes a view per source.
        leaks: ids of images that stand in the training set.

    Raises:
        ConfigurationError: a condition asks for a column that is not there, or ids are unknown.
    """
    found: list[Plan] = []
    n, asked = len(benchmark), BY_SOURCE - set(benchmark.columns)
    if leaks is not None:
        out = np.zeros(n, bool)
        out[benchmark.places(leaks, "--duplicates", all_of_them=False)] = True
        found.append(leaving_out(Name.WITHOUT_LEAKS, TITLES[Name.WITHOUT_LEAKS], "", out))
    plain = columns_of(benchmark, None)
    for condition in conditions:
        if not condition.names & asked:
            found.append(_where(condition, plain, n, ""))
        elif not sources:
            raise ConfigurationError(
                f"--where {one_line(condition.text, 80)!r}: it asks for corrections; expected --corrections. Add them"
            )
    for flags in [*map(Flags.of, sources), *together(sources)]:
        found += plans_of(benchmark, flags)
    for source in sources:
        columns = columns_of(benchmark, source)
        found += [_where(c, columns, n, source.name) for c in conditions if c.names & asked]
    return found


def _where(condition: Condition, columns: Mapping[str, Sequence[str]], n: int, source: str) -> Plan:
    holds = condition.of(columns, n)
    if not holds.any():
        raise BoundsError(f"--where {one_line(condition.text, 80)!r}: it holds for no image; expected some. Correct it")
    return leaving_out(f"where {condition.text}", f"where {condition.text}", source, ~holds)


def columns_of(benchmark: Benchmark, source: Source | None) -> dict[str, Sequence[str]]:
    """The columns that conditions may ask for, a text per image."""
    found: dict[str, Sequence[str]] = {"id": benchmark.ids, "label": [_text(s) for s in benchmark.given.lists()]}
    if source is not None:
        names = MULTI_NAMES if benchmark.multi else NAMES
        kinds = source.kinds.tolist()
        corrected = [_text(s) if kind else "" for s, kind in zip(source.sets.lists(), kinds, strict=True)]
        found |= {"correction": corrected, "kind": [names[Kind(kind)] for kind in kinds]}
        found["reviewed"] = ["yes" if looked else "no" for looked in source.reviewed.tolist()]
    return found | dict(benchmark.columns)


def _text(labels: Sequence[int]) -> str:
    return ",".join(map(str, labels)) if labels else "-1"
