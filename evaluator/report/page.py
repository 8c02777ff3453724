"""Writes the files of a report, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from evaluator.errors import ConfigurationError
from evaluator.files import write_bytes


def check_page(path: Path | None, option: str = "--html") -> None:
    """Refuse a page that could not be written, before anything is computed for it. ``option``: as of ``write_page``.

    Raises:
        ConfigurationError: its folder does not exist, or the path is a folder.
    """
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        why = "it is a folder" if path.is_dir() else "its folder does not exist"
        raise ConfigurationError(f"{path} cannot be written ({why}); name another file with {option}")


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
