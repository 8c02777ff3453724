"""The search for imports: it finds what Python would import, and its time grows with the text and no faster."""

import ast
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.submission.imports import modules, uses_strategies

ROOT = Path(__file__).resolve().parents[2]


def parsed(text: str) -> set[str]:
    """First names of absolute imports, by Python's own parser."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("path", sorted(ROOT.glob("baselines/**/*.py")), ids=lambda path: path.stem)
def test_the_baselines_are_read_as_python_reads_them(path):
    text = path.read_text()
    assert modules(text.encode()) == parsed(text)


def test_the_whole_project_is_read_as_python_reads_it():
    for path in (*ROOT.glob("evaluator/**/*.py"), *ROOT.glob("tests/**/*.py")):
        text = path.read_text(encoding="utf-8")
        assert parsed(text) <= modules(text.encode())


NAME = st.sampled_from(["a", "b.c", "nümpy", "under_score", "ﬁle"])
BLANK = st.sampled_from([" ", "  ", "\t", " \\\n ", " \\\r\n"])
STATEMENT = st.one_of(
    st.tuples(BLANK, st.lists(NAME, min_size=1, max_size=3)).map(lambda t: f"import{t[0]}" + ", ".join(t[1])),
    st.tuples(BLANK, NAME).map(lambda t: f"import{t[0]}{t[1]} as z"),
    st.tuples(BLANK, NAME, BLANK).map(lambda t: f"from{t[0]}{t[1]}{t[2]}import x, y"),
    NAME.map(lambda n: f"from {n} import (  # a note\n    x,\n    y)"),
    NAME.map(lambda n: f"from {n} import *"),
    st.sampled_from(["pass", "x = '#'", "from . import x", "from .a import y", "x = 1"]),
)
PLACE = st.sampled_from(["{}", "if x:\n    {}", "if x: {}", "try: {}\nexcept OSError: pass", "x = 1; {}", "def f():\n\t{}"])


def placed(pairs):
    lines = [place.format(statement) for place, statement in pairs if "*" not in statement or place == "{}"]
    return "\n".join(lines) + "\n"


@settings(deadline=None)
@given(st.lists(st.tuples(PLACE, STATEMENT), max_size=6).map(placed), st.sampled_from(["\n", "\r\n", "\r"]))
def test_every_import_is_found_wherever_it_stands(text, end):
    text = text.replace("\r\n", "\n").replace("\n", end)
    assert parsed(text) <= modules(text.encode())
    assert parsed(text) <= modules(b"\xef\xbb\xbf" + text.encode())


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_searched(text):
    assert isinstance(modules(text), set)
    uses_strategies(text)


@pytest.mark.parametrize(
    "sign",
    [
        *("-", "(", " ", "\n ", "\\\n", "import ", "from ", "import a,", "import a;", ":import a", "from a import (\n"),
        *("#;from x import (\n", "evaluator", "evaluator ", "from evaluator\\\n", "from " + " " * 50, "a" * 50, "é"),
    ],
)
def test_the_time_grows_with_the_text_and_no_faster(sign):
    text = (sign * (1 << 20))[: 1 << 20].encode()
    began = time.process_time()
    modules(text)
    uses_strategies(text)
    assert time.process_time() - began < 5  # it takes 0.2 s; a search of squared time would take hours


@pytest.mark.parametrize(
    ("text", "uses"),
    [
        ("from evaluator.strategies import learner", True),
        ("import evaluator.strategies.learner as l", True),
        ("from evaluator import strategies", True),
        ("from evaluator \\\n  import strategies", True),
        ("import numpy\nevaluator = 3\nstrategies = evaluator", False),
        ("from evaluator.exceptions import OutOfBudgetException", False),
    ],
)
def test_use_of_the_kits_strategies(text, uses):
    assert uses_strategies(text.encode()) is uses
