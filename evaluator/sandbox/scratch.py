"""A folder that a worker may write, and that is gone afterwards whatever was done to it, and whoever was killed meanwhile."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evaluator.ownership import abandoned, hold

PREFIX = "dck-scratch-"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder for one session."""
    folder, held = _new_folder()
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(held)


def remove_abandoned_folders() -> int:
    """Remove the folders of evaluators that were killed; how many there were."""
    count = 0
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with abandoned(folder) as free:
            if free:
                _remove(folder)
                count += 1
    return count


def _new_folder() -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        # In the moment before it is marked, another evaluator may take it for a dead one's.
        with contextlib.suppress(FileNotFoundError):
            return folder, hold(folder)


def _remove(folder: Path) -> None:
    if folder.is_symlink() or not folder.is_dir():
        # The worker put something else in its place, or nothing.
        folder.unlink(missing_ok=True)
        return
    _open_folders(folder)

    def open_and_retry(function: Callable[[str], Any], path: str, _: Any) -> None:
        parent = Path(path).parent
        # Never above the folder: what lies there is not ours.
        if parent == folder or folder in parent.parents:
            with contextlib.suppress(OSError):
                os.chmod(parent, 0o700)
                function(path)

    shutil.rmtree(folder, onerror=open_and_retry)


def _open_folders(folder: Path) -> None:
    # A worker may take its own rights to a folder away; then its content could be neither listed nor removed.
    with contextlib.suppress(OSError):
        os.chmod(folder, 0o700)
    for place, names, _ in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            if not os.path.islink(path):
                with contextlib.suppress(OSError):
                    os.chmod(path, 0o700)
