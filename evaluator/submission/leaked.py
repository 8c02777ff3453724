"""What looks like a secret inside the files of a submission: passwords, tokens, private keys. Warnings, since a search may err.

The search is that of detect-secrets (Yelp, Apache-2.0), an extra. What it finds is named by file, line and kind; the text itself is
never shown or stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from evaluator.submission.environment import installed_version
from evaluator.submission.findings import Finding
from evaluator.words import counted

HOW = "pip install -r requirements-publish.txt"
MAX_BYTES = 1 << 20
"""Bytes of a file that is searched; larger files are data."""
MOST = 20
"""Findings that are named; further findings are counted."""


def available() -> bool:
    """Whether detect-secrets is installed."""
    return installed_version("detect-secrets") is not None


def leaked(root: Path, names: Iterable[str]) -> Iterator[Finding]:
    """A warning for every line that looks like a secret.

    Args:
        root: the folder of the files; ``names``: their paths below it.

    Raises:
        ImportError: detect-secrets is not installed.
    """
    from detect_secrets.core.secrets_collection import SecretsCollection
    from detect_secrets.settings import default_settings

    found: list[tuple[str, int, str]] = []
    with default_settings():
        for name in names:
            path = root / name
            if not path.is_file() or path.stat().st_size > MAX_BYTES:
                continue
            secrets = SecretsCollection()
            secrets.scan_file(str(path))
            found += [(name, secret.line_number, secret.type) for _, secret in secrets]
    advice = "Everybody who judges reads it; take it out, or look whether it is harmless"
    for name, line, kind in sorted(set(found))[:MOST]:
        yield Finding("warning", f"{name}, line {line}", f"looks like a secret ({kind}). {advice}")
    if len(found) > MOST:
        yield Finding("warning", "secrets", f"{counted(len(found) - MOST, 'more line')} look like secrets. {advice}")
