"""Pages that a report leaves on disk: there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from evaluator.errors import ConfigurationError


def write_page(path: Path, text: str) -> None:
    """Write a text file, in the place of an older one.

    Raises:
        ConfigurationError: it cannot be written there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ConfigurationError(f"{path} cannot be written ({error.strerror}); name another file with --out") from error
