"""Writes the files of a report, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from evaluator.errors import ConfigurationError
from evaluator.files import write_bytes


def write_page(path: Path, content: str | bytes, option: str = "--out") -> None:
    """Write a file; a text is written in UTF-8, and an existing file is replaced.

    Args:
        option: name of the option that gave ``path``, for the message.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    try:
        write_bytes(path, content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written ({error.strerror}); name another file with {option}") from error
