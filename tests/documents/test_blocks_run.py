"""Every block of code that a page shows is run, in order, small, in a copy of the kit (``page_runner.py`` says how)."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
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


def told(page: str, kit: Path) -> list[dict]:
    """What the runner tells of a page: a dict for each command."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "DCK", "COV"))}
    clean |= {"PATH": os.pathsep.join([str(Path(sys.executable).parent), clean.get("PATH", "")])}
    clean |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*RUNNER, page], cwd=kit, env=clean, start_new_session=True, **pipes) as runner:
        try:
            out, errors = runner.communicate(timeout=1_500)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(runner.pid, signal.SIGKILL)
    assert runner.returncode == 0, errors[-3_000:]
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


@pytest.mark.parametrize(
    "page", [page if page in QUICK else pytest.param(page, marks=pytest.mark.endurance) for page in RUN], ids=lambda page: page
)
def test_the_blocks_of_a_page_run(page, kit):
    found = told(page, kit)
    assert found, "no command of the page was run"
    expected = SETTINGS.get(page, Setting()).statuses
    for line in found:
        wanted = next((status for begin, status in expected.items() if line["command"].startswith(begin)), 0)
        assert line["status"] == wanted, f"{line['where']}: {line['command']}\nstatus {line['status']}\n{line['said']}"


def test_a_block_that_fails_is_told(kit):
    text = "```\npython -m evaluator validate nowhere.py\n```\n\n```python\nraise ValueError('no')\n```\n"
    (kit / "docs" / "made.md").write_text(text)
    first, second = told("docs/made.md", kit)
    assert (first["status"], second["status"]) == (1, 99)
    assert "nowhere.py" in first["said"]
    assert "ValueError: no" in second["said"]
