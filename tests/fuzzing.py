"""Property tests in two sizes: a moderate number of inputs always, and as many as ``FUZZ`` says in the endurance tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MANY = int(os.environ.get("FUZZ", "500"))
"""Inputs of an endurance test: ``FUZZ=1000000 make test-all``."""


def counts(few: int) -> pytest.MarkDecorator:
    """Runs a test with the argument ``count``: ``few``, and ``MANY`` as an endurance test."""
    return pytest.mark.parametrize("count", [few, pytest.param(MANY, marks=[pytest.mark.slow, pytest.mark.endurance], id="many")])


def hold(count: int, check: Callable[..., None], *drawn: st.SearchStrategy[Any]) -> None:
    """Call ``check`` with ``count`` draws; a failure is shrunk and reported."""
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example, HealthCheck.filter_too_much]
    settings(max_examples=count, deadline=None, database=None, suppress_health_check=quiet)(given(*drawn)(check))()


HOSTILE = "\x1b]0;t\x07\x9b31m\x7f\u202e\u2066\u200b\u2028\r\n\t\ud800\ue000[red]|`<b>$x$=\"'&\\_*#"
"""Characters that steer, hide, reorder or break, and signs of markup."""
texts = st.text(st.one_of(st.characters(codec=None, exclude_categories=()), st.sampled_from(HOSTILE)))
"""Any text at all, surrogates too."""
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from([0, 1, -1, 2**31, 2**63, 10**40, 10**400, -(10**400), 1e308, -0.0, 1e-320]),
        st.floats(allow_nan=False, allow_infinity=False),
        texts,
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
"""Any value of JSON."""
