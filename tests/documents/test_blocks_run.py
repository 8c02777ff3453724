"""Every block of code that a page shows is run, in order, small, in a copy of the kit (``page_runner.py`` says how)."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents.commands import is_shell
from tests.documents.markdown import PAGES, ROOT, blocks
from tests.documents.settings import SETTINGS, Setting

QUICK = {"docs/troubleshooting.md"}
"""Pages that take a few seconds: part of `make test`. The others are run by `make test-all`."""
PARTS = ("baselines", "docs", "evaluator", "experiments", "my_submission", "aicrowd.json", "local_evaluation.py", "run.py", "tests")
RUNNER = [sys.executable, "-m", "tests.documents.page_runner"]
RUN = [
    page
    for page in PAGES
    if any((is_shell(block) or block.language == "python") and not {"not run", "file"} & set(block.notes) for block in blocks(page))
]


def linked(source: str, target: str) -> None:
    """Copy; of the kit's weights, which are large and which nobody writes, only make a link."""
    if Path(source).suffix == ".safetensors":
        os.symlink(source, target)
    else:
        shutil.copy2(source, target)


@pytest.fixture
def kit(tmp_path) -> Path:
    """A copy of the kit without data and results."""
    home = tmp_path / "kit"
    home.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "hostile", "cells", "*.npz")
            shutil.copytree(ROOT / part, home / part, copy_function=linked, ignore=ignored)
        else:
            shutil.copy2(ROOT / part, home / part)
    for page in set(PAGES) - {page for page in PAGES if (home / page).exists()}:
        (home / page).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / page, home / page)
    return home


def test_every_page_with_a_setting_has_blocks_that_are_run():
    assert set(SETTINGS) <= set(RUN)
    assert set(RUN) >= QUICK


@pytest.mark.parametrize(
    "page", [page if page in QUICK else pytest.param(page, marks=pytest.mark.endurance) for page in RUN], ids=lambda page: page
)
def test_the_blocks_of_a_page_run(page, kit):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "DCK", "COV"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), clean.get("PATH", "")])
    done = subprocess.run(
        [*RUNNER, page],
        cwd=kit,
        env=clean | {"PATH": path, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=1_500,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert told, "no command of the page was run"
    expected = SETTINGS.get(page, Setting()).statuses
    for line in told:
        wanted = next((status for begin, status in expected.items() if line["command"].startswith(begin)), 0)
        assert line["status"] == wanted, f"{line['where']}: {line['command']}\nstatus {line['status']}\n{line['said']}"


def test_a_block_that_fails_is_told(kit):
    """The runner on a page whose command is wrong: exit status and words come back."""
    (kit / "docs" / "made.md").write_text(
        "```\npython -m evaluator validate nowhere.py\n```\n\n```python\nraise ValueError('no')\n```\n"
    )
    done = subprocess.run([*RUNNER, "docs/made.md"], cwd=kit, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3_000:]
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert (first["status"], second["status"]) == (1, 99)
    assert "nowhere.py" in first["said"]
    assert "ValueError: no" in second["said"]
