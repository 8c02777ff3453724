"""Pages that a report leaves on disk: there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from evaluator.errors import ConfigurationError


def write_page(path: Path, content: str | bytes, option: str = "--out") -> None:
    """Write a file, a text as UTF-8, in the place of an older one. ``option``: by which another one is named.

    Raises:
        ConfigurationError: it cannot be written there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ConfigurationError(f"{path} cannot be written ({error.strerror}); name another file with {option}") from error
