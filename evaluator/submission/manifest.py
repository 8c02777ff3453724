"""The manifest of a submission, ``aicrowd.json``: who wrote it, for which challenge, under which licence.

It is the file that AIcrowd's own submissions carry. It never changes a score; a run shows it, so that a person sees what will
be judged under which name before anything is sent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluator.errors import ConfigurationError

FILE = "aicrowd.json"
MAX_BYTES = 64 * 1024

_KINDS: dict[str, tuple[type, str]] = {
    "challenge_id": (str, "a text"),
    "grader_id": (str, "a text"),
    "authors": (list, "a list of texts"),
    "description": (str, "a text"),
    "license": (str, "a text"),
    "gpu": (bool, "true or false"),
}


@dataclass(frozen=True)
class Manifest:
    """What a manifest says; empty where it says nothing. Keys that are not named here are allowed and left out.

    Attributes:
        path: the file that was read.
        gpu: the submission asks for a GPU. Shown only: the device of a run is its organiser's choice.
    """

    path: Path
    challenge_id: str = ""
    grader_id: str = ""
    authors: tuple[str, ...] = ()
    description: str = ""
    license: str = ""
    gpu: bool = False

    @property
    def line(self) -> str:
        """One line for a person: description, authors, licence, challenge, as far as they are there."""
        parts = [self.description]
        parts.append("by " + ", ".join(self.authors) if self.authors else "")
        parts.append(f"licence {self.license}" if self.license else "")
        parts.append(f"for {self.challenge_id}" if self.challenge_id else "")
        parts.append("asks for a GPU" if self.gpu else "")
        return "; ".join(part for part in parts if part)


def manifest_file(submission: Path) -> Path | None:
    """Where the manifest of the submission at ``submission`` lies, or None where there is none.

    Of a folder it is the manifest inside it, else beside it (``my_submission/`` and the kit's own ``aicrowd.json``); of a file it
    is the manifest beside it.
    """
    submission = submission.expanduser().absolute()
    places = (submission, submission.parent) if submission.is_dir() else (submission.parent,)
    return next((place / FILE for place in places if (place / FILE).is_file()), None)


def read_manifest(submission: Path) -> Manifest | None:
    """The manifest of the submission at ``submission``, or None where there is none.

    Raises:
        ConfigurationError: the file cannot be read, is not a JSON object, or a known key has a value of another kind.
    """
    path = manifest_file(submission)
    if path is None:
        return None
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ConfigurationError(f"{path} has {size} bytes; a manifest has at most {MAX_BYTES}. Put long texts elsewhere")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}); mend it or remove it") from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not JSON in UTF-8 ({error}); mend it or remove it") from None
    if not isinstance(content, dict):
        raise ConfigurationError(f'{path} holds a {type(content).__name__}; an object was expected, e.g. {{"authors": ["name"]}}')
    return Manifest(path, **{key: _checked(path, key, content[key]) for key in _KINDS if key in content})


def _checked(path: Path, key: str, value: Any) -> Any:
    kind, words = _KINDS[key]
    good = isinstance(value, kind) and (not isinstance(value, list) or all(isinstance(member, str) for member in value))
    if not good:
        raise ConfigurationError(f"{path}: {key} is {value!r}; it must be {words}")
    return tuple(value) if kind is list else value
