"""Pages that a report leaves on disk: whole or not at all."""

from __future__ import annotations

from pathlib import Path

from evaluator.errors import ConfigurationError
from evaluator.files import write_bytes


def write_page(path: Path, content: str | bytes, option: str = "--out") -> None:
    """Write a file, a text as UTF-8, in the place of an older one. ``option``: by which another one is named.

    Raises:
        ConfigurationError: it cannot be written there.
    """
    try:
        write_bytes(path, content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written ({error.strerror}); name another file with {option}") from error
