"""The notebook of the documents runs from its first cell to its last, in a real kernel, and is stored without outputs."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "docs" / "practice.ipynb"
WHICH = '{"profile": "quick", "pair": "621:17"}'
SMALL = '{"profile": "debug", "pair": "621:17", "public_seeds": True}'


def test_the_notebook_is_stored_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_the_notebook_runs_in_the_folder_of_the_documents(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (cell,) = [cell for cell in notebook.cells if WHICH in cell.source]
    cell.source = cell.source.replace(WHICH, SMALL)
    # Its data and decoded images belong into the folder of the test.
    elsewhere = f"from pathlib import Path\nimport evaluator.purchase.practice as kit\nkit.DATA = Path({str(tmp_path)!r})"
    cell.source = f"{elsewhere}\n{cell.source}"
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    printed = "".join(
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )
    refused = "OutOfBudgetError: 34 new labels asked for, 6 of 12 left"
    for said in ("12 labels, 8.5 s", refused, "Unsure in practice, not a score", "seed 2:  at random"):
        assert said in printed
    pictures = [output for cell in notebook.cells for output in cell.get("outputs", ()) if "image/png" in output.get("data", {})]
    assert len(pictures) == 1
