"""A folder that a worker may write, and that is gone afterwards whatever was done to it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder for one session."""
    folder = Path(tempfile.mkdtemp(prefix="dck-scratch-"))
    try:
        yield folder
    finally:
        _open_folders(folder)
        shutil.rmtree(folder, onerror=_open_and_retry)


def _open_folders(folder: Path) -> None:
    # A worker may take its own rights to a folder away; then its content could be neither listed nor removed.
    for place, names, _ in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            if not os.path.islink(path):
                with contextlib.suppress(OSError):
                    os.chmod(path, 0o700)


def _open_and_retry(function: Callable[[str], Any], path: str, _: Any) -> None:
    with contextlib.suppress(OSError):
        os.chmod(os.path.dirname(path), 0o700)
        function(path)
