"""A table in Parquet in the place of a class is a stranger's file: before it is judged, too, it is read in a worker."""

from __future__ import annotations

import pytest

from evaluator.curation import given as given_module
from evaluator.curation.given import given
from evaluator.data import edits
from evaluator.data.edits import Edit, EditTable
from evaluator.errors import SubmissionError, Verdict


def test_a_table_in_parquet_is_looked_at_in_a_worker_and_not_in_this_process(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    EditTable((Edit("train/i/0.png", "drop"),)).write(tmp_path / "edits.parquet")

    def here(*given):
        raise AssertionError("it was read in this process")

    monkeypatch.setattr(edits, "table_of", here)
    found = given(tmp_path / "edits.parquet")
    assert (found.said, found.found) == ("a table of 1 edit", ())


def test_a_table_that_ends_its_worker_is_a_fault_of_the_table(tmp_path, monkeypatch):
    class Dies:
        def __init__(self, sandbox):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *given):
            pass

        def table(self, name, raw, most):
            raise SubmissionError(f"{name}: reading it took more memory than it may have", verdict=Verdict.MEMORY_LIMIT)

    monkeypatch.setattr(given_module, "ForeignFiles", Dies)
    (tmp_path / "edits.parquet").write_bytes(b"PAR1")
    (finding,) = given(tmp_path / "edits.parquet").found
    assert (finding.kind, finding.place, finding.text) == ("error", "edits.parquet", "reading it took more memory than it may have")
