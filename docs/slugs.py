"""The anchors of headings, the same in the site as on a repository's web site, so that a link is right in both."""

from __future__ import annotations

import re
from collections.abc import Callable


def slug(shown: str) -> str:
    """The anchor of a heading, from its text as it is shown: lower case; letters, digits, ``_``, ``-``; ``-`` for a space."""
    return re.sub(r"[^\w\- ]", "", shown.strip().lower()).replace(" ", "-")


def maker() -> Callable[[str, str], str]:
    """The option ``slugify`` of Python-Markdown's ``toc``, as Zensical asks for it."""
    return _slug_of


def _slug_of(shown: str, separator: str) -> str:
    return slug(shown)
