"""Docstrings can be read by the tool that makes the reference of them."""

import pytest

from docs.docstrings import faults


@pytest.fixture(autouse=True)
def griffe():
    pytest.importorskip("griffe", reason="griffe is not installed (requirements-docs.txt); make docs runs the same check")


def test_the_docstrings_of_the_kit_parse():
    assert faults() == []


def test_a_docstring_that_does_not_parse_is_found(tmp_path):
    words = "Do.\n\n    Args:\n        b: no such argument.\n\n    Raises:\n        no pair here\n    "
    (tmp_path / "made.py").write_text(f'def f(a: int) -> int:\n    """{words}"""\n')
    found = faults(("made",), tmp_path)
    assert len(found) == 2
    assert all(line.startswith("made.py:") for line in found)
